package identity

import (
	"fmt"
	"strings"
)

// Permissions are what a certificate lets its node do: "all", "route" (take
// part in the DHT), "store", "register:<glob>", "call:<glob>", "blob", "relay"
// and "admin" (contract section 2). Unknown ones are kept and match literally.
// Nil or empty permits nothing.
type Permissions []string

// maxPermission bounds one permission in bytes; register: and a DNS label fit
// well.
const maxPermission = 128

// openPermissions are what everybody has in an open mesh.
var openPermissions = Permissions{"route", "store", "blob", "register:*", "call:*"}

// OpenPermissions returns what everybody has where no CA is trusted; relay and
// admin are not among them. The slice belongs to the caller.
func OpenPermissions() Permissions { return append(Permissions(nil), openPermissions...) }

// ParsePermissions checks each element against [a-z0-9*._:-]+, at most 128
// bytes, and returns a copy without repetitions, in the order given. The error
// names the first bad one.
func ParsePermissions(list []string) (Permissions, error) {
	perms := make(Permissions, 0, len(list))
	seen := make(map[string]bool, len(list))
	for _, s := range list {
		if err := checkPermission(s); err != nil {
			return nil, err
		}
		if !seen[s] {
			seen[s] = true
			perms = append(perms, s)
		}
	}
	return perms, nil
}

// Allow reports whether the permissions contain permission, such as "route" or
// "register:files". "all" contains every one; in "register:web*" and
// "call:web*" a star stands for any characters (see [MatchGlob]), elsewhere for
// itself.
func (p Permissions) Allow(permission string) bool {
	for _, have := range p {
		if have == "all" || have == permission || globAllows(have, permission) {
			return true
		}
	}
	return false
}

// globAllows compares two permissions of the same kind. Only the kinds that the
// contract writes with <glob> are patterns, so that a certificate with "*" or
// "r*" does not turn out to hold relay.
func globAllows(have, permission string) bool {
	for _, kind := range []string{"register:", "call:"} {
		pattern, isKind := strings.CutPrefix(have, kind)
		name, wanted := strings.CutPrefix(permission, kind)
		if isKind && wanted {
			return MatchGlob(pattern, name)
		}
	}
	return false
}

// checkPermission enforces [a-z0-9*._:-]+ (contract section 2).
func checkPermission(s string) error {
	const allowed = "abcdefghijklmnopqrstuvwxyz0123456789*._:-"
	if len(s) > maxPermission {
		return fmt.Errorf("permission %q is over %d bytes", clip(s), maxPermission)
	}
	if s == "" || strings.Trim(s, allowed) != "" {
		return fmt.Errorf("permission %q may only have a-z 0-9 * . _ : -", s)
	}
	return nil
}

package discovery

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/staex-mcc/mcc/dht"
)

// MaxName is the longest service name in bytes, a DNS label (RFC 1035 2.3.4).
const MaxName = 63

// maxConsortium is that of identity: the longest common name (RFC 5280 A.1).
const maxConsortium = 64

// Tags keep the positions of services, labels and other things apart (spec
// 7). A version is part of them.
const (
	serviceTag = "mcc discovery service 1\x00"
	labelTag   = "mcc discovery label 1\x00"
	blobTag    = "mcc dht blob 1\x00"
)

// Key is the position of a service: SHA-256 of a tag, the length of the
// consortium's name in one byte, that name, and the service's. Both must be
// valid. An open mesh has an empty consortium.
func Key(consortium, name string) dht.Key {
	b := append([]byte(serviceTag), byte(len(consortium)))
	b = append(b, consortium...)
	return sha256.Sum256(append(b, name...))
}

// LabelKey is the position of the nodes that bear a label: SHA-256 of a tag and
// the label.
func LabelKey(label string) dht.Key {
	return sha256.Sum256(append([]byte(labelTag), label...))
}

// BlobKey is the position of the seeders of a BLOB: SHA-256 of a tag and the
// BLOB's id.
func BlobKey(id [32]byte) dht.Key {
	return sha256.Sum256(append([]byte(blobTag), id[:]...))
}

// ValidateName returns ErrInvalid unless name is a DNS label as MCC has it: a-z,
// 0-9 and "-" inside, 1 to MaxName bytes.
func ValidateName(name string) error {
	const allowed = "abcdefghijklmnopqrstuvwxyz0123456789-"
	switch {
	case name == "":
		return fmt.Errorf("service name: %w: it is empty", ErrInvalid)
	case len(name) > MaxName:
		return fmt.Errorf("service name %q…: %w: %d bytes, at most %d", name[:MaxName], ErrInvalid, len(name), MaxName)
	case strings.Trim(name, allowed) != "":
		return fmt.Errorf("service name %q: %w: only a-z, 0-9 and - are allowed", name, ErrInvalid)
	case name[0] == '-' || name[len(name)-1] == '-':
		return fmt.Errorf("service name %q: %w: it starts or ends with -", name, ErrInvalid)
	}
	return nil
}

// ParseName splits "files.acme" at the first dot into a service and the
// consortium it is wanted from; "files" has none. A consortium may contain dots
// itself. What breaks a rule is ErrInvalid.
func ParseName(s string) (name, consortium string, err error) {
	name, consortium, dotted := strings.Cut(s, ".")
	if err := ValidateName(name); err != nil {
		return "", "", err
	}
	if dotted && consortium == "" {
		return "", "", fmt.Errorf("service %q: %w: nothing follows the dot", s, ErrInvalid)
	}
	if err := checkConsortium(consortium); err != nil {
		return "", "", err
	}
	return name, consortium, nil
}

// checkConsortium takes what identity takes, and the empty name.
func checkConsortium(s string) error {
	if len(s) > maxConsortium || !isPrintable(s) {
		return fmt.Errorf("consortium %.64q: %w: it must be at most %d bytes of printable text", s, ErrInvalid, maxConsortium)
	}
	return nil
}

func isPrintable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

package identity

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// What MCC reads of a certificate stands in URI subject alternative names
// (contract section 2):
//
//	mcc:label:<label>            at most one, in normalised form
//	mcc:consortium:<name>        at most one, taken literally
//	mcc:perm:<permission>        any number, [a-z0-9*._:-]+
//
// URIs of other schemes belong to others and are skipped.
const (
	scheme          = "mcc:"
	kindLabel       = "label"
	kindConsortium  = "consortium"
	kindPermission  = "perm"
	maxConsortium   = 64  // bytes; the upper bound of a common name, RFC 5280 A.1
	maxPermissions  = 256 // a certificate of 16 KiB holds no more anyway
	tagUniformIdent = 6   // GeneralName's choice [6], RFC 5280 4.2.1.6
)

var oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}

// names are the statements of a certificate or request.
type names struct {
	label       string
	consortium  string
	permissions Permissions
}

// parseNames collects the mcc: names among the extensions. It reads the URIs
// itself: net/url drops a trailing "#" and moves what follows "?".
func parseNames(extensions []pkix.Extension) (names, error) {
	var n names
	for _, ext := range extensions {
		if !ext.Id.Equal(oidSubjectAltName) {
			continue
		}
		uris, err := subjectURIs(ext.Value)
		if err != nil {
			return names{}, err
		}
		for _, uri := range uris {
			if err := n.add(uri); err != nil {
				return names{}, err
			}
		}
	}
	return n, nil
}

// subjectURIs reads GeneralNames (RFC 5280 4.2.1.6) and returns the URIs.
func subjectURIs(der []byte) ([]string, error) {
	errMalformed := errors.New("malformed subject alternative names")
	outer := cryptobyte.String(der)
	var list cryptobyte.String
	if !outer.ReadASN1(&list, casn1.SEQUENCE) || !outer.Empty() {
		return nil, errMalformed
	}
	var uris []string
	for !list.Empty() {
		var value cryptobyte.String
		var tag casn1.Tag
		if !list.ReadAnyASN1(&value, &tag) {
			return nil, errMalformed
		}
		if tag == casn1.Tag(tagUniformIdent).ContextSpecific() {
			uris = append(uris, string(value))
		}
	}
	return uris, nil
}

func (n *names) add(uri string) error {
	if len(uri) < len(scheme) || !strings.EqualFold(uri[:len(scheme)], scheme) {
		return nil
	}
	kind, value, _ := strings.Cut(uri[len(scheme):], ":")
	if !strings.HasPrefix(uri, scheme) {
		kind = "" // MCC:perm:all would be read by some and skipped by others
	}
	switch kind {
	case kindLabel:
		return n.setLabel(value)
	case kindConsortium:
		if n.consortium != "" {
			return fmt.Errorf("two consortia, %q and %q", n.consortium, clip(value))
		}
		n.consortium = value
		return checkConsortium(value)
	case kindPermission:
		if len(n.permissions) == maxPermissions {
			return fmt.Errorf("over %d permissions", maxPermissions)
		}
		n.permissions = append(n.permissions, value)
		return checkPermission(value)
	}
	return fmt.Errorf("name %q is of no kind MCC knows (mcc:label:, mcc:consortium:, mcc:perm:)", clip(uri))
}

func (n *names) setLabel(value string) error {
	if n.label != "" {
		return fmt.Errorf("two labels, %q and %q", n.label, clip(value))
	}
	normal, err := NormalizeLabel(value)
	if err != nil {
		return err
	}
	if normal != value {
		return fmt.Errorf("label %q is not in its normal form %q", clip(value), normal)
	}
	n.label = value
	return nil
}

// checkConsortium allows 1 to 64 bytes of printable text, since the name may
// come from a CA's common name.
func checkConsortium(s string) error {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	if s == "" || len(s) > maxConsortium || !utf8.ValidString(s) || strings.ContainsFunc(s, unprintable) {
		return fmt.Errorf("consortium %q must have 1 to %d bytes of printable text", clip(s), maxConsortium)
	}
	return nil
}

// uris is the inverse of parseNames, for certificates and requests to be made.
func (n names) uris() []*url.URL {
	var list []*url.URL
	add := func(kind, value string) {
		list = append(list, &url.URL{Scheme: "mcc", Opaque: kind + ":" + value})
	}
	if n.label != "" {
		add(kindLabel, n.label)
	}
	if n.consortium != "" {
		add(kindConsortium, n.consortium)
	}
	for _, p := range n.permissions {
		add(kindPermission, p)
	}
	return list
}

// NameURIs returns the URI subject alternative names that state label,
// consortium and permissions, in this order, each left out when empty. It is
// what a CA puts into x509.Certificate.URIs. The values are checked as
// certificates are when read.
func NameURIs(label, consortium string, permissions Permissions) ([]*url.URL, error) {
	list := names{label, consortium, permissions}.uris()
	var check names
	for _, u := range list {
		if err := check.add(u.String()); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// RootConsortium is the name of the consortium that a CA's own certificate
// founds: its mcc:consortium: name, else its common name. Neither, or
// malformed names, is ErrBadCertificate.
func RootConsortium(root *x509.Certificate) (string, error) {
	n, err := parseNames(root.Extensions)
	if err == nil && n.consortium == "" {
		n.consortium = root.Subject.CommonName
		err = checkConsortium(n.consortium)
	}
	if err != nil {
		return "", fmt.Errorf("%w: CA %q: %w", ErrBadCertificate, clip(root.Subject.CommonName), err)
	}
	return n.consortium, nil
}

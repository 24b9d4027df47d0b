// Package did reads decentralized identifiers, and makes and checks DID
// documents (DID Core v1.0, W3C Recommendation 2022).
//
// Two methods are at home here: a did:key is its own document ([Key]), and a
// did:mcc belongs to a node, which has a default document ([ForNode]) and may
// publish another that passes [Validate]. The package only reads and writes
// bytes; where documents are kept is not its business.
package did

import (
	"errors"
	"fmt"
	"strings"

	"github.com/staex-mcc/mcc/identity"
)

// Bounds in bytes.
const (
	// MaxDID is the longest DID or DID URL.
	MaxDID = 2048
	// MaxDocument is the longest DID document.
	MaxDocument = 64 << 10
)

// Names of DID methods.
const (
	// MethodKey is did:key, whose document follows from the key in the DID.
	MethodKey = "key"
	// MethodMCC is did:mcc, whose method-specific id is the id of a node.
	MethodMCC = "mcc"
)

// Conditions of this package, for errors.Is.
var (
	// ErrInvalid: the DID, key or document breaks a rule; the error says where
	// and what to do.
	ErrInvalid = errors.New("invalid")
	// ErrUnsupported: the DID method or the kind of key is not known here.
	ErrUnsupported = errors.New("not supported")
)

// DID is a decentralized identifier (DID Core 3.1). The zero DID names nothing.
// DIDs are comparable with ==, which is the equality of DID Core: byte by byte.
type DID struct{ method, id string }

// Parse reads a DID: without path, query and fragment, at most MaxDID bytes.
// Anything else is ErrInvalid. A method that is unknown here is none.
func Parse(s string) (DID, error) {
	d, rest, err := parsePrefix(s)
	if err != nil {
		return DID{}, err
	}
	if rest != "" {
		return DID{}, invalidDID(s, "nothing may follow the identifier, not even a path, query or fragment")
	}
	return d, nil
}

// parsePrefix reads the DID that s begins with.
func parsePrefix(s string) (d DID, rest string, err error) {
	if len(s) > MaxDID {
		return DID{}, "", fmt.Errorf("DID: %w: %d bytes, at most %d", ErrInvalid, len(s), MaxDID)
	}
	text, ok := strings.CutPrefix(s, "did:")
	if !ok {
		return DID{}, "", invalidDID(s, `it must begin with "did:"`)
	}
	method, text, ok := strings.Cut(text, ":")
	if !ok || method == "" || strings.ContainsFunc(method, notMethod) {
		return DID{}, "", invalidDID(s, "the method's name must be of a-z and 0-9, with a colon behind")
	}
	end := strings.IndexAny(text, "/?#")
	if end < 0 {
		end = len(text)
	}
	id := text[:end]
	if id == "" || id[len(id)-1] == ':' || !onlyOf(id, ":", isIDChar) {
		return DID{}, "", invalidDID(s, "the identifier must be of letters, digits, . - _ : and %XX, and not end with a colon")
	}
	return DID{method, id}, text[end:], nil
}

func invalidDID(s, reason string) error {
	return fmt.Errorf("DID %s: %w: %s", quote(s), ErrInvalid, reason)
}

func notMethod(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') }

func isIDChar(c byte) bool {
	return isAlphanumeric(c) || c == '.' || c == '-' || c == '_'
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// onlyOf reports whether s has only characters that allowed takes, those of
// extra, and whole percent encodings (RFC 3986 2.1).
func onlyOf(s, extra string, allowed func(byte) bool) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case allowed(c) || strings.IndexByte(extra, c) >= 0:
		case c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			i += 2
		default:
			return false
		}
	}
	return true
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// quote bounds what a stranger sent before it stands in an error.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		return fmt.Sprintf("%q…", s[:most])
	}
	return fmt.Sprintf("%q", s)
}

// Method is the name of the method, such as "key".
func (d DID) Method() string { return d.method }

// ID is the method-specific identifier, percent encodings as they were.
func (d DID) ID() string { return d.id }

// String is the DID as it was parsed; the zero DID is empty.
func (d DID) String() string {
	if d == (DID{}) {
		return ""
	}
	return "did:" + d.method + ":" + d.id
}

// OfNode is the did:mcc of a node.
func OfNode(id identity.ID) DID { return DID{MethodMCC, id.String()} }

// Node is the node that d names: the one of a did:mcc, or the one whose key a
// did:key is. Another method or kind of key is ErrUnsupported, what names no
// node ErrInvalid.
func (d DID) Node() (identity.ID, error) {
	switch d.method {
	case MethodMCC:
		id, err := identity.ParseID(d.id)
		if err != nil || id.String() != d.id { // ParseID takes a did:key as well
			return identity.ID{}, invalidDID(d.String(), "what follows did:mcc: must be the id of a node (z6Mk…)")
		}
		return id, nil
	case MethodKey:
		k, err := parseDIDKey(d)
		if err != nil {
			return identity.ID{}, err
		}
		if k.codec != ed25519Pub {
			return identity.ID{}, fmt.Errorf("DID %s: %w: only an Ed25519 key names a node", quote(d.String()), ErrUnsupported)
		}
		return identity.ID(k.raw), nil
	}
	return identity.ID{}, fmt.Errorf("DID method %s: %w", quote(d.method), ErrUnsupported)
}

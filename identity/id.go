package identity

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"strings"

	"github.com/mr-tron/base58"
)

// ID is a node's Ed25519 public key. Its text form is multibase base58btc with
// the ed25519-pub multicodec (z6Mk…), so "did:key:" + ID is the node's static
// DID. The zero ID names no node.
type ID [32]byte

// ed25519Multicodec is 0xed as an unsigned varint (multicodec table).
var ed25519Multicodec = []byte{0xed, 0x01}

// maxIDText bounds what ParseID decodes; the real length is 48.
const maxIDText = 64

// ParseID reads the text form of an id, bare or as a did:key. Only the
// canonical spelling is accepted, and the zero ID has none. Failures are
// ErrBadID.
func ParseID(s string) (ID, error) {
	text := strings.TrimPrefix(s, "did:key:")
	if len(text) == 0 || len(text) > maxIDText || text[0] != 'z' {
		return ID{}, badID(s)
	}
	raw, err := base58.Decode(text[1:])
	if err != nil || len(raw) != 34 || !bytes.HasPrefix(raw, ed25519Multicodec) {
		return ID{}, badID(s)
	}
	id := ID(raw[2:])
	if id.String() != text || id.IsZero() {
		return ID{}, badID(s)
	}
	return id, nil
}

func badID(s string) error {
	if len(s) > maxIDText {
		s = s[:maxIDText] + "…"
	}
	return fmt.Errorf("%q: %w (expected z6Mk…)", s, ErrBadID)
}

// String is the text form, z6Mk… for every Ed25519 key.
func (id ID) String() string {
	return "z" + base58.Encode(append(bytes.Clone(ed25519Multicodec), id[:]...))
}

// DID is the node's static did:key.
func (id ID) DID() string { return "did:key:" + id.String() }

// IsZero reports whether id names no node.
func (id ID) IsZero() bool { return id == ID{} }

// Compare orders ids by their bytes, for deterministic decisions.
func (id ID) Compare(other ID) int { return bytes.Compare(id[:], other[:]) }

// PublicKey is the id as the standard library's key type; the caller owns it.
func (id ID) PublicKey() ed25519.PublicKey { return bytes.Clone(id[:]) }

// MarshalText writes the text form; the zero ID is empty.
func (id ID) MarshalText() ([]byte, error) {
	if id.IsZero() {
		return nil, nil
	}
	return []byte(id.String()), nil
}

// UnmarshalText reads the text form; empty text is the zero ID.
func (id *ID) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*id = ID{}
		return nil
	}
	parsed, err := ParseID(string(text))
	if err != nil {
		return err
	}
	*id = parsed
	return nil
}

// Verify reports whether sig is id's Ed25519 signature of msg.
func Verify(id ID, msg, sig []byte) bool {
	return len(sig) == ed25519.SignatureSize && ed25519.Verify(id[:], msg, sig)
}

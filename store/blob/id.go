package blob

import (
	"encoding/hex"
	"fmt"

	"lukechampine.com/blake3/guts"
)

// ID names a BLOB: the BLAKE3 hash of its content, the same that b3sum prints.
// The zero ID is no BLOB's.
type ID [32]byte

// ParseID reads the 64 hexadecimal digits of an ID, in either case.
func ParseID(s string) (ID, error) {
	var id ID
	// The text may be anybody's, and long: the error does not repeat it.
	if len(s) != hex.EncodedLen(len(id)) {
		return ID{}, fmt.Errorf("blob id of %d characters, want %d hexadecimal digits", len(s), hex.EncodedLen(len(id)))
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return ID{}, fmt.Errorf("blob id: %w", err)
	}
	return id, nil
}

// String is the canonical form: 64 hexadecimal digits in lower case.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// MarshalText is String as bytes; it never fails.
func (id ID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, id[:]), nil }

// UnmarshalText is ParseID; after an error id is as before.
func (id *ID) UnmarshalText(text []byte) error {
	parsed, err := ParseID(string(text))
	if err != nil {
		return err
	}
	*id = parsed
	return nil
}

// value is the chaining value of a node of the tree; the root's is the ID.
type value = [8]uint32

func (id ID) value() value {
	words := guts.BytesToWords([64]byte(append(id[:], make([]byte, 32)...)))
	return value(words[:8])
}

func idOf(v value) ID {
	var words [16]uint32
	copy(words[:], v[:])
	bytes := guts.WordsToBytes(words)
	return ID(bytes[:32])
}

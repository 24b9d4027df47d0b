package mcc

import (
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/staex-mcc/mcc/dht"
	"github.com/staex-mcc/mcc/identity"
)

// MaxValue is the longest value of a record, immutable value or DID document in
// bytes.
const MaxValue = dht.MaxValue

// Hash is the BLAKE3 hash of a content and names it: an immutable value or a
// BLOB. Its text is 64 hexadecimal digits, as b3sum prints it.
type Hash [32]byte

// ParseHash reads the text of a Hash, or is ErrInvalid.
func ParseHash(s string) (Hash, error) {
	var h Hash
	if len(s) != hex.EncodedLen(len(h)) {
		return Hash{}, fmt.Errorf("%w: a hash has 64 hexadecimal digits, not %d characters", ErrInvalid, len(s))
	}
	if _, err := hex.Decode(h[:], []byte(s)); err != nil {
		return Hash{}, fmt.Errorf("%w: hash: %w", ErrInvalid, err)
	}
	return h, nil
}

// String returns 64 lower-case digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText implements encoding.TextMarshaler.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *Hash) UnmarshalText(text []byte) (err error) {
	*h, err = ParseHash(string(text))
	return err
}

// RecordOptions say how to put a record. The zero value puts the next version
// whatever stands there and keeps it alive while the node runs.
type RecordOptions struct {
	// IfSeq, if not nil, is the sequence that the record must have now; 0 says
	// that there must be none. Anything else is ErrConflict. The check is made
	// by the owner's node: it is no lock against another node with the same
	// identity.
	IfSeq *uint64
	// TTL is how long the version lives, to the second and at most 48 h; it is
	// not prolonged. Zero has the node prolong it as long as it runs.
	TTL time.Duration
}

// Record is a version of a node's signed value.
type Record struct {
	Owner identity.ID
	Name  string
	// Seq counts the versions from 1.
	Seq uint64
	// Expires is when holders forget this version unless it is prolonged.
	Expires time.Time
	Value   []byte
	// Sig is the owner's signature; docs/spec.md 6.2 says over what.
	Sig []byte
}

// Verify reports whether the owner signed the record as it is here.
func (r Record) Verify() error {
	if err := dht.Record(r).Verify(); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return nil
}

// maxRecordName is the longest name of a record in bytes.
const maxRecordName = dht.MaxName

// reservedRecords begins the names of records that the node keeps for itself.
const reservedRecords = "mcc."

// CheckRecordName is ErrInvalid for what cannot name a record of a program: an
// empty name, one over 200 bytes, with control characters, or that begins with
// "mcc.".
func CheckRecordName(name string) error {
	switch {
	case name == "" || len(name) > maxRecordName:
		return fmt.Errorf("%w: a record's name has 1 to %d bytes", ErrInvalid, maxRecordName)
	case strings.HasPrefix(name, reservedRecords):
		return fmt.Errorf("%w: record names that begin with %q belong to the node", ErrInvalid, reservedRecords)
	case !printable(name):
		return fmt.Errorf("%w: a record's name is UTF-8 without control characters", ErrInvalid)
	}
	return nil
}

// printable reports whether s is UTF-8 that shows nothing but itself.
func printable(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if unicode.IsControl(r) {
			return false
		}
	}
	return true
}

// BlobOptions describe a BLOB that is put.
type BlobOptions struct {
	// Name is for people, such as a file's: at most 255 bytes of UTF-8 without
	// control characters. It stays on this node.
	Name string
}

// BlobInfo describes a BLOB.
type BlobInfo struct {
	ID   Hash
	Size int64
	// Name is what it was put as on this node; empty if it was not.
	Name string
	// Local reports that this node has the whole BLOB.
	Local bool
	// Added is since when; zero unless Local.
	Added time.Time
}

// Blob is an open BLOB. Every byte it yields is verified. Read and Seek are for
// one goroutine at a time, ReadAt for any number.
type Blob interface {
	io.Reader
	io.Seeker
	io.ReaderAt
	io.Closer
	Info() BlobInfo
}

// Seeder is a node that says it has a BLOB.
type Seeder struct {
	Node identity.ID
	// Label is empty if this node does not know it.
	Label string
}

// DIDDocument is a DID as it was resolved.
type DIDDocument struct {
	DID string
	// Document is JSON, byte for byte as its controller put it; empty if
	// Deactivated.
	Document []byte
	// Version counts the versions of a did:mcc from 1; 0 for other methods.
	Version     uint64
	Deactivated bool
}

package dht

import (
	"encoding/binary"
	"fmt"
	"time"
)

// A record on the wire (spec 6.2); numbers are big-endian, lengths in bytes.
// The owner signs a tag and everything before the signature.
//
//	 0        32       40        48      49      49+n      51+n    51+n+v
//	+--------+--------+---------+-------+-------+---------+-------+---------+
//	| owner  | seq    | expires | n     | name  | v       | value | sig     |
//	| 32     | 8      | 8, Unix | 1     | n     | 2       | v     | 64      |
//	+--------+--------+---------+-------+-------+---------+-------+---------+
const (
	sigSize         = 64
	recordFixedSize = 32 + 8 + 8 + 1 + 2 + sigSize
)

func recordSize(r Record) int { return recordFixedSize + len(r.Name) + len(r.Value) }

// appendRecord appends the encoding of a record that check accepts.
func appendRecord(dst []byte, r Record) []byte {
	return append(appendRecordFields(dst, r), r.Sig...)
}

func appendRecordFields(dst []byte, r Record) []byte {
	dst = append(dst, r.Owner[:]...)
	dst = binary.BigEndian.AppendUint64(dst, r.Seq)
	dst = binary.BigEndian.AppendUint64(dst, uint64(r.Expires.Unix()))
	dst = append(dst, byte(len(r.Name)))
	dst = append(dst, r.Name...)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(r.Value)))
	return append(dst, r.Value...)
}

// decodeRecord reads a record that fills b. The record shares nothing with b.
// The signature is not checked.
func decodeRecord(b []byte) (*Record, error) {
	if len(b) > MaxRecord {
		return nil, fmt.Errorf("record: %w: %d bytes, at most %d", ErrMalformed, len(b), MaxRecord)
	}
	in := reader{b: b}
	r := &Record{Owner: in.id(), Seq: in.uint64()}
	r.Expires = in.unix()
	r.Name = string(in.take(int(in.uint8())))
	r.Value = in.clone(int(in.uint16()))
	r.Sig = in.clone(sigSize)
	if err := in.end("record"); err != nil {
		return nil, err
	}
	return r, r.check()
}

// reader takes fields off the front of b. The first field that is not there
// makes it fail, and all later ones are zero.
type reader struct {
	b      []byte
	failed bool
}

func (r *reader) take(n int) []byte {
	if r.failed || n < 0 || n > len(r.b) {
		r.failed = true
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

// clone is take for fields that outlive the datagram. An empty one is nil.
func (r *reader) clone(n int) []byte {
	b := r.take(n)
	if len(b) == 0 {
		return nil
	}
	return append(make([]byte, 0, len(b)), b...)
}

func (r *reader) uint8() uint8 {
	b := r.take(1)
	if r.failed {
		return 0
	}
	return b[0]
}

func (r *reader) uint16() uint16 {
	b := r.take(2)
	if r.failed {
		return 0
	}
	return binary.BigEndian.Uint16(b)
}

func (r *reader) uint64() uint64 {
	b := r.take(8)
	if r.failed {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

func (r *reader) id() (id [32]byte) {
	copy(id[:], r.take(len(id)))
	return id
}

// unix reads a time in whole seconds; zero is the zero Time.
func (r *reader) unix() time.Time {
	s := r.uint64()
	if s == 0 {
		return time.Time{}
	}
	if s >= maxUnix {
		r.failed = true
		return time.Time{}
	}
	return time.Unix(int64(s), 0).UTC()
}

// end reports whether every field was there and nothing is left.
func (r *reader) end(what string) error {
	if r.failed {
		return fmt.Errorf("%s: %w: truncated or out of range", what, ErrMalformed)
	}
	if len(r.b) > 0 {
		return fmt.Errorf("%s: %w: %d bytes too many", what, ErrMalformed, len(r.b))
	}
	return nil
}

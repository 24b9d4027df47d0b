package dht

import (
	"encoding/binary"
	"fmt"
)

// A lease on the wire (spec 6.3); numbers are big-endian, lengths in bytes. The
// provider signs a tag, the key, and everything before the signature. Where the
// key is known from the question, it is left out.
//
//	 0         32         64       72        80      82      82+n
//	+---------+----------+--------+---------+-------+-------+---------+
//	| key     | provider | seq    | expires | n     | body  | sig     |
//	| 32 or 0 | 32       | 8      | 8, Unix | 2     | n     | 64      |
//	+---------+----------+--------+---------+-------+-------+---------+
//
// Expires of zero is a withdrawal.
const leaseFixedSize = 32 + 32 + 8 + 8 + 2 + sigSize

func leaseSize(l Lease) int { return leaseFixedSize + len(l.Body) }

// appendLease appends the encoding of a lease that check accepts.
func appendLease(dst []byte, l Lease) []byte {
	dst = append(dst, l.Key[:]...)
	return appendBareLease(dst, l)
}

// appendBareLease leaves the key out.
func appendBareLease(dst []byte, l Lease) []byte {
	return append(appendLeaseFields(dst, l), l.Sig...)
}

func appendLeaseFields(dst []byte, l Lease) []byte {
	dst = append(dst, l.Provider[:]...)
	dst = binary.BigEndian.AppendUint64(dst, l.Seq)
	expires := uint64(0)
	if !l.Withdrawn() {
		expires = uint64(l.Expires.Unix())
	}
	dst = binary.BigEndian.AppendUint64(dst, expires)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(l.Body)))
	return append(dst, l.Body...)
}

// decodeLease reads a lease with its key that fills b. It shares nothing with
// b. The signature is not checked.
func decodeLease(b []byte) (*Lease, error) {
	if len(b) < len(Key{}) {
		return nil, fmt.Errorf("lease: %w: truncated", ErrMalformed)
	}
	return decodeBareLease(Key(b[:len(Key{})]), b[len(Key{}):])
}

// decodeBareLease reads a lease under key.
func decodeBareLease(key Key, b []byte) (*Lease, error) {
	if len(b) > MaxRecord-len(key) {
		return nil, fmt.Errorf("lease: %w: %d bytes, at most %d", ErrMalformed, len(b), MaxRecord-len(key))
	}
	in := reader{b: b}
	l := &Lease{Key: key, Provider: in.id(), Seq: in.uint64()}
	l.Expires = in.unix()
	l.Body = in.clone(int(in.uint16()))
	l.Sig = in.clone(sigSize)
	if err := in.end("lease"); err != nil {
		return nil, err
	}
	return l, l.check()
}

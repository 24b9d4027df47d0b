package swarm

import (
	"encoding/binary"
	"fmt"

	"github.com/staex-mcc/mcc/store/blob"
)

// The bytes of a BLOB stream, docs/spec.md, BLOB streams.
//
//	seeder   size(8)                        once, after accepting
//	fetcher  first group(8) groups(8)       a request, 1 to 64 groups
//	seeder   nodes and groups of the slice  an answer, in the order of requests
//
// All numbers are big-endian. An answer's length follows from the size.
const (
	sizeLen    = 8
	requestLen = 16

	// unitGroups is how many groups a unit has, and a request at most.
	unitGroups = 64
	unitSize   = unitGroups * blob.GroupSize
)

// slice is the groups [first, first+n).
type slice struct{ first, n uint64 }

// dataOf is how many bytes of content a slice has.
func dataOf(size int64, s slice) int64 {
	return min(int64(s.n)*blob.GroupSize, size-int64(s.first)*blob.GroupSize)
}

func appendSize(dst []byte, size int64) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(size))
}

// decodeSize reads a seeder's claim.
func decodeSize(b [sizeLen]byte) (int64, error) {
	size := binary.BigEndian.Uint64(b[:])
	if size > blob.MaxSize {
		return 0, fmt.Errorf("%w: size %d is over %d", blob.ErrMismatch, size, int64(blob.MaxSize))
	}
	return int64(size), nil
}

func appendRequest(dst []byte, s slice) []byte {
	dst = binary.BigEndian.AppendUint64(dst, s.first)
	return binary.BigEndian.AppendUint64(dst, s.n)
}

// decodeRequest reads a request to a BLOB of that many groups. Failures are
// ErrMalformed.
func decodeRequest(b [requestLen]byte, groups uint64) (slice, error) {
	s := slice{first: binary.BigEndian.Uint64(b[:8]), n: binary.BigEndian.Uint64(b[8:])}
	switch {
	case s.n == 0 || s.n > unitGroups:
		return slice{}, fmt.Errorf("%w: %d groups, want 1 to %d", ErrMalformed, s.n, unitGroups)
	case s.first >= groups || s.n > groups-s.first:
		return slice{}, fmt.Errorf("%w: groups %d+%d of %d", ErrMalformed, s.first, s.n, groups)
	}
	return s, nil
}

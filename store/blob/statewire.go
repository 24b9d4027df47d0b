package blob

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"time"

	"lukechampine.com/blake3"
)

// The state file of a partial says which groups are on disk.
//
//	offset  bytes  field
//	     0      4  "mccp"
//	     4      1  version, 1
//	     5      3  zero
//	     8      8  size of the BLOB, little-endian
//	    16      8  last used, Unix time in nanoseconds, little-endian
//	    24     32  id
//	    56    8*w  a bit for each group: w words, little-endian, the lowest bit
//	               first; bits past the last group are zero
//	56+8*w     32  BLAKE3 of all before
const (
	stateFixed   = 56
	stateMagic   = "mccp"
	stateVersion = 1
	stateSum     = 32
)

var errState = errors.New("no valid state of a partial")

// state is the content of a state file.
type state struct {
	id   ID
	size int64
	used time.Time
	have bitmap
}

func stateLen(size int64) int64 {
	return stateFixed + 8*int64((Groups(size)+63)/64) + stateSum
}

func appendState(dst []byte, st state) []byte {
	start := len(dst)
	dst = append(dst, stateMagic...)
	dst = append(dst, stateVersion, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(st.size))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(st.used.UnixNano()))
	dst = append(dst, st.id[:]...)
	for _, word := range st.have {
		dst = binary.LittleEndian.AppendUint64(dst, word)
	}
	sum := blake3.Sum256(dst[start:])
	return append(dst, sum[:]...)
}

// decodeState accepts exactly what appendState writes.
func decodeState(b []byte) (state, error) {
	if len(b) < stateFixed+stateSum || string(b[:8]) != stateMagic+"\x01\x00\x00\x00" {
		return state{}, errState
	}
	st := state{
		id:   ID(b[24:]),
		size: int64(binary.LittleEndian.Uint64(b[8:])),
		used: time.Unix(0, int64(binary.LittleEndian.Uint64(b[16:]))).UTC(),
	}
	if checkSize(st.size) != nil || int64(len(b)) != stateLen(st.size) {
		return state{}, fmt.Errorf("%w: %d bytes for a blob of %d", errState, len(b), st.size)
	}
	body := len(b) - stateSum
	if blake3.Sum256(b[:body]) != [stateSum]byte(b[body:]) {
		return state{}, fmt.Errorf("%w: bad sum", errState)
	}
	groups := Groups(st.size)
	st.have = newBitmap(groups)
	for i := range st.have {
		st.have[i] = binary.LittleEndian.Uint64(b[stateFixed+8*i:])
	}
	if past := groups % 64; past != 0 && bits.Len64(st.have[len(st.have)-1]) > int(past) {
		return state{}, fmt.Errorf("%w: bits past the last group", errState)
	}
	return st, nil
}

package blob

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"lukechampine.com/blake3"
)

// A tree file is a header and the nodes of the tree in pre-order, 64 bytes each.
//
//	offset  bytes  field
//	     0      4  "mccb"
//	     4      1  version, 1
//	     5      1  length of the name
//	     6      2  zero
//	     8      8  size of the BLOB, little-endian
//	    16      8  when it was added, Unix time in nanoseconds, little-endian
//	    24     32  id
//	    56    255  name, the rest zero
//	   311    169  zero
//	   480     32  BLAKE3 of the 480 bytes before
const (
	headerSize    = 512
	headerMagic   = "mccb"
	headerVersion = 1
	headerSealed  = headerSize - 32
	headerName    = 56
)

var errHeader = errors.New("no valid header")

// treeSize is the length in bytes of the tree file of a BLOB of that size.
func treeSize(size int64) int64 { return nodeOffset(Groups(size) - 1) }

// nodeOffset is where a node stands in the tree file.
func nodeOffset(pos uint64) int64 { return headerSize + pairSize*int64(pos) }

// appendHeader expects a clean name.
func appendHeader(dst []byte, info Info) []byte {
	var h [headerSize]byte
	copy(h[:], headerMagic)
	h[4] = headerVersion
	h[5] = byte(len(info.Name))
	binary.LittleEndian.PutUint64(h[8:], uint64(info.Size))
	binary.LittleEndian.PutUint64(h[16:], uint64(info.Added.UnixNano()))
	copy(h[24:], info.ID[:])
	copy(h[headerName:headerName+MaxName], info.Name)
	sum := blake3.Sum256(h[:headerSealed])
	copy(h[headerSealed:], sum[:])
	return append(dst, h[:]...)
}

// decodeHeader accepts exactly what appendHeader writes.
func decodeHeader(b []byte) (info Info, rest []byte, err error) {
	if len(b) < headerSize {
		return Info{}, nil, fmt.Errorf("%w: %d bytes", errHeader, len(b))
	}
	h := [headerSize]byte(b)
	info = Info{
		ID:    ID(h[24:]),
		Size:  int64(binary.LittleEndian.Uint64(h[8:])),
		Added: time.Unix(0, int64(binary.LittleEndian.Uint64(h[16:]))).UTC(),
		Name:  string(h[headerName : headerName+int(min(h[5], MaxName))]),
	}
	if checkSize(info.Size) != nil || CleanName(info.Name) != info.Name {
		return Info{}, nil, fmt.Errorf("%w: bad size or name", errHeader)
	}
	// Written again it is the same: sum, magic, version and zeros are right.
	if h != [headerSize]byte(appendHeader(nil, info)) {
		return Info{}, nil, fmt.Errorf("%w: bad sum or version", errHeader)
	}
	return info, b[headerSize:], nil
}

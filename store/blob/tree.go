package blob

import (
	"fmt"
	"math/bits"

	"lukechampine.com/blake3/guts"
)

// The tree is BLAKE3's own (paper, section 2.1), cut off at groups of 16 chunks:
// the left child of a node holds the largest power of two of groups that leaves
// at least one for the right. Nodes are numbered in pre-order, the root is 0.

const (
	// GroupSize is the size in bytes of every group but the last, which may be
	// shorter: what is verified at once.
	GroupSize = 16 << 10
	// MaxSize is the size in bytes of the largest BLOB: 1 TiB. It bounds the
	// memory that a false size can claim: 8 MiB, a bit a group.
	MaxSize = 1 << 40

	pairSize       = 64 // a node: the chaining values of its two children
	chunksPerGroup = GroupSize / guts.ChunkSize
)

// Groups is how many groups a BLOB of that size has: at least one, for the empty
// BLOB is one empty group. A negative size counts as empty.
func Groups(size int64) uint64 {
	return max(1, (uint64(max(0, size))+GroupSize-1)/GroupSize)
}

// groupLen is the length of a group in bytes.
func groupLen(size int64, index uint64) int {
	return int(min(GroupSize, size-int64(index)*GroupSize))
}

// span is a subtree: the groups [first, first+n) and its root's number.
type span struct{ first, n, pos uint64 }

func whole(size int64) span { return span{n: Groups(size)} }

func (s span) children() (left, right span) {
	half := uint64(1) << (bits.Len64(s.n-1) - 1)
	left = span{s.first, half, s.pos + 1}
	// Under the left child stand half-1 nodes.
	right = span{s.first + half, s.n - half, s.pos + half}
	return left, right
}

// meets says whether s and the groups [first, end) have one in common.
func (s span) meets(first, end uint64) bool { return s.first < end && first < s.first+s.n }

// within says whether all groups of s are in [first, end).
func (s span) within(first, end uint64) bool { return first <= s.first && s.first+s.n <= end }

func (s span) String() string {
	if s.n == 1 {
		return fmt.Sprintf("group %d", s.first)
	}
	return fmt.Sprintf("node over groups %d to %d", s.first, s.first+s.n-1)
}

// group is room for one group; SIMD code reads all of it whatever its length.
type group [GroupSize]byte

// hash is the chaining value of the group of n bytes at index. root is set for
// the only group of a BLOB.
func (g *group) hash(n int, index uint64, root bool) value {
	node := guts.CompressBuffer((*[GroupSize]byte)(g), n, &guts.IV, index*chunksPerGroup, 0)
	if root {
		node.Flags |= guts.FlagRoot
	}
	return guts.ChainingValue(node)
}

// pair is a node of the tree as it is kept and sent: the chaining values of the
// left and the right child.
type pair [pairSize]byte

func (p *pair) set(left, right value) {
	var words [16]uint32
	copy(words[:8], left[:])
	copy(words[8:], right[:])
	*p = guts.WordsToBytes(words)
}

func (p *pair) values() (left, right value) {
	words := guts.BytesToWords(*p)
	return value(words[:8]), value(words[8:])
}

func join(left, right value, root bool) value {
	var flags uint32
	if root {
		flags = guts.FlagRoot
	}
	return guts.ChainingValue(guts.ParentNode(left, right, &guts.IV, flags))
}

package blob

import (
	"math/bits"
	"slices"
)

// bitmap is a set of groups, one bit each, the lowest first.
type bitmap []uint64

func newBitmap(groups uint64) bitmap { return make(bitmap, (groups+63)/64) }

func (b bitmap) has(i uint64) bool { return b[i/64]>>(i%64)&1 == 1 }

// set says whether the bit was not set before.
func (b bitmap) set(i uint64) bool {
	before := b[i/64]
	b[i/64] |= 1 << (i % 64)
	return before != b[i/64]
}

func (b bitmap) unset(i uint64) { b[i/64] &^= 1 << (i % 64) }

// next is the first i in [from, end) whose bit is as wanted, else end.
func (b bitmap) next(from, end uint64, want bool) uint64 {
	for i := from; i < end; i = i/64*64 + 64 {
		word := b[i/64]
		if !want {
			word = ^word
		}
		if word = word >> (i % 64); word != 0 {
			return min(end, i+uint64(bits.TrailingZeros64(word)))
		}
	}
	return end
}

// hasAll says whether all of [first, end) are set.
func (b bitmap) hasAll(first, end uint64) bool { return b.next(first, end, false) == end }

// top is one more than the highest set bit, 0 if there is none.
func (b bitmap) top() uint64 {
	for i, word := range slices.Backward(b) {
		if word != 0 {
			return uint64(i)*64 + uint64(bits.Len64(word))
		}
	}
	return 0
}

// bytes is how much content the set groups of a BLOB of that size hold, count
// how many they are.
func (b bitmap) bytes(size int64) (bytes int64, count uint64) {
	for _, word := range b {
		count += uint64(bits.OnesCount64(word))
	}
	bytes = int64(count) * GroupSize
	if last := Groups(size) - 1; b.has(last) {
		bytes += int64(groupLen(size, last)) - GroupSize
	}
	return bytes, count
}

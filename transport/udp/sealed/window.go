package sealed

// The replay window of a session: which packet counters have been seen.
//
// 31 words of 64 counters may arrive out of order. A session carries the calls
// of one pair of nodes, at the very most some ten thousand packets a second, so
// the window spans more than 100 ms of reordering at full load; WireGuard's 8
// times larger one serves a tunnel of a million packets a second. 264 bytes a
// session keep 10,000 of them under 3 MB.
const (
	windowWords = 32
	windowSize  = (windowWords - 1) * 64 // one word is always being refilled
)

// window is a ring of bits after RFC 6479. The zero value has seen nothing.
type window struct {
	next uint64 // one more than the highest counter seen
	seen [windowWords]uint64
}

// fresh reports whether counter n is neither seen nor too old to tell.
func (w *window) fresh(n uint64) bool {
	if n >= w.next {
		return n < maxCounter
	}
	if w.next-1-n >= windowSize {
		return false
	}
	return w.seen[n/64%windowWords]&(1<<(n%64)) == 0
}

// mark records n, for which fresh was true.
func (w *window) mark(n uint64) {
	if n >= w.next {
		if w.next > 0 {
			w.forget((w.next-1)/64, n/64)
		}
		w.next = n + 1
	}
	w.seen[n/64%windowWords] |= 1 << (n % 64)
}

// forget empties the words after from up to and including to.
func (w *window) forget(from, to uint64) {
	for i := range min(to-from, windowWords) {
		w.seen[(to-i)%windowWords] = 0
	}
}

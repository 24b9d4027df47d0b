package simnet

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// DefaultTraceLimit is how many packets a Trace records if not told otherwise.
const DefaultTraceLimit = 1000

// untraced is the line of a packet that the trace does not hold.
const untraced = -1

// Traced is one recorded packet. Its number counts the packets from Src to Dst,
// from 0; a duplicate has its original's.
type Traced struct {
	Sent     time.Time
	Ended    time.Time // zero while it is in flight
	Src, Dst netip.AddrPort
	Number   uint64
	Size     int  // payload bytes
	First    byte // first byte of the payload; 0 of an empty one
	Fate     Fate
}

// Trace records the first packets of a Network, given in Options; those past
// its limit are counted. It is safe for concurrent use, and a nil Trace records
// nothing. Make one with NewTrace.
type Trace struct {
	limit int

	mu     sync.Mutex
	lines  []Traced
	missed uint64
}

// NewTrace makes a trace of at most limit packets; zero is DefaultTraceLimit.
func NewTrace(limit int) *Trace {
	if limit == 0 {
		limit = DefaultTraceLimit
	}
	return &Trace{limit: limit}
}

// Packets returns what was recorded, by the time of sending; the slice belongs
// to the caller. Packets sent at the same instant are ordered by address and
// number, so that a test in virtual time always gets the same.
func (t *Trace) Packets() []Traced {
	t.mu.Lock()
	lines := slices.Clone(t.lines)
	t.mu.Unlock()
	slices.SortStableFunc(lines, func(a, b Traced) int {
		return cmp.Or(
			a.Sent.Compare(b.Sent),
			a.Src.Compare(b.Src),
			a.Dst.Compare(b.Dst),
			cmp.Compare(a.Number, b.Number),
		)
	})
	return lines
}

// Missed is how many packets came when the trace was full.
func (t *Trace) Missed() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.missed
}

// depart records a packet that is sent and returns its line.
func (t *Trace) depart(r route, number uint64, data []byte, now time.Time) int {
	if t == nil {
		return untraced
	}
	var first byte
	if len(data) > 0 {
		first = data[0]
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.lines) >= t.limit {
		t.missed++
		return untraced
	}
	t.lines = append(t.lines, Traced{
		Sent: now, Src: r.src, Dst: r.dst, Number: number, Size: len(data), First: first,
	})
	return len(t.lines) - 1
}

// end writes down the fate of the packet on line.
func (t *Trace) end(line int, f Fate, now time.Time) {
	if t == nil || line == untraced {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines[line].Ended, t.lines[line].Fate = now, f
}

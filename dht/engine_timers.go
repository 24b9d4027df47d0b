package dht

import (
	"container/heap"
	"time"
)

// timerKind is what to do when a timer is due.
type timerKind uint8

const (
	timerSoft      timerKind = iota // a send has been slow
	timerProbe                      // look after the liveness of the table
	timerChecks                     // go on with checks of strangers
	timerRefresh                    // renew the table
	timerSweep                      // drop what expired
	timerRepublish                  // offer own records again
	timerHandOver                   // go on handing records to newcomers
	timerErase                      // go on deleting
)

// timer is one entry of timers. There is no cancelling: whoever handles a timer
// looks whether it still matters.
type timer struct {
	at   time.Time
	seq  uint64
	kind timerKind
	send uint64 // of timerSoft
}

// timers is a heap by time and, within one instant, by order of setting.
type timers struct {
	heap timerHeap
	seq  uint64
}

func (t *timers) set(at time.Time, kind timerKind, send uint64) {
	t.seq++
	heap.Push(&t.heap, timer{at, t.seq, kind, send})
}

// due removes and returns the first timer that is due at now.
func (t *timers) due(now time.Time) (timer, bool) {
	if len(t.heap) == 0 || t.heap[0].at.After(now) {
		return timer{}, false
	}
	return heap.Pop(&t.heap).(timer), true
}

// next is when the first timer is due; zero if there is none.
func (t *timers) next() time.Time {
	if len(t.heap) == 0 {
		return time.Time{}
	}
	return t.heap[0].at
}

type timerHeap []timer

func (h timerHeap) Len() int { return len(h) }
func (h timerHeap) Less(i, j int) bool {
	if !h[i].at.Equal(h[j].at) {
		return h[i].at.Before(h[j].at)
	}
	return h[i].seq < h[j].seq
}
func (h timerHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *timerHeap) Push(x any)   { *h = append(*h, x.(timer)) }
func (h *timerHeap) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	*h = (*h)[:last]
	return t
}

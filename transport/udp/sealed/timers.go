package sealed

import (
	"container/heap"
	"time"
)

// timer is a place in the schedule, embedded in what it wakes.
type timer struct {
	at   time.Time
	seq  uint64 // equal times wake in the order of setting
	spot int    // index in the schedule plus one; zero is not scheduled
}

func (t *timer) clock() *timer { return t }

// sleeper is something the schedule wakes: a call, a handshake, a session.
type sleeper interface {
	clock() *timer
	wake(e *Endpoint, now time.Time, out *Actions)
}

// schedule is a heap of sleepers by time. The zero value is empty.
type schedule struct {
	heap sleepers
	seq  uint64
}

// set schedules s, or moves it if it is scheduled already.
func (c *schedule) set(s sleeper, at time.Time) {
	t := s.clock()
	c.seq++
	t.at, t.seq = at, c.seq
	if t.spot == 0 {
		heap.Push(&c.heap, s)
		return
	}
	heap.Fix(&c.heap, t.spot-1)
}

// clear takes s out of the schedule.
func (c *schedule) clear(s sleeper) {
	if t := s.clock(); t.spot != 0 {
		heap.Remove(&c.heap, t.spot-1)
	}
}

// next is the earliest time set, or the zero time.
func (c *schedule) next() time.Time {
	if len(c.heap) == 0 {
		return time.Time{}
	}
	return c.heap[0].clock().at
}

// due takes out and returns the first sleeper whose time has come, or nil.
func (c *schedule) due(now time.Time) sleeper {
	if len(c.heap) == 0 || c.heap[0].clock().at.After(now) {
		return nil
	}
	return heap.Pop(&c.heap).(sleeper)
}

// sleepers implements heap.Interface.
type sleepers []sleeper

func (h sleepers) Len() int { return len(h) }

func (h sleepers) Less(i, j int) bool {
	a, b := h[i].clock(), h[j].clock()
	if a.at.Equal(b.at) {
		return a.seq < b.seq
	}
	return a.at.Before(b.at)
}

func (h sleepers) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].clock().spot, h[j].clock().spot = i+1, j+1
}

func (h *sleepers) Push(x any) {
	s := x.(sleeper)
	*h = append(*h, s)
	s.clock().spot = len(*h)
}

func (h *sleepers) Pop() any {
	last := len(*h) - 1
	s := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	s.clock().spot = 0
	return s
}

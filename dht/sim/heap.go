package sim

import (
	"time"

	"github.com/staex-mcc/mcc/dht"
)

// eventKind is what an event of the world is.
type eventKind uint8

const (
	tick    eventKind = iota // an engine's deadline
	request                  // a query arrives
	answer                   // an answer arrives
	local                    // something on the node itself: a write, a failure
)

// event is something that happens to a node at a time.
type event struct {
	at   time.Time
	seq  uint64
	kind eventKind
	node *Node
	what dht.Event // of answer and local

	// of request
	from *Node
	send dht.Send
	sent time.Time
}

func (w *World) push(ev event) {
	w.seq++
	ev.seq = w.seq
	w.events.push(ev)
}

// eventHeap is a heap by time, then number.
type eventHeap []event

func (h eventHeap) less(i, j int) bool {
	if !h[i].at.Equal(h[j].at) {
		return h[i].at.Before(h[j].at)
	}
	return h[i].seq < h[j].seq
}

func (h *eventHeap) push(ev event) {
	*h = append(*h, ev)
	s := *h
	for i := len(s) - 1; i > 0; {
		parent := (i - 1) / 2
		if !s.less(i, parent) {
			break
		}
		s[i], s[parent] = s[parent], s[i]
		i = parent
	}
}

func (h *eventHeap) pop() event {
	s := *h
	first, last := s[0], len(s)-1
	s[0] = s[last]
	s[last] = event{}
	s = s[:last]
	*h = s
	for i := 0; ; {
		least := i
		for _, child := range []int{2*i + 1, 2*i + 2} {
			if child < len(s) && s.less(child, least) {
				least = child
			}
		}
		if least == i {
			return first
		}
		s[i], s[least] = s[least], s[i]
		i = least
	}
}

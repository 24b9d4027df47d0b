package mcc

import (
	"context"
	"iter"
	"sync"
	"time"
)

// EventKind says what an Event is about.
type EventKind string

// The kinds of events.
const (
	// EventJoined: a bootnode answered and the node has looked for itself.
	EventJoined EventKind = "joined"
	// EventServiceRegistered, EventServiceWithdrawn: Subject is the name.
	EventServiceRegistered EventKind = "service-registered"
	EventServiceWithdrawn  EventKind = "service-withdrawn"
	// EventServiceHealth: a health check changed its mind; Detail tells.
	EventServiceHealth EventKind = "service-health"
	// EventListenerAdded, EventListenerRemoved: Subject is the listener's id.
	EventListenerAdded   EventKind = "listener-added"
	EventListenerRemoved EventKind = "listener-removed"
	// EventBlobAdded, EventBlobRemoved: this node has a BLOB, put or fetched, or
	// has it no more; Subject is its id.
	EventBlobAdded   EventKind = "blob-added"
	EventBlobRemoved EventKind = "blob-removed"
	// EventDIDPublished: the node's DID document has a new version; Subject is
	// the DID.
	EventDIDPublished EventKind = "did-published"
	// EventRefused: a peer wanted a stream it may not have; Subject is its id.
	EventRefused EventKind = "refused"
)

// Event is something that happened to a node.
type Event struct {
	// Seq counts the node's events from 1.
	Seq     uint64
	Time    time.Time
	Kind    EventKind
	Subject string
	Detail  string
}

// eventBuffer is how many events a slow reader may be behind; then the oldest
// it has not read are dropped and counted.
const eventBuffer = 256

// eventHub hands events to every reader. Emitting never blocks.
type eventHub struct {
	mu      sync.Mutex
	seq     uint64
	dropped uint64
	readers map[chan Event]struct{}
	closed  bool
}

func newEventHub() *eventHub { return &eventHub{readers: make(map[chan Event]struct{})} }

func (h *eventHub) emit(e Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seq++
	e.Seq, e.Time = h.seq, time.Now()
	for r := range h.readers {
		select {
		case r <- e:
			continue
		default:
		}
		select { // full: make room by dropping the oldest
		case <-r:
			h.dropped++
		default:
		}
		select {
		case r <- e:
		default:
			h.dropped++
		}
	}
}

func (h *eventHub) subscribe() (chan Event, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, false
	}
	r := make(chan Event, eventBuffer)
	h.readers[r] = struct{}{}
	return r, true
}

func (h *eventHub) unsubscribe(r chan Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.readers, r)
}

func (h *eventHub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for r := range h.readers {
		close(r)
		delete(h.readers, r)
	}
}

func (h *eventHub) droppedCount() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.dropped
}

// Events yields what happens from now on, until ctx ends, the loop does, or the
// node closes. A reader that is more than 256 events behind loses the oldest;
// Seq shows the gap.
func (n *Node) Events(ctx context.Context) iter.Seq[Event] {
	return func(yield func(Event) bool) {
		r, ok := n.events.subscribe()
		if !ok {
			return
		}
		defer n.events.unsubscribe(r)
		for {
			select {
			case e, ok := <-r:
				if !ok || !yield(e) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

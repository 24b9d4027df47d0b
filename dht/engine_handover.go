package dht

import (
	"slices"
	"time"
)

// Bounds of handing over (spec 6.6).
const (
	// maxNewcomers bounds the new neighbours that wait to be handed records;
	// past it they wait for the owners' next offer.
	maxNewcomers = 64
	// handoversAtOnce bounds the records being handed over, handoversEach those
	// to one newcomer, handoverSlice the records looked at in one go.
	handoversAtOnce = 8
	handoversEach   = 2
	handoverSlice   = 512
	handoverPause   = 10 * time.Millisecond
	// handoverFailures in a row, or handoverTime, are the end for a newcomer:
	// what it lacks then comes with the owners' next offers.
	handoverFailures = 3
	handoverTime     = 30 * time.Minute
	// handoverWidth is how many of the nearest holders hand a record on: more
	// than one, since it may be hostile, and not all of them.
	handoverWidth = 3
)

// handover is the queue of new neighbours to be handed records. They are served
// in turn, so that none holds up another.
type handover struct {
	settled bool // what was seated before has been there before
	queue   []*newcomer
	running int
	timer   bool
}

// newcomer is a new neighbour and what it was offered.
type newcomer struct {
	node
	cursor   int // the first record not looked at
	running  int
	failures int // in a row
	until    time.Time
}

// handOver queues a node that just got a seat.
func (e *Engine) handOver(n node) {
	h := &e.handover
	if !h.settled || len(e.items.sorted) == 0 {
		return
	}
	if i := slices.IndexFunc(h.queue, func(to *newcomer) bool { return to.ID == n.ID }); i >= 0 {
		h.queue[i].node, h.queue[i].cursor = n, 0
		return
	}
	if len(h.queue) >= maxNewcomers {
		e.stats.HandoversDropped++
		return
	}
	h.queue = append(h.queue, &newcomer{node: n, until: e.now.Add(handoverTime)})
	e.runHandover()
}

// runHandover looks at a slice of the records. A record that comes or goes
// meanwhile may be passed over; its owner offers it again.
func (e *Engine) runHandover() {
	h := &e.handover
	if h.timer {
		return
	}
	for range handoverSlice {
		to := h.next()
		if to == nil || h.running >= handoversAtOnce {
			return
		}
		switch {
		case e.now.After(to.until):
			e.giveUp(to)
		case to.cursor >= len(e.items.sorted):
			h.remove(to)
		default:
			held := e.items.sorted[to.cursor]
			to.cursor++
			e.offer(held, to)
		}
	}
	h.timer = true
	e.timers.set(e.now.Add(handoverPause), timerHandOver, 0)
}

// next is the first newcomer that may be offered something now; it goes to the
// end of the queue.
func (h *handover) next() *newcomer {
	i := slices.IndexFunc(h.queue, func(to *newcomer) bool { return to.running < handoversEach })
	if i < 0 {
		return nil
	}
	to := h.queue[i]
	h.queue = append(slices.Delete(h.queue, i, i+1), to)
	return to
}

// remove takes a newcomer out of the queue; what is under way to it goes on.
func (h *handover) remove(to *newcomer) {
	h.queue = slices.DeleteFunc(h.queue, func(other *newcomer) bool { return other == to })
}

// giveUp drops a newcomer that does not take what it is offered.
func (e *Engine) giveUp(to *newcomer) {
	e.handover.remove(to)
	e.stats.HandoversDropped++
}

// offer sends a newcomer the record, if it is owed.
func (e *Engine) offer(held *heldItem, to *newcomer) {
	if !e.owes(held, to.node) {
		return
	}
	e.handover.running++
	to.running++
	e.send(&sent{purpose: forHandover, to: to.Contact, newcomer: to, query: &Query{Kind: KindPut, Item: held.Item}})
}

// handedOver goes on after a newcomer answered: if it wants the whole of what it
// was offered, that follows over a stream.
func (e *Engine) handedOver(s *sent, a *Answer) {
	if a.Status == StatusWanted && !s.stream {
		e.send(&sent{purpose: forHandover, to: s.to, newcomer: s.newcomer, query: s.query, stream: true})
		return
	}
	s.newcomer.failures = 0
	e.offerEnded(s.newcomer)
}

// handOverFailed goes on after a newcomer did not answer, unless the cause lay
// here.
func (e *Engine) handOverFailed(s *sent, here bool) {
	to := s.newcomer
	if !here {
		to.failures++
	}
	if to.failures == handoverFailures && slices.Contains(e.handover.queue, to) {
		e.giveUp(to)
	}
	e.offerEnded(to)
}

func (e *Engine) offerEnded(to *newcomer) {
	to.running--
	e.handover.running--
	e.runHandover()
}

// owes reports whether it is this node's turn to hand a record to a newcomer:
// the newcomer is among the nearest to it, and so is this node.
func (e *Engine) owes(h *heldItem, to node) bool {
	if h.Item.expired(e.now) || to.ID == h.Item.Owner {
		return false
	}
	nearer, among := 0, false
	for _, n := range e.table.closest(h.Item.Key, bucketSize, false) {
		switch {
		case n.ID == to.ID:
			among = true
		case compareDistance(h.Item.Key, n.key, e.key) < 0:
			nearer++
		}
	}
	return among && nearer < handoverWidth
}

package dht

import (
	"slices"
	"time"
)

// Schedules of republishing and handing over (spec 6.6).
const (
	// publishInterval is between offers of an own record; publishesAtOnce
	// bounds those under way, the rest waits.
	publishInterval = 10 * time.Minute
	publishesAtOnce = 4
	// maxNewcomers bounds the new neighbours that wait to be handed records;
	// past it they wait for the owners' next offer.
	maxNewcomers = 64
	// handoversAtOnce bounds the records being handed over, handoverSlice the
	// records looked at in one go.
	handoversAtOnce = 8
	handoverSlice   = 512
	handoverPause   = 10 * time.Millisecond
	// handoverWidth is how many of the nearest holders hand a record on: more
	// than one, since it may be hostile, and not all of them.
	handoverWidth = 3
)

// publish is the schedule of own records. Every entry is set to the same
// interval from now, so the queue is in order of time by itself.
type publish struct {
	queue   []publication
	running int
	timed   time.Time // the timer that is set
}

// publication is stale when the record has been scheduled again since.
type publication struct {
	held *heldItem
	at   time.Time
}

func (e *Engine) publishLater(h *heldItem) {
	e.schedule(h, e.now.Add(publishInterval))
}

func (e *Engine) schedule(h *heldItem, at time.Time) {
	h.publish = at
	e.publish.queue = append(e.publish.queue, publication{h, at})
	e.timePublish()
}

// publishNow offers all own records at once, as far as the bounds allow.
func (e *Engine) publishNow() {
	e.publish.queue = e.publish.queue[:0]
	for _, h := range e.items.sorted {
		if h.Own {
			e.schedule(h, e.now)
		}
	}
}

func (e *Engine) timePublish() {
	if len(e.publish.queue) == 0 || e.publish.running >= publishesAtOnce {
		return
	}
	if at := e.publish.queue[0].at; !at.Equal(e.publish.timed) {
		e.publish.timed = at
		e.timers.set(at, timerRepublish, 0)
	}
}

// republishDue offers the own records that are due.
func (e *Engine) republishDue() {
	p := &e.publish
	p.timed = time.Time{}
	for len(p.queue) > 0 && p.running < publishesAtOnce && !p.queue[0].at.After(e.now) {
		next := p.queue[0]
		p.queue = slices.Delete(p.queue, 0, 1)
		h := next.held
		if e.items.byKey[h.Item.Key] != h || !h.publish.Equal(next.at) || !h.living(e.now) {
			continue
		}
		p.running++
		e.publishLater(h)
		op := &operation{task: Task{Kind: TaskPut, Item: e.renewed(h)}, then: (*Engine).republished}
		op.walk(e, h.Item.Key, bucketSize, WantContacts)
	}
	e.timePublish()
}

// renewed is what to offer of an own item. The expiry of an immutable value is
// moved on when half of its life is over: more often would only make every
// holder write.
func (e *Engine) renewed(h *heldItem) *Item {
	it := h.Item
	if !it.Immutable() || it.Expires.Sub(e.now) > RecordLife/2 {
		return it
	}
	longer := it.with(it.Value)
	longer.Expires = wholeSeconds(e.now.Add(RecordLife))
	e.storeItem(Kept{Item: longer, Own: true}, &write{})
	return longer
}

func (e *Engine) republished(*operation) {
	e.publish.running--
	e.timePublish()
}

// handover is the queue of new neighbours to be handed records.
type handover struct {
	settled bool // what was seated before has been there before
	queue   []node
	cursor  int
	running int
	timer   bool
}

// handOver queues a node that just got a seat.
func (e *Engine) handOver(n node) {
	h := &e.handover
	if !h.settled || len(e.items.sorted) == 0 {
		return
	}
	if len(h.queue) >= maxNewcomers {
		e.stats.HandoversDropped++
		return
	}
	h.queue = append(h.queue, n)
	e.runHandover()
}

// runHandover looks at a slice of the records for the first newcomer. A record
// that comes or goes meanwhile may be passed over; its owner offers it again.
func (e *Engine) runHandover() {
	h := &e.handover
	if h.timer {
		return
	}
	for range handoverSlice {
		if len(h.queue) == 0 || h.running >= handoversAtOnce {
			return
		}
		if h.cursor >= len(e.items.sorted) {
			h.queue, h.cursor = slices.Delete(h.queue, 0, 1), 0
			continue
		}
		held := e.items.sorted[h.cursor]
		h.cursor++
		if to := h.queue[0]; e.owes(held, to) {
			h.running++
			e.send(&sent{purpose: forHandover, to: to.Contact, query: &Query{Kind: KindPut, Item: held.Item}})
		}
	}
	h.timer = true
	e.timers.set(e.now.Add(handoverPause), timerHandOver, 0)
}

// handedOver goes on after a newcomer answered: if it wants the whole of what it
// was offered, that follows over a stream.
func (e *Engine) handedOver(s *sent, a *Answer) {
	if a.Status == StatusWanted && !s.stream {
		e.send(&sent{purpose: forHandover, to: s.to, query: s.query, stream: true})
		return
	}
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

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
	held *heldRecord
	at   time.Time
}

// restoreRecords takes over the records of an earlier run.
func (e *Engine) restoreRecords(records []Record) {
	for i := range records {
		r := &records[i]
		key := r.Key()
		full := len(e.records.sorted) >= e.records.limit || !e.records.room(key, r.Owner)
		if full || e.records.byKey[key] != nil || recordExpired(r, e.now) {
			continue
		}
		held := e.records.insert(key, r)
		if r.Owner == e.self {
			e.publishLater(held)
		}
	}
}

func (e *Engine) publishLater(h *heldRecord) {
	e.schedule(h, e.now.Add(publishInterval))
}

func (e *Engine) schedule(h *heldRecord, at time.Time) {
	h.publish = at
	e.publish.queue = append(e.publish.queue, publication{h, at})
	e.timePublish()
}

// publishNow offers all own records at once, as far as the bounds allow.
func (e *Engine) publishNow() {
	e.publish.queue = e.publish.queue[:0]
	for _, h := range e.records.sorted {
		if h.record.Owner == e.self {
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
		if e.records.byKey[h.key] != h || !h.publish.Equal(next.at) || recordExpired(h.record, e.now) {
			continue
		}
		p.running++
		e.publishLater(h)
		op := &operation{task: Task{Kind: TaskPutRecord, Record: h.record}, then: (*Engine).republished}
		op.walk(e, h.key, bucketSize, WantContacts)
	}
	e.timePublish()
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
	if !h.settled || len(e.records.sorted) == 0 {
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
		if h.cursor >= len(e.records.sorted) {
			h.queue, h.cursor = slices.Delete(h.queue, 0, 1), 0
			continue
		}
		held := e.records.sorted[h.cursor]
		h.cursor++
		if to := h.queue[0]; e.owes(held, to) {
			h.running++
			e.send(&sent{purpose: forHandover, to: to.Contact, query: &Query{Kind: KindPutRecord, Record: held.record}})
		}
	}
	h.timer = true
	e.timers.set(e.now.Add(handoverPause), timerHandOver, 0)
}

// owes reports whether it is this node's turn to hand a record to a newcomer:
// the newcomer is among the nearest to it, and so is this node.
func (e *Engine) owes(h *heldRecord, to node) bool {
	if recordExpired(h.record, e.now) || to.ID == h.record.Owner {
		return false
	}
	nearer, among := 0, false
	for _, n := range e.table.closest(h.key, bucketSize, false) {
		switch {
		case n.ID == to.ID:
			among = true
		case compareDistance(h.key, n.key, e.key) < 0:
			nearer++
		}
	}
	return among && nearer < handoverWidth
}

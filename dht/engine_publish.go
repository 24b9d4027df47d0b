package dht

import (
	"slices"
	"time"
)

// Schedule of republishing (spec 6.6).
const (
	// publishInterval is between offers of an own record; publishesAtOnce
	// bounds those under way, the rest waits.
	publishInterval = 10 * time.Minute
	publishesAtOnce = 4
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

package dht

import (
	"fmt"
	"slices"
)

// errFullHere is why a put failed on this node's own bounds.
var errFullHere = fmt.Errorf("store here: %w", ErrBusy)

// keepItem stores the item here before others are asked.
func (op *operation) keepItem(e *Engine) {
	it := op.task.Item
	kept := Kept{Item: it, Own: op.task.Own, Payer: it.Owner}
	if it.Immutable() {
		kept.Payer = e.self
	}
	status, waits, _ := e.storeItem(kept, &write{op: op})
	if waits {
		return
	}
	if err := statusError(status); err != nil {
		op.finish(e, err)
		return
	}
	op.itemStored(e, nil)
}

// itemStored goes on when the item is on disk here: others are offered what the
// memory has of it.
func (op *operation) itemStored(e *Engine, err error) {
	switch {
	case op.ended:
	case err == nil:
		op.task.Item = op.task.Item.kept()
		op.walk(e, op.task.Item.Key, bucketSize, WantContacts)
	default:
		op.finish(e, fmt.Errorf("store here: %w", err))
	}
}

// keepLease holds the lease here before others are asked.
func (op *operation) keepLease(e *Engine) {
	l := op.task.Lease
	status, _ := e.leases.put(l, Contact{}.Addr, e.now)
	if err := statusError(status); err != nil {
		op.finish(e, err)
		return
	}
	op.walk(e, l.Key, leaseHolders, WantContacts)
}

func statusError(s Status) error {
	switch s {
	case StatusOutdated:
		return ErrOutdated
	case StatusFull:
		return errFullHere
	case StatusExpired:
		return fmt.Errorf("%w: it has expired or lasts too long", ErrMalformed)
	}
	return nil
}

// placeAll starts asking the nearest to keep it. In reserve are those that the
// lookup heard of and did not need to ask.
func (op *operation) placeAll(e *Engine) {
	op.walked = true
	for _, n := range slices.Concat(op.lookup.nearest(), op.lookup.in(fresh)) {
		op.places = append(op.places, &place{node: n})
	}
	op.placeMore(e)
}

// placeMore keeps as many requests under way as acknowledgements are missing,
// the nearest first, and ends the put when nothing more can come. A slow node
// is replaced by the next, as in a lookup.
func (op *operation) placeMore(e *Engine) {
	if op.ended {
		return
	}
	running, late := op.acks, 0
	for _, p := range op.places {
		switch p.state {
		case waiting:
			running++
		case slow:
			late++
		}
	}
	for _, p := range op.places {
		if running >= op.lookup.width || op.newer {
			break
		}
		if p.state == fresh {
			p.state = waiting
			running++
			e.send(&sent{purpose: forPut, to: p.Contact, op: op, place: p, query: op.putQuery()})
		}
	}
	if running > op.acks || op.acks < op.lookup.width && late > 0 && !op.newer {
		return
	}
	var err error
	if op.newer {
		err = ErrOutdated
	}
	op.finish(e, err)
}

func (op *operation) putQuery() *Query {
	if op.task.Kind == TaskPut {
		return &Query{Kind: KindPut, Item: op.task.Item}
	}
	return &Query{Kind: KindPutLease, Lease: op.task.Lease}
}

// put handles a holder's answer.
func (op *operation) put(e *Engine, s *sent, a *Answer) {
	switch {
	case op.ended && a.Status != StatusStored:
		return
	case a.Status == StatusStored:
		s.place.state = answered
		op.acks++
	case a.Status == StatusWanted && !s.stream && !op.newer:
		// The place stays as it is: somebody slow may be replaced meanwhile.
		e.send(&sent{purpose: forPut, to: s.to, op: op, place: s.place, query: s.query, stream: true})
		return
	default:
		s.place.state = failed
		op.outdated(e, a)
	}
	op.placeMore(e)
}

func (op *operation) putFailed(e *Engine, s *sent) {
	s.place.state = failed
	op.placeMore(e)
}

// outdated believes that a newer version exists only when it sees one.
func (op *operation) outdated(e *Engine, a *Answer) {
	mine := op.task
	switch {
	case a.Item != nil && mine.Item != nil:
		it := mine.Item
		if a.Item.Key == it.Key && compareItems(a.Item, it) > 0 && !sameVersion(a.Item, it) {
			op.newer = true
			e.catchUp(a.Item)
		}
	case a.Lease != nil && mine.Lease != nil:
		l := mine.Lease
		if a.Lease.Key == l.Key && a.Lease.Provider == l.Provider && compareLeases(a.Lease, l) > 0 {
			op.newer = true
		}
	}
}

// catchUp gets hold of a newer version of what is held here; of a large one a
// read by the node itself has to bring the value.
func (e *Engine) catchUp(it *Item) {
	if it.Whole() {
		e.adopt(it)
		return
	}
	op := &operation{task: Task{Kind: TaskGet, Key: it.Key}}
	op.get(e)
}

// adopt keeps a newer version of what is held here anyway. An immutable value
// has none.
func (e *Engine) adopt(it *Item) {
	h := e.items.byKey[it.Key]
	if h != nil && it.Whole() && !it.Immutable() && compareItems(it, h.Item) > 0 {
		e.storeItem(Kept{Item: it, Payer: it.Owner}, &write{})
	}
}

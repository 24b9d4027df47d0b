package dht

import (
	"fmt"
	"slices"
)

// errFullHere is why a put failed on this node's own bounds.
var errFullHere = fmt.Errorf("store here: %w", ErrBusy)

// keepRecord stores the record here before others are asked.
func (op *operation) keepRecord(e *Engine) {
	status, waits, _ := e.storeRecord(op.task.Record, &write{op: op})
	if waits {
		return
	}
	if err := statusError(status); err != nil {
		op.finish(e, err)
		return
	}
	op.walk(e, op.task.Record.Key(), bucketSize, WantContacts)
}

// recordStored goes on when the record is on disk here.
func (op *operation) recordStored(e *Engine, err error) {
	switch {
	case op.ended:
	case err == nil:
		op.walk(e, op.task.Record.Key(), bucketSize, WantContacts)
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
	op.placing = true
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
	if op.task.Kind == TaskPutRecord {
		return &Query{Kind: KindPutRecord, Record: op.task.Record}
	}
	return &Query{Kind: KindPutLease, Lease: op.task.Lease}
}

// put handles a holder's answer.
func (op *operation) put(e *Engine, s *sent, a *Answer) {
	s.place.state = answered
	if a.Status == StatusStored {
		op.acks++
	} else {
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
	case a.Record != nil && mine.Record != nil:
		if a.Record.Key() == mine.Record.Key() && compareRecords(a.Record, mine.Record) > 0 {
			op.newer = true
			e.adopt(a.Record)
		}
	case a.Lease != nil && mine.Lease != nil:
		l := mine.Lease
		if a.Lease.Key == l.Key && a.Lease.Provider == l.Provider && compareLeases(a.Lease, l) > 0 {
			op.newer = true
		}
	}
}

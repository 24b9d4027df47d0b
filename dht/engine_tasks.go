package dht

import (
	"time"

	"github.com/staex-mcc/mcc/identity"
)

// Bounds of the operations of this node (spec 6.5).
const (
	// readWidth is how many of the nearest must have answered before a read
	// that found something ends.
	readWidth = 3
	// maxOps bounds the operations at a time; past it new ones are ErrBusy.
	maxOps = 1024
	// maxSeeds bounds the seeds asked by one join; the rest is ignored.
	maxSeeds = 32
	// maxPages bounds the pages of leases taken from one node.
	maxPages = 64
	// maxFoundLeases bounds the providers one read returns: the first ones in
	// order of provider.
	maxFoundLeases = 4096
	// patience is how long any one node is waited for when others answered.
	patience = 1500 * time.Millisecond
)

// operation is a task under way: a lookup, and for a put the placement after.
type operation struct {
	id     uint64 // 0 for the node's own upkeep
	task   Task
	lookup *lookup
	wants  Wants
	ended  bool
	then   func(*Engine, *operation) // what the upkeep does after

	seeds     int // not yet heard of
	seedHeard bool
	pages     int // under way and waited for
	queries   int

	record  *Record // the best so far
	leases  []*foundLease
	placing bool
	places  []*place
	acks    int
	newer   bool // somebody showed a newer version
}

// place is a node that is asked to keep something.
type place struct {
	node
	state candidateState
}

// start begins an operation that this node's program asked for.
func (e *Engine) start(ev Asked) {
	if len(e.ops) >= maxOps {
		e.stats.OpsRefused++
		e.actions.Results = append(e.actions.Results, Result{Op: ev.Op, Err: ErrBusy})
		return
	}
	op := &operation{id: ev.Op, task: ev.Task}
	e.ops[ev.Op] = op
	op.begin(e)
}

// cancel forgets an operation; what comes back for it still teaches the table.
func (e *Engine) cancel(id uint64) {
	if op := e.ops[id]; op != nil {
		op.ended = true
		delete(e.ops, id)
		if op.task.Kind == TaskJoin {
			e.joins--
			e.refreshSelf()
		}
	}
}

func (op *operation) begin(e *Engine) {
	switch t := op.task; t.Kind {
	case TaskJoin:
		op.join(e)
	case TaskFindPeer:
		op.findPeer(e)
	case TaskFindNearest:
		op.walk(e, t.Key, bucketSize, WantContacts)
	case TaskPutRecord:
		op.keepRecord(e)
	case TaskGetRecord:
		op.record = e.records.get(t.Key, e.now)
		op.walk(e, t.Key, readWidth, WantContacts|WantRecord)
	case TaskPutLease:
		op.keepLease(e)
	case TaskFindLeases:
		for l := range e.leases.after(t.Key, identity.ID{}, e.now) {
			op.mergeLease(l)
		}
		op.walk(e, t.Key, readWidth, WantContacts|WantLeases)
	case TaskContacts:
		op.finish(e, nil)
	}
}

// walk starts the lookup from the own table.
func (op *operation) walk(e *Engine, target Key, width int, wants Wants) {
	op.prepare(e, target, width, wants)
	for _, n := range e.table.closest(target, bucketSize, false) {
		op.lookup.add(n, 1)
	}
	if len(op.lookup.candidates) == 0 {
		// All are doubtful: better them than nobody.
		for _, n := range e.table.closest(target, bucketSize, true) {
			op.lookup.add(n, 1)
		}
	}
	op.advance(e)
}

func (op *operation) prepare(e *Engine, target Key, width int, wants Wants) {
	op.lookup = newLookup(target, e.key, width, e.alpha, e.rtt)
	op.wants = wants
	e.table.touch(target, e.now)
	e.stats.Lookups++
}

// advance asks whom the lookup wants asked and ends it when it is done.
func (op *operation) advance(e *Engine) {
	if op.ended || op.placing {
		return
	}
	for c := op.lookup.next(); c != nil; c = op.lookup.next() {
		op.queries++
		e.send(&sent{
			purpose: forLookup, to: c.Contact, op: op, candidate: c,
			query: &Query{Kind: KindFind, Target: op.lookup.target, Wants: op.wants},
		})
	}
	if op.pages > 0 || !op.lookup.done(op.emptyHanded()) {
		return
	}
	if op.emptyHanded() && op.widen() {
		op.advance(e)
		return
	}
	op.arrived(e)
}

// emptyHanded reports whether a read found nothing yet.
func (op *operation) emptyHanded() bool {
	switch op.task.Kind {
	case TaskFindPeer:
		return true
	case TaskGetRecord:
		return op.record == nil
	case TaskFindLeases:
		return len(op.leases) == 0
	}
	return false
}

// widen makes a read that found nothing ask all who might hold it.
func (op *operation) widen() bool {
	width := bucketSize
	if op.task.Kind == TaskFindLeases {
		width = leaseHolders
	}
	if op.lookup.width == width {
		return false
	}
	op.lookup.width = width
	return true
}

// arrived goes on after the lookup.
func (op *operation) arrived(e *Engine) {
	switch op.task.Kind {
	case TaskPutRecord, TaskPutLease:
		op.placeAll(e)
	case TaskFindPeer:
		op.finish(e, ErrNotFound)
	case TaskGetRecord:
		if op.record == nil {
			op.finish(e, ErrNotFound)
			return
		}
		e.adopt(op.record)
		op.finish(e, nil)
	default:
		op.finish(e, nil)
	}
}

// found handles a candidate's answer.
func (op *operation) found(e *Engine, s *sent, a *Answer) {
	op.lookup.answer(s.candidate, e.now.Sub(s.at))
	if op.ended {
		return
	}
	for _, c := range a.Contacts[:min(len(a.Contacts), bucketSize)] {
		if sendable(c.Addr) && !c.ID.IsZero() && !op.lookup.crowded(c) {
			op.lookup.add(op.known(e, c), s.candidate.hop+1)
		}
	}
	op.collect(e, a)
	op.nextPage(e, s.to, a, 1)
	if op.task.Kind == TaskFindPeer && s.to.ID == op.task.Peer {
		op.finish(e, nil, s.to)
		return
	}
	op.advance(e)
}

// known prefers the address that this node has verified itself.
func (op *operation) known(e *Engine, c Contact) node {
	n := newNode(c)
	if s := e.table.get(n.key); s != nil && s.failures == 0 {
		n.Addr = s.Addr
	}
	return n
}

// delayed handles a soft timeout of one of the operation's queries.
func (op *operation) delayed(e *Engine, s *sent) {
	switch s.purpose {
	case forLookup:
		if op.lookup.delay(s.candidate) {
			op.advance(e)
		}
	case forPage:
		// Nobody else can give this page, so it gets all the patience.
		if s.delays == 2 && s.place.state == waiting {
			op.pageFailed(e, s)
		}
	case forPut:
		switch {
		case s.place.state == waiting:
			s.place.state = slow
		case s.place.state == slow:
			s.place.state = lost
		}
		op.placeMore(e)
	}
}

// soft is how long a query of this operation may take before others are asked.
func (op *operation) soft() time.Duration {
	if op.lookup == nil {
		return softUnknown
	}
	return op.lookup.soft()
}

// finish ends the operation and reports to whoever asked.
func (op *operation) finish(e *Engine, err error, contacts ...Contact) {
	op.ended = true
	if op.id == 0 {
		if op.then != nil {
			op.then(e, op)
		}
		return
	}
	delete(e.ops, op.id)
	r := Result{Op: op.id, Err: err, Contacts: contacts, Acks: op.acks, Queries: op.queries}
	if op.lookup != nil {
		r.Hops = op.lookup.hops()
	}
	switch op.task.Kind {
	case TaskFindNearest:
		for _, n := range op.lookup.nearest() {
			r.Contacts = append(r.Contacts, n.Contact)
		}
		r.Contacts = r.Contacts[:min(len(r.Contacts), bucketSize)]
	case TaskGetRecord:
		r.Record = op.record
	case TaskFindLeases:
		r.Leases = op.livingLeases(e.now)
	case TaskContacts:
		r.Contacts = e.contacts()
	case TaskJoin:
		e.joins--
		if err == nil {
			r.Contacts = e.contacts()
			e.joined()
		}
	}
	e.actions.Results = append(e.actions.Results, r)
}

// contacts are the verified contacts, nearest first.
func (e *Engine) contacts() (contacts []Contact) {
	for _, n := range e.table.closest(e.key, e.table.size, false) {
		contacts = append(contacts, n.Contact)
	}
	return contacts
}

// findPeer answers from the table if the peer was heard of lately.
func (op *operation) findPeer(e *Engine) {
	key := KeyOf(op.task.Peer)
	if s := e.table.get(key); s != nil && s.failures == 0 && e.now.Sub(s.heard) < freshSeat {
		op.finish(e, nil, s.Contact)
		return
	}
	op.walk(e, key, readWidth, WantContacts)
}

// adopt keeps a newer version of what is held here anyway.
func (e *Engine) adopt(r *Record) {
	if h := e.records.byKey[r.Key()]; h != nil && compareRecords(r, h.record) > 0 {
		e.storeRecord(r, &write{})
	}
}

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
	// streamSoft and streamPatience are for what goes over a stream, which may
	// have to be opened first.
	streamSoft     = time.Second
	streamPatience = 8 * time.Second
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

	sightings []*sighting // of what is read
	item      *Item       // what was got
	leases    []*foundLease
	despaired bool // asked the doubtful too
	walked    bool // the lookup is over: placing or fetching
	places    []*place
	acks      int
	newer     bool // somebody showed a newer version
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
	case TaskPut:
		op.keepItem(e)
	case TaskGet:
		op.get(e)
	case TaskOwn:
		op.ownItem(e)
	case TaskDrop:
		op.drop(e)
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
	op.advance(e)
}

// desperate adds the doubtful ones of the table, once, after nobody else
// answered: better them than nobody. It returns whether there are any.
func (op *operation) desperate(e *Engine) bool {
	if op.despaired || op.lookup.answers > 0 {
		return false
	}
	op.despaired = true
	before := len(op.lookup.candidates)
	for _, n := range e.table.closest(op.lookup.target, bucketSize, true) {
		op.lookup.add(n, 1)
	}
	return len(op.lookup.candidates) > before
}

func (op *operation) prepare(e *Engine, target Key, width int, wants Wants) {
	op.lookup = newLookup(target, e.key, width, e.alpha, e.rtt)
	op.wants = wants
	e.table.touch(target, e.now)
	e.stats.Lookups++
}

// advance asks whom the lookup wants asked and ends it when it is done.
func (op *operation) advance(e *Engine) {
	if op.ended || op.walked {
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
	if op.desperate(e) || op.emptyHanded() && op.widen() {
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
	case TaskGet:
		return len(op.sightings) == 0
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
	case TaskPut, TaskPutLease:
		op.placeAll(e)
	case TaskFindPeer:
		op.finish(e, ErrNotFound)
	case TaskGet:
		op.walked = true
		op.fetch(e)
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
	op.collect(e, s.to, a)
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
	case forFetch:
		if s.sighting.state == waiting {
			s.sighting.state = slow
			op.fetch(e)
		}
	}
}

// soft is how long a query may take before others are asked as well.
func (s *sent) soft() time.Duration {
	switch {
	case s.stream:
		return streamSoft
	case s.op.lookup == nil:
		return softUnknown
	}
	return s.op.lookup.soft()
}

// patience is how long a query is waited for when others answered.
func (s *sent) patience() time.Duration {
	if s.stream {
		return streamPatience
	}
	return patience
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
	case TaskGet, TaskOwn:
		r.Item = op.item
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

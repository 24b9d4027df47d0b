package dht

import (
	"math/rand/v2"
	"time"

	"github.com/staex-mcc/mcc/identity"
)

// EngineConfig makes an engine.
type EngineConfig struct {
	// Self is the node's id; required.
	Self identity.ID
	// Alpha is the number of parallel queries of a lookup; zero is 3.
	Alpha int
	// Rand makes all choices; required, and the engine's alone from now on.
	Rand *rand.Rand
	// Contacts are those of an earlier run, to be checked.
	Contacts []Contact
	// Items are those of an earlier run, already durable; of large ones the
	// heads do.
	Items []Kept
}

// defaultAlpha is the parallelism of a lookup where none is given.
const defaultAlpha = 3

// rttWeight is the share of a new sample in the smoothed round trip, 1 in 8.
const rttWeight = 8

// Engine is the whole protocol of one node as a state machine: no clock, lock,
// goroutine, socket or logger. The same events at the same times from the same
// Rand give the same actions.
//
// The caller's duties: feed each event to Step with a time that never goes
// back, carry out the Actions before the next one, answer each Send with one
// Answered or Failed and each Write with one Stored, and send a Tick when
// NextDeadline has come. An engine is not safe for concurrent use.
type Engine struct {
	self    identity.ID
	key     Key
	alpha   int
	rng     *rand.Rand
	now     time.Time
	actions Actions
	timers  timers
	stats   Stats

	table  *table
	items  *itemStore
	leases *leaseStore
	rtt    time.Duration // smoothed over all queries

	ops    map[uint64]*operation
	sends  map[uint64]*sent
	writes map[uint64]*write
	lastID uint64
	joins  int // under way

	checks   checks
	refresh  refresh
	publish  publish
	handover handover
	erasures erasures
}

// purpose is what a query was sent for.
type purpose uint8

const (
	forLookup purpose = iota
	forSeed
	forPage
	forPut
	forFetch
	forCheck
	forProbe
	forHandover
)

// sent is a query under way.
type sent struct {
	purpose   purpose
	to        Contact
	query     *Query
	at        time.Time
	delays    int // soft timeouts so far
	op        *operation
	stream    bool
	candidate *candidate // forLookup
	place     *place     // forPut and forPage
	sighting  *sighting  // forFetch
	page      int        // forPage
	newcomer  *newcomer  // forHandover
}

// Stats counts what an engine did since its start.
type Stats struct {
	// Seats, Records, Values and Leases are how many there are now, ValueBytes
	// how long the values of records and immutable ones kept for others are.
	Seats, Records, Values, Leases int
	ValueBytes                     int
	// Lookups and Queries are those of this node.
	Lookups, Queries uint64
	// ChecksDropped are strangers not checked since the queue was full.
	ChecksDropped uint64
	// HandoversDropped are newcomers not handed records for the same reason,
	// and those that did not take them.
	HandoversDropped uint64
	// RefreshesDropped are bucket refreshes left to the next round.
	RefreshesDropped uint64
	// RequestsRefused are peers' requests refused since too many waited, or too
	// many large ones were at work; the engine itself refuses none.
	RequestsRefused uint64
	// OpsRefused are operations refused with ErrBusy.
	OpsRefused uint64
	// Refused, Evicted and Expired are about what is held for others;
	// immutable values count as records. RecordsLost are those whose large
	// value was found damaged or missing in the store.
	RecordsRefused, RecordsEvicted, RecordsExpired uint64
	RecordsLost                                    uint64
	LeasesRefused, LeasesEvicted, LeasesExpired    uint64
	// Erasing is how many items no longer held wait for their deletion from
	// the disk, ErasuresFailed how many deletions failed and were made again.
	Erasing        int
	ErasuresFailed uint64
	// Past is how many expired records' versions are remembered, so that an
	// older one does not come back; PastDropped were not, for want of room.
	Past        int
	PastDropped uint64
}

// NewEngine makes an engine that starts at now. Nothing happens before the
// first Step.
func NewEngine(cfg EngineConfig, now time.Time) *Engine {
	key := KeyOf(cfg.Self)
	e := &Engine{
		self: cfg.Self, key: key, alpha: cfg.Alpha, rng: cfg.Rand, now: now,
		table: newTable(key), items: newItemStore(cfg.Self), leases: newLeaseStore(cfg.Self),
		ops: map[uint64]*operation{}, sends: map[uint64]*sent{}, writes: map[uint64]*write{},
	}
	if e.alpha == 0 {
		e.alpha = defaultAlpha
	}
	e.checks.start(now)
	e.restoreContacts(cfg.Contacts)
	e.restoreItems(cfg.Items)
	e.startUpkeep()
	return e
}

// Step handles one event and returns what to do about it; see Actions for how
// long that is valid.
func (e *Engine) Step(now time.Time, ev Event) *Actions {
	e.actions.reset()
	if now.After(e.now) {
		e.now = now
	}
	switch ev := ev.(type) {
	case Received:
		e.receive(ev)
	case Answered:
		e.answered(ev)
	case Failed:
		e.failed(ev)
	case Asked:
		e.start(ev)
	case Cancelled:
		e.cancel(ev.Op)
	case Stored:
		e.stored(ev)
	case Lost:
		e.lose(ev)
	}
	e.runTimers()
	return &e.actions
}

// NextDeadline is when the next Tick is due. There always is one.
func (e *Engine) NextDeadline() time.Time { return e.timers.next() }

// Self is the contact's id the engine acts for.
func (e *Engine) Self() identity.ID { return e.self }

// Stats returns the counters.
func (e *Engine) Stats() Stats {
	s := e.stats
	s.Seats, s.Leases = e.table.size, e.leases.size
	s.Records, s.Values, s.ValueBytes = len(e.items.sorted)-e.items.values, e.items.values, e.items.bytes
	s.RecordsRefused, s.RecordsEvicted, s.RecordsExpired = e.items.refused, e.items.evicted, e.items.expired
	s.RecordsLost = e.items.lost
	s.Erasing = len(e.items.doomed) + e.erasures.running
	s.Past, s.PastDropped = e.items.past.order.Len(), e.items.past.dropped
	s.LeasesRefused, s.LeasesEvicted, s.LeasesExpired = e.leases.refused, e.leases.evicted, e.leases.expired
	return s
}

// runTimers does what is due.
func (e *Engine) runTimers() {
	for {
		t, ok := e.timers.due(e.now)
		if !ok {
			return
		}
		switch t.kind {
		case timerSoft:
			e.delayed(t.send)
		case timerProbe:
			e.probe()
		case timerChecks:
			e.checks.timer = false
			e.runChecks()
		case timerRefresh:
			e.refreshAll()
		case timerSweep:
			e.sweep()
		case timerRepublish:
			e.republishDue()
		case timerHandOver:
			e.handover.timer = false
			e.runHandover()
		case timerErase:
			e.erasures.paused = false
			e.runErasures()
		}
	}
}

// send asks for a query to be carried to a node.
func (e *Engine) send(s *sent) {
	e.lastID++
	s.at = e.now
	e.sends[e.lastID] = s
	e.stats.Queries++
	e.actions.Sends = append(e.actions.Sends, Send{ID: e.lastID, To: s.to, Query: s.query, Stream: s.stream})
	if s.op != nil {
		e.timers.set(e.now.Add(s.soft()), timerSoft, e.lastID)
	}
}

// answered handles the answer to a query of this node.
func (e *Engine) answered(ev Answered) {
	s := e.sends[ev.Send]
	if s == nil {
		return
	}
	if !s.to.ID.IsZero() && s.to.ID != ev.From.ID || ev.From.ID == e.self || ev.Answer.Kind != s.query.Kind {
		e.failed(Failed{Send: ev.Send})
		return
	}
	delete(e.sends, ev.Send)
	from := Contact{ID: ev.From.ID, Addr: s.to.Addr}
	if ev.From.Addr.IsValid() {
		from.Addr = plainAddr(ev.From.Addr)
	}
	n := newNode(from)
	e.noteRTT(ev.RTT)
	// A stream may go to another address than the one asked.
	if ev.Peer.May("route") && !s.stream {
		e.changed(e.table.heard(n, e.now))
	}
	switch s.purpose {
	case forCheck:
		e.checks.running--
		e.runChecks()
	case forHandover:
		e.handedOver(s, ev.Answer)
	case forSeed:
		s.op.seedAnswered(e, n, ev.Answer)
	case forLookup:
		s.op.found(e, s, ev.Answer)
	case forPage:
		s.op.page(e, s, ev.Answer)
	case forPut:
		s.op.put(e, s, ev.Answer)
	case forFetch:
		s.op.fetched(e, s, ev.Answer.Item)
	}
}

// failed handles that a query of this node got no answer.
func (e *Engine) failed(ev Failed) {
	s := e.sends[ev.Send]
	if s == nil {
		return
	}
	delete(e.sends, ev.Send)
	// A put may be refused by silence, and a stream may fail where datagrams
	// do not: neither says anything about the contact.
	if !ev.Here && !s.stream && s.purpose != forPut && s.purpose != forHandover && !s.to.ID.IsZero() {
		e.changed(e.table.failed(KeyOf(s.to.ID), e.now))
	}
	switch s.purpose {
	case forCheck:
		e.checks.running--
		e.runChecks()
	case forHandover:
		e.handOverFailed(s, ev.Here)
	case forSeed:
		s.op.seedFailed(e)
	case forLookup:
		s.op.lookup.fail(s.candidate)
		s.op.advance(e)
	case forPage:
		s.op.pageFailed(e, s)
	case forPut:
		s.op.putFailed(e, s)
	case forFetch:
		s.op.fetched(e, s, nil)
	}
}

// delayed handles that a query has been slow, once for the soft timeout and once
// for the end of patience.
func (e *Engine) delayed(id uint64) {
	s := e.sends[id]
	if s == nil {
		return
	}
	s.delays++
	if s.delays == 1 {
		e.timers.set(s.at.Add(s.patience()), timerSoft, id)
	}
	s.op.delayed(e, s)
}

func (e *Engine) noteRTT(rtt time.Duration) {
	if rtt <= 0 {
		return
	}
	if e.rtt == 0 {
		e.rtt = rtt
	}
	e.rtt += (rtt - e.rtt) / rttWeight
}

// changed reports a change of the table and draws the conclusions.
func (e *Engine) changed(c change) {
	if c.left != nil {
		e.actions.Left = append(e.actions.Left, c.left.Contact)
	}
	if c.seated == nil {
		return
	}
	e.actions.Seated = append(e.actions.Seated, c.seated.Contact)
	e.handOver(c.seated.node)
	if e.table.size == 1 {
		// The first neighbour knows others.
		e.refreshSelf()
	}
}

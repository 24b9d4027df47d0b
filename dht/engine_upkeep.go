package dht

import (
	"slices"
	"time"
)

// Schedules of the upkeep (spec 6.4).
const (
	// probeInterval is between looks at the liveness of the table, give or
	// take a quarter; probeIdle is how long a contact is left alone.
	probeInterval = 5 * time.Second
	probeIdle     = time.Minute
	// probeWait is how long a probe has to come to its end.
	probeWait = 10 * time.Second
	// probesAtOnce bounds the probes of one look.
	probesAtOnce = 3
	// freshSeat is how long a contact counts as there without being asked.
	freshSeat = 2 * time.Minute
	// refreshInterval is between lookups into every bucket, and for this node.
	refreshInterval = 10 * time.Minute
	// refreshWidth is how many nodes a lookup into a bucket gets to know at the
	// place it ends; it meets others on the way. For the own neighbourhood it
	// is a whole bucket.
	refreshWidth = 8
	// maxRefreshes bounds the lookups of a refresh that wait, refreshesAtOnce
	// those under way.
	maxRefreshes    = KeyBits + 1
	refreshesAtOnce = 2
	// sweepInterval is between looks for what expired.
	sweepInterval = 30 * time.Second
)

// Bounds of the checks of strangers. A query whose sender's address is unproven
// can cause one check, so their rate bounds what a forger can make this node
// send to somebody else.
const (
	// maxChecks bounds the strangers that wait; past it new ones are dropped.
	maxChecks = 64
	// checksAtOnce bounds the checks under way.
	checksAtOnce = 16
	// checkInterval is between checks, after a burst of checkBurst.
	checkInterval = 50 * time.Millisecond
	checkBurst    = 32
	// checkAgain is how long the same contact is not checked again at least.
	checkAgain = 30 * time.Second
	// maxRestored bounds the contacts of an earlier run.
	maxRestored = 64
)

// checks is the queue of contacts that have to answer before they get a seat.
type checks struct {
	queue   []Contact
	running int
	timer   bool
	paid    time.Time // when the checks so far are paid for, one an interval
	// recent and older remember who was queued; they change places every
	// checkAgain.
	recent, older map[Contact]struct{}
	turned        time.Time
	restored      []Contact
}

func (c *checks) start(now time.Time) {
	c.recent, c.older = map[Contact]struct{}{}, map[Contact]struct{}{}
	c.turned, c.paid = now, now
}

// seen reports whether c was queued lately, and remembers that it is now.
func (c *checks) seen(contact Contact, now time.Time) bool {
	if now.Sub(c.turned) >= checkAgain || len(c.recent) >= maxChecks*16 {
		c.recent, c.older = c.older, c.recent
		clear(c.recent)
		c.turned = now
	}
	_, recent := c.recent[contact]
	_, older := c.older[contact]
	c.recent[contact] = struct{}{}
	return recent || older
}

// consider queues the sender of a query for a check, if it could get a seat or
// moved to another address.
func (e *Engine) consider(c Contact) {
	key := KeyOf(c.ID)
	s := e.table.get(key)
	if s != nil && s.Addr == c.Addr && s.failures == 0 || s == nil && !e.table.wants(key) {
		return
	}
	if !c.Addr.IsValid() || e.checks.seen(c, e.now) {
		return
	}
	e.queueCheck(c)
	e.runChecks()
}

func (e *Engine) queueCheck(c Contact) {
	if len(e.checks.queue) >= maxChecks {
		e.stats.ChecksDropped++
		return
	}
	e.checks.queue = append(e.checks.queue, c)
}

// runChecks pings those in the queue as far as the bounds allow.
func (e *Engine) runChecks() {
	c := &e.checks
	for len(c.queue) > 0 && c.running < checksAtOnce {
		if wait := c.paid.Sub(e.now) - checkBurst*checkInterval; wait > 0 {
			if !c.timer {
				c.timer = true
				e.timers.set(e.now.Add(wait), timerChecks, 0)
			}
			return
		}
		if c.paid.Before(e.now) {
			c.paid = e.now
		}
		c.paid = c.paid.Add(checkInterval)
		to := c.queue[0]
		c.queue = slices.Delete(c.queue, 0, 1)
		c.running++
		e.send(&sent{purpose: forCheck, to: to, query: &Query{Kind: KindPing}})
	}
}

// restoreContacts queues those of an earlier run for a check.
func (e *Engine) restoreContacts(contacts []Contact) {
	for _, c := range contacts[:min(len(contacts), maxRestored)] {
		if c.ID != e.self && !c.ID.IsZero() && c.Addr.IsValid() {
			e.checks.restored = append(e.checks.restored, c)
			e.queueCheck(c)
		}
	}
	if len(e.checks.queue) > 0 {
		e.checks.timer = true
		e.timers.set(e.now, timerChecks, 0)
	}
}

// startUpkeep sets the timers that go on for ever.
func (e *Engine) startUpkeep() {
	e.timers.set(e.now.Add(e.jitter(probeInterval)), timerProbe, 0)
	e.timers.set(e.now.Add(e.jitter(refreshInterval)), timerRefresh, 0)
	e.timers.set(e.now.Add(e.jitter(sweepInterval)), timerSweep, 0)
}

// jitter is d give or take a quarter, so that nodes started together do not act
// together.
func (e *Engine) jitter(d time.Duration) time.Duration {
	return d*3/4 + time.Duration(e.rng.Int64N(int64(d/2)+1))
}

// probe pings contacts that failed or were not heard of for long.
func (e *Engine) probe() {
	e.timers.set(e.now.Add(e.jitter(probeInterval)), timerProbe, 0)
	for range probesAtOnce {
		s := e.table.probe(e.now, probeIdle, probeWait)
		if s == nil {
			return
		}
		e.send(&sent{purpose: forProbe, to: s.Contact, query: &Query{Kind: KindPing}})
	}
}

// refresh is the queue of lookups that keep the table full.
type refresh struct {
	queue   []Key
	running int
	self    bool // one for this node waits or is under way
}

// refreshAll renews the neighbourhood and every bucket nobody looked into.
func (e *Engine) refreshAll() {
	e.timers.set(e.now.Add(e.jitter(refreshInterval)), timerRefresh, 0)
	e.refreshSelf()
	e.refreshStale()
}

// refreshSelf looks for this node, unless a join does.
func (e *Engine) refreshSelf() {
	if !e.refresh.self && e.table.size > 0 && e.joins == 0 {
		e.refresh.self = true
		e.queueRefresh(e.key)
	}
}

// refreshStale looks for a random key in each bucket up to the deepest.
func (e *Engine) refreshStale() {
	for i := range e.table.deepest() + 1 {
		b := &e.table.buckets[i]
		if b.looked.IsZero() || e.now.Sub(b.looked) >= refreshInterval/2 {
			e.queueRefresh(e.randomKey(i))
		}
	}
}

// randomKey is a key of bucket i: it agrees with this node's in i bits, differs
// in the next and is random in the rest.
func (e *Engine) randomKey(i int) Key {
	var key Key
	for j := range key {
		key[j] = byte(e.rng.Uint32())
	}
	for j := range i + 1 {
		mask := byte(0x80) >> (j % 8)
		bit := e.key[j/8] & mask
		if j == i {
			bit ^= mask
		}
		key[j/8] = key[j/8]&^mask | bit
	}
	return key
}

func (e *Engine) queueRefresh(key Key) {
	if len(e.refresh.queue) >= maxRefreshes {
		e.stats.RefreshesDropped++
		return
	}
	e.refresh.queue = append(e.refresh.queue, key)
	e.runRefresh()
}

func (e *Engine) runRefresh() {
	for len(e.refresh.queue) > 0 && e.refresh.running < refreshesAtOnce {
		key := e.refresh.queue[0]
		e.refresh.queue = slices.Delete(e.refresh.queue, 0, 1)
		e.refresh.running++
		op := &operation{task: Task{Kind: TaskFindNearest, Key: key}, then: (*Engine).refreshed}
		width := refreshWidth
		if key == e.key {
			width = bucketSize
		}
		op.walk(e, key, width, WantContacts)
	}
}

// refreshed goes on after a refresh lookup.
func (e *Engine) refreshed(op *operation) {
	e.refresh.running--
	if op.lookup.target == e.key {
		e.refresh.self = false
		if !e.handover.settled && e.table.size > 0 {
			e.joined()
		}
	}
	e.runRefresh()
}

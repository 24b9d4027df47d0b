package discovery

import (
	"cmp"
	"container/heap"
	"encoding/binary"
	"slices"
	"time"

	"github.com/staex-mcc/mcc/dht"
	"github.com/staex-mcc/mcc/identity"
)

// Pacing of seeders' leases.
const (
	// maxSeedGap is the pause between two placements while BLOBs are few.
	maxSeedGap = 100 * time.Millisecond
	// What failed, or was taken by nobody, is tried again after firstSeedRetry,
	// and then after twice as long each time up to maxSeedRetry.
	firstSeedRetry = 30 * time.Second
	maxSeedRetry   = SeedRenewEvery / 2
)

// schedule says what Seeds place next. It is pure: its owner brings the lock and
// the clock.
type schedule struct {
	own     identity.ID
	start   time.Time
	entries map[[32]byte]*seedEntry
	// fresh waits for a first lease, the newest in front; due for a renewal or
	// another try, the earliest in front. They take turns.
	fresh, due *seedQueue
	dueNext    bool
	changes    uint64
}

// seedEntry is a BLOB that is announced, or was withdrawn not long ago.
type seedEntry struct {
	id        [32]byte
	key       dht.Key
	announced bool
	// version is the number of the change that made it so: the larger, the
	// later.
	version uint64
	// expires is the end of the last lease tried in this life, zero if none.
	expires time.Time
	// until is when a withdrawn one is forgotten, told whether the mesh took the
	// withdrawal.
	until time.Time
	told  bool
	// busy counts the attempts under way; meanwhile it is in no queue.
	busy     int
	failures int
	due      time.Time
	// queue is where it waits, at its place there.
	queue *seedQueue
	at    int
}

func newSchedule(own identity.ID, now time.Time) schedule {
	return schedule{
		own: own, start: now, entries: make(map[[32]byte]*seedEntry),
		fresh: &seedQueue{before: func(a, b *seedEntry) bool { return a.version > b.version }},
		due:   &seedQueue{before: func(a, b *seedEntry) bool { return a.due.Before(b.due) }},
	}
}

// announce reports false if there is no room.
func (s *schedule) announce(id [32]byte) bool {
	e := s.entry(id)
	if e == nil || e.announced {
		return e != nil
	}
	s.change(e, true)
	if e.busy == 0 {
		s.fresh.add(e)
	}
	return true
}

// announceNow returns the entry to attempt if there is anything to tell, or nil
// if there is no room.
func (s *schedule) announceNow(id [32]byte) (e *seedEntry, todo bool) {
	e = s.entry(id)
	if e == nil || e.announced {
		return e, false
	}
	s.change(e, true)
	e.busy++
	return e, true
}

// withdraw returns the entry to attempt, or nil if there is no room.
func (s *schedule) withdraw(id [32]byte, now time.Time) *seedEntry {
	e := s.entry(id)
	if e == nil {
		return nil
	}
	s.change(e, false)
	if e.until = e.expires; e.until.IsZero() {
		e.until = now.Add(SeedLife) // an earlier life may have announced it
	}
	e.busy++
	return e
}

func (s *schedule) change(e *seedEntry, announced bool) {
	e.drop()
	s.changes++
	e.version, e.announced, e.told, e.failures = s.changes, announced, false, 0
}

// entry returns that of id, a new one if need be, or nil if there is no room.
func (s *schedule) entry(id [32]byte) *seedEntry {
	if e := s.entries[id]; e != nil {
		return e
	}
	if len(s.entries) >= MaxSeeds && !s.forgetOne() {
		return nil
	}
	e := &seedEntry{id: id, key: BlobKey(id)}
	s.entries[id] = e
	return e
}

// forgetOne gives up the withdrawal that is nearest to its end.
func (s *schedule) forgetOne() bool {
	var first *seedEntry
	for _, e := range s.entries {
		if !e.announced && e.busy == 0 && (first == nil || e.until.Before(first.until)) {
			first = e
		}
	}
	if first == nil {
		return false
	}
	first.drop()
	delete(s.entries, first.id)
	return true
}

// next returns what to attempt now and counts it as busy, or how long to wait if
// nothing is ready; zero is until something changes.
func (s *schedule) next(now time.Time) (e *seedEntry, wait time.Duration) {
	for {
		ripe := s.due.Len() > 0 && !s.due.items[0].due.After(now)
		switch {
		case s.fresh.Len() > 0 && (!ripe || !s.dueNext):
			e, s.dueNext = s.fresh.items[0], true
		case ripe:
			e, s.dueNext = s.due.items[0], false
		case s.due.Len() > 0:
			return nil, s.due.items[0].due.Sub(now)
		default:
			return nil, 0
		}
		e.drop()
		if e.announced || e.until.After(now) {
			e.busy++
			return e, 0
		}
		delete(s.entries, e.id) // nothing is left to tell
	}
}

// finish takes back an attempt that told the given version, ok if others took
// it.
func (s *schedule) finish(e *seedEntry, version uint64, ok bool, now time.Time) {
	if e.busy--; e.busy > 0 {
		return // whoever is last decides
	}
	changed := version != e.version
	e.told = ok && !changed && !e.announced
	switch {
	case changed:
		e.due = now
	case ok:
		e.failures = 0
		e.due = s.renewal(e.key, now)
	default:
		e.due = now.Add(min(firstSeedRetry<<min(e.failures, 10), maxSeedRetry))
		e.failures++
	}
	s.due.add(e)
}

// renewal is when to renew what has just been placed. Each key has its moment in
// every SeedRenewEvery, another at every node, so that renewals are spread
// evenly; the next one that is at least half a round away counts.
func (s *schedule) renewal(key dht.Key, now time.Time) time.Time {
	moment := (binary.LittleEndian.Uint64(key[:]) + binary.LittleEndian.Uint64(s.own[:])) % uint64(SeedRenewEvery)
	first := s.start.Add(time.Duration(moment))
	passed := max(now.Add(SeedRenewEvery/2).Sub(first), 0)
	rounds := (passed + SeedRenewEvery - 1) / SeedRenewEvery
	return first.Add(rounds * SeedRenewEvery)
}

// gap is the pause after a placement: short enough for twice the placements that
// renewals need, so that the others get a turn.
func (s *schedule) gap() time.Duration {
	return min(maxSeedGap, SeedRenewEvery/time.Duration(2*max(len(s.entries), 1)))
}

// toWithdraw returns what the mesh may believe to be here, the last change
// first, and counts it as busy.
func (s *schedule) toWithdraw(now time.Time) []*seedEntry {
	var left []*seedEntry
	for _, e := range s.entries {
		if e.announced && e.expires.After(now) || !e.announced && !e.told && e.until.After(now) {
			e.drop()
			e.busy++
			left = append(left, e)
		}
	}
	slices.SortFunc(left, func(a, b *seedEntry) int { return cmp.Compare(b.version, a.version) })
	return left
}

func (s *schedule) clear() { *s = newSchedule(s.own, s.start) }

// seedQueue is a heap of entries.
type seedQueue struct {
	items  []*seedEntry
	before func(a, b *seedEntry) bool
}

func (q *seedQueue) add(e *seedEntry) {
	e.queue = q
	heap.Push(q, e)
}

// drop takes e out of the queue it waits in, if any.
func (e *seedEntry) drop() {
	if e.queue != nil {
		heap.Remove(e.queue, e.at)
		e.queue = nil
	}
}

// Len, Less, Swap, Push and Pop implement heap.Interface.
func (q *seedQueue) Len() int           { return len(q.items) }
func (q *seedQueue) Less(i, j int) bool { return q.before(q.items[i], q.items[j]) }

func (q *seedQueue) Swap(i, j int) {
	q.items[i], q.items[j] = q.items[j], q.items[i]
	q.items[i].at, q.items[j].at = i, j
}

func (q *seedQueue) Push(x any) {
	e := x.(*seedEntry)
	e.at = len(q.items)
	q.items = append(q.items, e)
}

func (q *seedQueue) Pop() any {
	last := len(q.items) - 1
	e := q.items[last]
	q.items[last] = nil
	q.items = q.items[:last]
	return e
}

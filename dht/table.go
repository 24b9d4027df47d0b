package dht

import (
	"slices"
	"time"
)

// Sizes and schedule of the routing table (spec 6.4).
const (
	// bucketSize is Kademlia's k, the number of holders of a record too.
	bucketSize = 20
	// cacheSize is how many verified contacts wait for a seat in a full bucket;
	// past it the one heard of longest ago is forgotten.
	cacheSize = 10
	// maxFailures in a row cost a seat if somebody waits for it, dropFailures
	// cost it in any case. The gap lets a node that lost its own network find
	// its neighbours again.
	maxFailures  = 3
	dropFailures = 8
	// retryFirst is when a contact that failed is tried again; the wait doubles
	// up to retryMost.
	retryFirst = 5 * time.Second
	retryMost  = 5 * time.Minute
)

// table is a Kademlia routing table: one bucket for each length of the prefix
// that a contact shares with this node. Everyone in it has answered this node.
// Whoever failed to answer since is kept for a while, but not handed out.
type table struct {
	own     Key
	buckets []bucket // by length of the prefix; those after the last are empty
	size    int
}

type bucket struct {
	seats  []*seat // in order of seating
	cache  []*seat // heard of longest ago first
	looked time.Time
}

// seat is a verified contact.
type seat struct {
	node
	heard    time.Time // when it last answered
	failures int       // in a row since then
	retry    time.Time // not probed before, after a failure or a probe
}

// change is what an update did to the seats; both may be nil.
type change struct{ seated, left *seat }

func newTable(own Key) *table { return &table{own: own} }

// noBucket stands for all that nobody sits in; it is never written to.
var noBucket bucket

// bucketOf returns the bucket of a key that is not the own one, to be read.
func (t *table) bucketOf(key Key) *bucket {
	if i := t.own.CommonPrefix(key); i < len(t.buckets) {
		return &t.buckets[i]
	}
	return &noBucket
}

// grownBucket is bucketOf for those who write to it.
func (t *table) grownBucket(key Key) *bucket {
	i := t.own.CommonPrefix(key)
	for len(t.buckets) <= i {
		t.buckets = append(t.buckets, bucket{})
	}
	return &t.buckets[i]
}

// heard notes that n answered at now: it gets a seat, keeps it, or waits for
// one.
func (t *table) heard(n node, now time.Time) change {
	if n.key == t.own {
		return change{}
	}
	b := t.grownBucket(n.key)
	if i := seatIndex(b.seats, n.key); i >= 0 {
		s := b.seats[i]
		s.Addr, s.heard, s.failures, s.retry = n.Addr, now, 0, time.Time{}
		return change{}
	}
	if i := seatIndex(b.cache, n.key); i >= 0 {
		b.cache = slices.Delete(b.cache, i, i+1)
	}
	s := &seat{node: n, heard: now}
	if len(b.seats) < bucketSize {
		b.seats = append(b.seats, s)
		t.size++
		return change{seated: s}
	}
	if i := slices.IndexFunc(b.seats, (*seat).bad); i >= 0 {
		left := b.seats[i]
		b.seats[i] = s
		return change{seated: s, left: left}
	}
	if len(b.cache) == cacheSize {
		b.cache = slices.Delete(b.cache, 0, 1)
	}
	b.cache = append(b.cache, s)
	return change{}
}

// failed notes that the contact at key did not answer.
func (t *table) failed(key Key, now time.Time) change {
	if key == t.own {
		return change{}
	}
	b := t.bucketOf(key)
	if i := seatIndex(b.cache, key); i >= 0 {
		b.cache = slices.Delete(b.cache, i, i+1)
		return change{}
	}
	i := seatIndex(b.seats, key)
	if i < 0 {
		return change{}
	}
	s := b.seats[i]
	s.failures++
	s.retry = now.Add(min(retryFirst<<(s.failures-1), retryMost))
	switch last := len(b.cache) - 1; {
	case s.bad() && last >= 0:
		b.seats[i] = b.cache[last]
		b.cache = b.cache[:last]
		return change{seated: b.seats[i], left: s}
	case s.failures >= dropFailures:
		b.seats = slices.Delete(b.seats, i, i+1)
		t.size--
		return change{left: s}
	}
	return change{}
}

// bad reports whether the contact may lose its seat.
func (s *seat) bad() bool { return s.failures >= maxFailures }

// get returns the seat of key or nil.
func (t *table) get(key Key) *seat {
	if key == t.own {
		return nil
	}
	b := t.bucketOf(key)
	if i := seatIndex(b.seats, key); i >= 0 {
		return b.seats[i]
	}
	return nil
}

// wants reports whether a stranger at key is worth a check.
func (t *table) wants(key Key) bool {
	if key == t.own {
		return false
	}
	b := t.bucketOf(key)
	return seatIndex(b.seats, key) < 0 && seatIndex(b.cache, key) < 0 &&
		(len(b.seats) < bucketSize || len(b.cache) < cacheSize || slices.ContainsFunc(b.seats, (*seat).bad))
}

// closest returns the n contacts nearest to target, nearest first: only those
// that answered last time they were asked or, with failing, all.
func (t *table) closest(target Key, n int, failing bool) []node {
	found := make([]node, 0, n+bucketSize)
	for i := range t.nearestBuckets(target) {
		start := len(found)
		for _, s := range t.buckets[i].seats {
			if failing || s.failures == 0 {
				found = append(found, s.node)
			}
		}
		sortNodes(target, found[start:])
		if len(found) >= n {
			return found[:n]
		}
	}
	return found
}

// nearestBuckets yields the indexes of buckets so that everything in an earlier
// one is nearer to target than everything in a later one. With d the distance
// between this node and target: where d has a 1 at bit i, the contacts of
// bucket i agree with target there and those of all later buckets do not; where
// it has a 0, it is the other way round.
func (t *table) nearestBuckets(target Key) func(yield func(int) bool) {
	d := t.own.Distance(target)
	return func(yield func(int) bool) {
		for i := range t.buckets {
			if d.Bit(i) == 1 && len(t.buckets[i].seats) > 0 && !yield(i) {
				return
			}
		}
		for i := len(t.buckets) - 1; i >= 0; i-- {
			if d.Bit(i) == 0 && len(t.buckets[i].seats) > 0 && !yield(i) {
				return
			}
		}
	}
}

// probe returns the contact to look after next: one that failed and is due
// again, else the one heard of longest ago if that is at least idle; or nil. It
// is not returned again before wait is over.
func (t *table) probe(now time.Time, idle, wait time.Duration) *seat {
	s := t.neglected(now, idle)
	if s != nil {
		s.retry = now.Add(wait)
	}
	return s
}

func (t *table) neglected(now time.Time, idle time.Duration) *seat {
	var pick *seat
	for i := range t.buckets {
		for _, s := range t.buckets[i].seats {
			if s.retry.After(now) {
				continue
			}
			if s.failures > 0 {
				return s
			}
			if now.Sub(s.heard) >= idle && (pick == nil || s.heard.Before(pick.heard)) {
				pick = s
			}
		}
	}
	return pick
}

// touch notes a lookup for target, which renews its bucket.
func (t *table) touch(target Key, now time.Time) {
	if target != t.own {
		t.grownBucket(target).looked = now
	}
}

// deepest is the index of the last bucket with a seat, -1 if there is none.
func (t *table) deepest() int {
	for i := len(t.buckets) - 1; i >= 0; i-- {
		if len(t.buckets[i].seats) > 0 {
			return i
		}
	}
	return -1
}

func seatIndex(seats []*seat, key Key) int {
	return slices.IndexFunc(seats, func(s *seat) bool { return s.key == key })
}

func sortNodes(target Key, nodes []node) {
	slices.SortFunc(nodes, func(a, b node) int { return compareNodes(target, a, b) })
}

package dht

import (
	"net/netip"
	"slices"
	"time"

	"github.com/staex-mcc/mcc/identity"
)

// Bounds of the leases a node holds (spec 6.6); they live in memory only.
const (
	// leaseHolders is how many nodes hold a lease.
	leaseHolders = 8
	// maxLeases bounds all. When it is reached, a lease under a nearer key
	// pushes out one under the farthest; a farther one is refused.
	maxLeases = 65_536
	// maxKeyLeases bounds the providers under one key and maxProviderLeases
	// the keys of one other provider; past them new ones are refused.
	maxKeyLeases      = 1024
	maxProviderLeases = 4096
	// maxLongLeases is how many of them may last longer than services' do, so
	// that a provider of many BLOBs has room for its services.
	maxLongLeases = maxProviderLeases * 3 / 4
)

// leaseStore holds leases and withdrawals.
type leaseStore struct {
	self      identity.ID
	own       Key
	byKey     map[Key]*leaseSet
	sorted    []*leaseSet // nearest to this node first
	providers map[identity.ID]leaseCount
	size      int
	limit     int // maxLeases, less in tests

	refused, evicted, expired uint64
}

// leaseSet is what is held under one key, in order of provider.
type leaseSet struct {
	key   Key
	items []*heldLease
}

type heldLease struct {
	lease *Lease
	addr  netip.AddrPort // where the provider was seen
	until time.Time
	long  bool // it lasts longer than a service's, or withdraws what may
}

// leaseCount is how many leases of one provider are held, and how many of them
// are long.
type leaseCount struct{ all, long int }

func newLeaseStore(self identity.ID) *leaseStore {
	return &leaseStore{
		self: self, own: KeyOf(self), limit: maxLeases,
		byKey: map[Key]*leaseSet{}, providers: map[identity.ID]leaseCount{},
	}
}

// put keeps l, seen from addr. With StatusOutdated comes the version in force.
func (s *leaseStore) put(l *Lease, addr netip.AddrPort, now time.Time) (Status, *Lease) {
	set := s.byKey[l.Key]
	old := set.get(l.Provider)
	until, ok := leaseUntil(l, old, now)
	if !ok {
		return s.refuse(StatusExpired), nil
	}
	if old != nil && compareLeases(old.lease, l) > 0 && old.until.After(now) {
		return s.refuse(StatusOutdated), old.lease
	}
	h := &heldLease{lease: l, addr: addr, until: until, long: until.Sub(now) > LeaseLife+ClockTolerance}
	if !s.room(h, set, old) {
		return s.refuse(StatusFull), nil
	}
	if old == nil {
		s.insert(h)
		return StatusStored, nil
	}
	s.count(old, -1)
	*old = *h
	s.count(old, 1)
	return StatusStored, nil
}

// leaseUntil is when a holder forgets l, false if it must not be kept at all. A
// withdrawal outlives what it withdraws: the old lease, which may live on at
// other holders, or where none is known the longest there can be.
func leaseUntil(l *Lease, old *heldLease, now time.Time) (time.Time, bool) {
	if l.Withdrawn() {
		return withdrawalUntil(old, now), true
	}
	if !l.Expires.After(now) || l.Expires.After(now.Add(MaxLeaseLife+ClockTolerance)) {
		return time.Time{}, false
	}
	if most := now.Add(MaxLeaseLife); l.Expires.After(most) {
		return most, true
	}
	return l.Expires, true
}

func withdrawalUntil(old *heldLease, now time.Time) time.Time {
	least := now.Add(LeaseLife + ClockTolerance)
	switch {
	case old == nil:
		return now.Add(MaxLeaseLife + ClockTolerance)
	case old.lease.Withdrawn():
		return later(least, old.until)
	}
	return later(least, old.until.Add(ClockTolerance))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (s *leaseStore) refuse(status Status) Status {
	s.refused++
	return status
}

// room reports whether a lease may be kept in place of old, which may be nil,
// and makes room for it. A withdrawal of what is held always may.
func (s *leaseStore) room(h *heldLease, set *leaseSet, old *heldLease) bool {
	l, mine := h.lease, h.lease.Provider == s.self
	have := s.providers[l.Provider]
	crowded := h.long && have.long >= maxLongLeases && !mine
	if old != nil {
		return !crowded || old.long || l.Withdrawn()
	}
	if set != nil && len(set.items) >= maxKeyLeases && !mine {
		return false
	}
	if crowded || have.all >= maxProviderLeases && !mine {
		return false
	}
	if s.size < s.limit {
		return true
	}
	i, j := s.farthest()
	if i < 0 || l.Provider != s.self && compareDistance(s.own, l.Key, s.sorted[i].key) >= 0 {
		return false
	}
	s.remove(i, j)
	s.evicted++
	return true
}

// farthest finds a lease of somebody else under the farthest key, or -1.
func (s *leaseStore) farthest() (int, int) {
	for i := len(s.sorted) - 1; i >= 0; i-- {
		for j := len(s.sorted[i].items) - 1; j >= 0; j-- {
			if s.sorted[i].items[j].lease.Provider != s.self {
				return i, j
			}
		}
	}
	return -1, -1
}

func (s *leaseStore) insert(h *heldLease) {
	key := h.lease.Key
	set := s.byKey[key]
	if set == nil {
		set = &leaseSet{key: key}
		s.byKey[key] = set
		at, _ := s.find(key)
		s.sorted = slices.Insert(s.sorted, at, set)
	}
	at, _ := set.find(h.lease.Provider)
	set.items = slices.Insert(set.items, at, h)
	s.count(h, 1)
	s.size++
}

// count enters a lease into its provider's count, or with -1 strikes it out.
func (s *leaseStore) count(h *heldLease, sign int) {
	c := s.providers[h.lease.Provider]
	c.all += sign
	if h.long {
		c.long += sign
	}
	s.providers[h.lease.Provider] = c
	if c.all == 0 {
		delete(s.providers, h.lease.Provider)
	}
}

func (s *leaseStore) remove(i, j int) {
	set := s.sorted[i]
	s.count(set.items[j], -1)
	set.items = slices.Delete(set.items, j, j+1)
	s.size--
	if len(set.items) == 0 {
		delete(s.byKey, set.key)
		s.sorted = slices.Delete(s.sorted, i, i+1)
	}
}

func (s *leaseStore) find(key Key) (int, bool) {
	return slices.BinarySearchFunc(s.sorted, key, func(set *leaseSet, key Key) int {
		return compareDistance(s.own, set.key, key)
	})
}

// get returns what a provider has in the set, which may be nil, or nil.
func (set *leaseSet) get(p identity.ID) *heldLease {
	if set == nil {
		return nil
	}
	if at, known := set.find(p); known {
		return set.items[at]
	}
	return nil
}

func (set *leaseSet) find(p identity.ID) (int, bool) {
	return slices.BinarySearchFunc(set.items, p, func(h *heldLease, p identity.ID) int {
		return h.lease.Provider.Compare(p)
	})
}

// after yields what is held under key, withdrawals included, of the providers
// after the given one, in order.
func (s *leaseStore) after(key Key, p identity.ID, now time.Time) func(yield func(FoundLease) bool) {
	return func(yield func(FoundLease) bool) {
		set := s.byKey[key]
		if set == nil {
			return
		}
		at, known := set.find(p)
		if known {
			at++
		}
		for _, h := range set.items[at:] {
			if h.until.After(now) && !yield(FoundLease{Lease: *h.lease, Addr: h.addr}) {
				return
			}
		}
	}
}

// sweep forgets what expired.
func (s *leaseStore) sweep(now time.Time) {
	for i := len(s.sorted) - 1; i >= 0; i-- {
		for j := len(s.sorted[i].items) - 1; j >= 0; j-- {
			if !s.sorted[i].items[j].until.After(now) {
				s.remove(i, j)
				s.expired++
			}
		}
	}
}

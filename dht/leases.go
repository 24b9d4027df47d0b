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
)

// leaseStore holds leases and withdrawals.
type leaseStore struct {
	self      identity.ID
	own       Key
	byKey     map[Key]*leaseSet
	sorted    []*leaseSet // nearest to this node first
	providers map[identity.ID]int
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
}

func newLeaseStore(self identity.ID) *leaseStore {
	return &leaseStore{
		self: self, own: KeyOf(self), limit: maxLeases,
		byKey: map[Key]*leaseSet{}, providers: map[identity.ID]int{},
	}
}

// put keeps l, seen from addr. With StatusOutdated comes the version in force.
func (s *leaseStore) put(l *Lease, addr netip.AddrPort, now time.Time) (Status, *Lease) {
	until, ok := leaseUntil(l, now)
	if !ok {
		return s.refuse(StatusExpired), nil
	}
	set := s.byKey[l.Key]
	at, known := 0, false
	if set != nil {
		at, known = set.find(l.Provider)
	}
	if known {
		h := set.items[at]
		if compareLeases(h.lease, l) > 0 && h.until.After(now) {
			return s.refuse(StatusOutdated), h.lease
		}
		*h = heldLease{lease: l, addr: addr, until: until}
		return StatusStored, nil
	}
	if !s.room(l, set) {
		return s.refuse(StatusFull), nil
	}
	s.insert(&heldLease{lease: l, addr: addr, until: until})
	return StatusStored, nil
}

// leaseUntil is when a holder forgets l, false if it must not be kept at all.
// A withdrawal stays until no older lease of the provider could be accepted.
func leaseUntil(l *Lease, now time.Time) (time.Time, bool) {
	if l.Withdrawn() {
		return now.Add(LeaseLife + ClockTolerance), true
	}
	if !l.Expires.After(now) || l.Expires.After(now.Add(LeaseLife+ClockTolerance)) {
		return time.Time{}, false
	}
	if most := now.Add(LeaseLife); l.Expires.After(most) {
		return most, true
	}
	return l.Expires, true
}

func (s *leaseStore) refuse(status Status) Status {
	s.refused++
	return status
}

// room reports whether a lease that is new under its key may be kept, and makes
// room for it.
func (s *leaseStore) room(l *Lease, set *leaseSet) bool {
	if set != nil && len(set.items) >= maxKeyLeases && l.Provider != s.self {
		return false
	}
	if s.providers[l.Provider] >= maxProviderLeases && l.Provider != s.self {
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
	s.providers[h.lease.Provider]++
	s.size++
}

func (s *leaseStore) remove(i, j int) {
	set := s.sorted[i]
	p := set.items[j].lease.Provider
	set.items = slices.Delete(set.items, j, j+1)
	if s.providers[p]--; s.providers[p] == 0 {
		delete(s.providers, p)
	}
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

package dht

import (
	"slices"
	"time"

	"github.com/staex-mcc/mcc/identity"
)

// itemStore knows the records and immutable values held, as the disk has them;
// of large ones it has the heads. A put happens in two steps: begin decides, and
// commit takes over once the disk has the item.
type itemStore struct {
	self    identity.ID
	own     Key
	byKey   map[Key]*heldItem
	sorted  []*heldItem // nearest to this node first
	payers  map[identity.ID]usage
	bytes   int // of values kept for others
	values  int // immutable ones among sorted
	pending map[uint64]Kept
	inWrite int           // bytes of values pending
	newest  map[Key]*Item // the last pending version of a key
	doomed  []Key         // to be deleted from the disk, no longer held
	past    *past
	limit   int // maxItems, less in tests
	most    int // maxBytes, less in tests

	refused, evicted, expired, lost uint64
}

// heldItem is an item that is on disk; its value is here only if it is small.
type heldItem struct {
	Kept
	publish time.Time // when it is offered again; zero for others'
}

func newItemStore(self identity.ID) *itemStore {
	return &itemStore{
		self: self, own: KeyOf(self), limit: maxItems, most: maxBytes,
		byKey: map[Key]*heldItem{}, payers: map[identity.ID]usage{},
		pending: map[uint64]Kept{}, newest: map[Key]*Item{}, past: newPast(),
	}
}

// living reports whether others may be told about h. An own value never ends: its
// expiry is moved on when it is offered.
func (h *heldItem) living(now time.Time) bool {
	return h.Own && h.Item.Immutable() || !h.Item.expired(now)
}

// get returns what lives at key or nil.
func (s *itemStore) get(key Key, now time.Time) *Item {
	if h := s.byKey[key]; h != nil && h.living(now) {
		return h.Item
	}
	return nil
}

// begin decides about a put of an item, whole or a head. StatusStored with write
// says that write has to be stored under the number id and then committed;
// without, it is held already. With StatusOutdated comes the version in force.
func (s *itemStore) begin(id uint64, p Kept, now time.Time) (status Status, write *Kept, inForce *Item) {
	it := p.Item
	p.taken = now
	if it.expired(now) || it.Expires.After(now.Add(RecordLife+ClockTolerance)) {
		return s.refuse(StatusExpired), nil, nil
	}
	held := s.byKey[it.Key]
	if held != nil {
		switch c := compareItems(held.Item, it); {
		case held.Item.Immutable() != it.Immutable():
			// One of the two keys is made up; no whole item could follow.
			return s.refuse(StatusFull), nil, nil
		case c > 0 && !sameVersion(held.Item, it):
			return s.refuse(StatusOutdated), nil, held.Item
		case c >= 0 && (held.Own || !p.Own), !p.Own && !worthWriting(held.Item, it, now):
			s.settle(held, p)
			return StatusStored, nil, nil
		}
		if sameVersion(held.Item, it) {
			p.taken = held.taken
		}
		p.Own = p.Own || held.Own
	}
	switch n := s.newest[it.Key]; {
	case n != nil && compareItems(n, it) > 0, held == nil && s.past.outdates(it):
		// The version in force is not durable yet or over, so it is not shown.
		return s.refuse(StatusOutdated), nil, nil
	case n != nil && !p.Own && !it.Whole() && !worthWriting(n, it, now):
		return s.refuse(StatusFull), nil, nil
	}
	if !s.room(p, held) || s.behind(p, held) {
		return s.refuse(StatusFull), nil, nil
	}
	switch {
	case it.Whole():
	case held == nil || !sameVersion(held.Item, it):
		return StatusWanted, nil, nil
	case held.Item.Whole():
		p.Item = it.with(held.Item.Value)
	}
	s.inWrite += p.Item.Size
	s.pending[id], s.newest[it.Key] = p, p.Item
	return StatusStored, &p, nil
}

func (s *itemStore) refuse(status Status) Status {
	s.refused++
	return status
}

// commit ends the write id. If ok, its item is in force from now on; gone are
// the keys of those that had to go for it.
func (s *itemStore) commit(id uint64, ok bool) (held *heldItem, gone []Key) {
	p, known := s.pending[id]
	if !known {
		return nil, nil
	}
	delete(s.pending, id)
	s.inWrite -= p.Item.Size
	if s.newest[p.Item.Key] == p.Item {
		delete(s.newest, p.Item.Key)
	}
	if !ok {
		return nil, nil
	}
	p.Item = p.Item.kept()
	held = s.byKey[p.Item.Key]
	s.past.forget(p.Item.Key)
	gone = s.makeRoom(p, held)
	if held == nil {
		return s.insert(p), gone
	}
	s.charge(held.Kept, -1)
	p.Own = p.Own || held.Own
	held.Kept = p
	s.charge(held.Kept, 1)
	return held, gone
}

// insert adds an item under a new key.
func (s *itemStore) insert(p Kept) *heldItem {
	h := &heldItem{Kept: p}
	at, _ := s.find(p.Item.Key)
	s.sorted = slices.Insert(s.sorted, at, h)
	s.byKey[p.Item.Key] = h
	s.charge(p, 1)
	return h
}

func (s *itemStore) find(key Key) (int, bool) {
	return slices.BinarySearchFunc(s.sorted, key, func(h *heldItem, key Key) int {
		return compareDistance(s.own, h.Item.Key, key)
	})
}

func (s *itemStore) remove(i int) *heldItem {
	h := s.sorted[i]
	s.sorted = slices.Delete(s.sorted, i, i+1)
	delete(s.byKey, h.Item.Key)
	s.charge(h.Kept, -1)
	return h
}

// forget removes what is held at key, or returns nil.
func (s *itemStore) forget(key Key) *heldItem {
	if at, ok := s.find(key); ok {
		return s.remove(at)
	}
	return nil
}

// sweep forgets what expired, at most so many items, and returns their keys,
// nearest first.
func (s *itemStore) sweep(now time.Time, most int) (gone []Key) {
	s.sorted = slices.DeleteFunc(s.sorted, func(h *heldItem) bool {
		key := h.Item.Key
		// A newer version on its way to the disk keeps its place.
		if len(gone) == most || !h.over(now) || s.newest[key] != nil {
			return false
		}
		gone = append(gone, key)
		delete(s.byKey, key)
		s.charge(h.Kept, -1)
		s.past.remember(h.Kept, now)
		s.expired++
		return true
	})
	return gone
}

// over reports whether the item is to be forgotten. An own record stays for a
// while past its expiry, so that its owner can prolong it.
func (k Kept) over(now time.Time) bool {
	switch {
	case !k.Own:
		return k.Item.expired(now)
	case k.Item.Immutable():
		return false
	}
	return k.Item.expired(now.Add(-OwnGrace))
}

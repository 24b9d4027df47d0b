package dht

import (
	"slices"
	"time"

	"github.com/staex-mcc/mcc/identity"
)

// Bounds of what a node keeps in its store (spec 6.6). Own items are bounded in
// number only.
const (
	// maxItems bounds the records and values held. When it or maxBytes is
	// reached, an item nearer to this node pushes out the farthest ones of
	// others; a farther one is refused.
	maxItems = 65_536
	maxBytes = 256 << 20
	// maxPayerItems and maxPayerBytes bound those that one other node owns or
	// brought; past them new ones are refused.
	maxPayerItems = 16_384
	maxPayerBytes = 64 << 20
	// maxDoomed bounds those that are no longer held and wait for their
	// deletion from the disk; past it new items of others are refused.
	maxDoomed = 16_384
	// A later expiry is written only if it is later by prolongedMost, or by half
	// of the life that is left and at least prolongedLeast. A reader allows for
	// more than prolongedLeast anyway.
	prolongedMost  = time.Hour
	prolongedLeast = ClockTolerance / 2
	// maxPendingItems and maxPendingBytes bound those on their way to the
	// store; past them puts are refused.
	maxPendingItems = 1024
	maxPendingBytes = 16 << 20
)

// worthWriting reports whether the disk is to have it in place of old: a head
// of a hundred bytes may make it write 64 KiB.
func worthWriting(old, it *Item, now time.Time) bool {
	if !sameVersion(old, it) {
		return true
	}
	left := old.Expires.Add(ClockTolerance).Sub(now)
	return it.Expires.Sub(old.Expires) >= min(prolongedMost, max(prolongedLeast, left/2))
}

// behind reports whether the disk has too much to do already to take p in place
// of held.
func (s *itemStore) behind(p Kept, held *heldItem) bool {
	return len(s.pending) >= maxPendingItems || s.inWrite+p.Item.Size > maxPendingBytes ||
		held == nil && !p.Own && len(s.doomed) >= maxDoomed
}

// usage is what counts towards one payer's quota.
type usage struct{ items, bytes int }

// add counts a kept item, or with -1 counts it no longer.
func (u usage) add(k Kept, sign int) usage {
	return usage{u.items + sign, u.bytes + sign*k.Item.Size}
}

// charge enters a held item into the books, or with -1 strikes it out.
func (s *itemStore) charge(k Kept, sign int) {
	if k.Item.Immutable() {
		s.values += sign
	}
	if k.Own {
		return
	}
	s.bytes += sign * k.Item.Size
	for _, payer := range k.payers() {
		if u := s.payers[payer].add(k, sign); u.items == 0 {
			delete(s.payers, payer)
		} else {
			s.payers[payer] = u
		}
	}
}

// settle lets the owner, who brought what is held, pay for it alone.
func (s *itemStore) settle(held *heldItem, p Kept) {
	if held.Bringer.IsZero() || !p.Bringer.IsZero() {
		return
	}
	s.charge(held.Kept, -1)
	held.Bringer = identity.ID{}
	s.charge(held.Kept, 1)
}

// affords reports whether the quotas allow p in place of held, which may be nil.
func (s *itemStore) affords(p Kept, held *heldItem) bool {
	for _, payer := range p.payers() {
		u := s.payers[payer].add(p, 1)
		if held != nil && slices.Contains(held.payers(), payer) {
			u = u.add(held.Kept, -1)
		}
		if u.items > maxPayerItems || u.bytes > maxPayerBytes {
			return false
		}
	}
	return true
}

// room reports whether p may be kept in place of held, which may be nil.
func (s *itemStore) room(p Kept, held *heldItem) bool {
	if !s.affords(p, held) {
		return false
	}
	_, ok := s.inTheWay(p, held)
	return ok
}

// inTheWay returns the held items that have to go for p, farthest first; false
// if those that may go are not enough.
func (s *itemStore) inTheWay(p Kept, held *heldItem) (gone []*heldItem, ok bool) {
	items, bytes := len(s.sorted)-s.limit, 0
	if held == nil {
		items++
	}
	if !p.Own {
		bytes = s.bytes + p.Item.Size - s.most
		if held != nil && !held.Own {
			bytes -= held.Item.Size
		}
	}
	for i := len(s.sorted) - 1; i >= 0 && (items > 0 || bytes > 0); i-- {
		h := s.sorted[i]
		if !p.Own && compareDistance(s.own, p.Item.Key, h.Item.Key) >= 0 {
			break
		}
		// What is being written stays: its deletion would come behind.
		if h.Own || h == held || s.newest[h.Item.Key] != nil || items <= 0 && h.Item.Size == 0 {
			continue
		}
		gone = append(gone, h)
		items--
		bytes -= h.Item.Size
	}
	return gone, items <= 0 && bytes <= 0
}

// fits reports whether p, which is new, may be kept with all that is held.
func (s *itemStore) fits(p Kept) bool {
	gone, ok := s.inTheWay(p, nil)
	return ok && len(gone) == 0 && s.affords(p, nil)
}

// makeRoom removes what is in the way of p and returns the keys.
func (s *itemStore) makeRoom(p Kept, held *heldItem) (keys []Key) {
	gone, _ := s.inTheWay(p, held)
	for _, h := range gone {
		s.forget(h.Item.Key)
		keys = append(keys, h.Item.Key)
		s.evicted++
	}
	return keys
}

package dht

// Bounds of what a node keeps in its store (spec 6.6). Own items are bounded in
// number only.
const (
	// maxItems bounds the records and values held. When it or maxBytes is
	// reached, an item nearer to this node pushes out the farthest ones of
	// others; a farther one is refused.
	maxItems = 65_536
	maxBytes = 256 << 20
	// maxPayerItems and maxPayerBytes bound those of one other owner or
	// bringer; past them new ones are refused.
	maxPayerItems = 16_384
	maxPayerBytes = 64 << 20
	// maxPendingItems and maxPendingBytes bound those on their way to the
	// store; past them puts are refused.
	maxPendingItems = 1024
	maxPendingBytes = 16 << 20
)

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
	if u := s.payers[k.Payer].add(k, sign); u.items == 0 {
		delete(s.payers, k.Payer)
	} else {
		s.payers[k.Payer] = u
	}
}

// room reports whether p may be kept in place of held, which may be nil.
func (s *itemStore) room(p Kept, held *heldItem) bool {
	if !p.Own {
		u := s.payers[p.Payer].add(p, 1)
		if held != nil && !held.Own && held.Payer == p.Payer {
			u = u.add(held.Kept, -1)
		}
		if u.items > maxPayerItems || u.bytes > maxPayerBytes {
			return false
		}
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

package dht

import (
	"slices"
	"time"

	"github.com/staex-mcc/mcc/identity"
)

// Bounds of what a node keeps for others (spec 6.6).
const (
	// maxRecords bounds the records held. When they are reached, a record
	// nearer to this node pushes out the farthest one of somebody else; a
	// farther one is refused.
	maxRecords = 65_536
	// maxOwnerRecords bounds those of one other owner; past it new names are
	// refused.
	maxOwnerRecords = 16_384
	// maxPendingRecords bounds those on their way to the store; past it puts
	// are refused.
	maxPendingRecords = 1024
)

// recordStore holds records in memory, as the disk has them. A put happens in
// two steps: begin decides, and commit takes over once the disk has the record.
type recordStore struct {
	self    identity.ID
	own     Key
	byKey   map[Key]*heldRecord
	sorted  []*heldRecord // nearest to this node first
	owners  map[identity.ID]int
	pending map[uint64]*Record
	newest  map[Key]*Record // the last pending version of a key
	limit   int             // maxRecords, less in tests

	refused, evicted, expired uint64
}

type heldRecord struct {
	key     Key
	record  *Record
	publish time.Time // when the owner offers it again; zero for others'
}

func newRecordStore(self identity.ID) *recordStore {
	return &recordStore{
		self: self, own: KeyOf(self), limit: maxRecords,
		byKey: map[Key]*heldRecord{}, owners: map[identity.ID]int{},
		pending: map[uint64]*Record{}, newest: map[Key]*Record{},
	}
}

// get returns the living record at key or nil.
func (s *recordStore) get(key Key, now time.Time) *Record {
	if h := s.byKey[key]; h != nil && !recordExpired(h.record, now) {
		return h.record
	}
	return nil
}

// recordExpired allows for clocks that differ.
func recordExpired(r *Record, now time.Time) bool {
	return now.After(r.Expires.Add(ClockTolerance))
}

// begin decides about a put. StatusStored with write says that r has to be
// written under the number id and then committed; without, it is held already.
// With StatusOutdated comes the version in force.
func (s *recordStore) begin(id uint64, r *Record, now time.Time) (status Status, write bool, inForce *Record) {
	if recordExpired(r, now) || r.Expires.After(now.Add(RecordLife+ClockTolerance)) {
		return s.refuse(StatusExpired), false, nil
	}
	key := r.Key()
	held := s.byKey[key]
	if held != nil {
		switch c := compareRecords(held.record, r); {
		case c > 0 && !samePut(held.record, r):
			return s.refuse(StatusOutdated), false, held.record
		case c >= 0:
			return StatusStored, false, nil
		}
	}
	if p := s.newest[key]; p != nil && compareRecords(p, r) > 0 {
		// The version in force is not durable yet, so it is not shown.
		return s.refuse(StatusOutdated), false, nil
	}
	if held == nil && !s.room(key, r.Owner) || len(s.pending) >= maxPendingRecords {
		return s.refuse(StatusFull), false, nil
	}
	s.pending[id], s.newest[key] = r, r
	return StatusStored, true, nil
}

// samePut reports whether both say the same and only their expiry differs: an
// offer of what is held is no conflict.
func samePut(a, b *Record) bool { return a.Seq == b.Seq && string(a.Value) == string(b.Value) }

func (s *recordStore) refuse(status Status) Status {
	s.refused++
	return status
}

// room reports whether a record under a new key may be kept.
func (s *recordStore) room(key Key, owner identity.ID) bool {
	if owner != s.self && s.owners[owner] >= maxOwnerRecords {
		return false
	}
	if len(s.sorted) < s.limit {
		return true
	}
	i := s.farthest()
	return i >= 0 && (owner == s.self || compareDistance(s.own, key, s.sorted[i].key) < 0)
}

// farthest is the index of the farthest record of somebody else, or -1.
func (s *recordStore) farthest() int {
	for i := len(s.sorted) - 1; i >= 0; i-- {
		if s.sorted[i].record.Owner != s.self {
			return i
		}
	}
	return -1
}

// commit ends the write id. If ok, its record is in force from now on; gone is
// the record that had to go for it.
func (s *recordStore) commit(id uint64, ok bool) (held *heldRecord, gone *Record) {
	r := s.pending[id]
	if r == nil {
		return nil, nil
	}
	delete(s.pending, id)
	key := r.Key()
	if s.newest[key] == r {
		delete(s.newest, key)
	}
	if !ok {
		return nil, nil
	}
	if h := s.byKey[key]; h != nil {
		h.record = r
		return h, nil
	}
	if len(s.sorted) >= s.limit {
		if i := s.farthest(); i >= 0 {
			gone = s.sorted[i].record
			s.remove(i)
			s.evicted++
		}
	}
	return s.insert(key, r), gone
}

// insert adds a record under a new key.
func (s *recordStore) insert(key Key, r *Record) *heldRecord {
	h := &heldRecord{key: key, record: r}
	at, _ := s.find(key)
	s.sorted = slices.Insert(s.sorted, at, h)
	s.byKey[key] = h
	s.owners[r.Owner]++
	return h
}

func (s *recordStore) find(key Key) (int, bool) {
	return slices.BinarySearchFunc(s.sorted, key, func(h *heldRecord, key Key) int {
		return compareDistance(s.own, h.key, key)
	})
}

func (s *recordStore) remove(i int) {
	h := s.sorted[i]
	s.sorted = slices.Delete(s.sorted, i, i+1)
	delete(s.byKey, h.key)
	if s.owners[h.record.Owner]--; s.owners[h.record.Owner] == 0 {
		delete(s.owners, h.record.Owner)
	}
}

// sweep forgets what expired and returns the keys, nearest first.
func (s *recordStore) sweep(now time.Time) (gone []Key) {
	for i := 0; i < len(s.sorted); {
		h := s.sorted[i]
		// A newer version on its way to the disk keeps its place.
		if !recordExpired(h.record, now) || s.newest[h.key] != nil {
			i++
			continue
		}
		gone = append(gone, h.key)
		s.remove(i)
		s.expired++
	}
	return gone
}

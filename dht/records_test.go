package dht

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/staex-mcc/mcc/identity"
)

var ownID = identity.ID{0xff}

// unsigned is a record of an owner; the store does not look at signatures.
func unsigned(owner identity.ID, name string, seq uint64, value string) *Item {
	return RecordItem(Record{Owner: owner, Name: name, Seq: seq, Value: []byte(value), Expires: testTime.Add(time.Hour)})
}

// kept is what a holder makes of an item that its owner brought.
func kept(it *Item) Kept { return Kept{Item: it, Own: it.Owner == ownID, Payer: it.Owner} }

// putRecord goes both steps.
func putRecord(s *itemStore, id uint64, it *Item, now time.Time) Status {
	status, write, _ := s.begin(id, kept(it), now)
	if write != nil {
		s.commit(id, true)
	}
	return status
}

func TestRecordStoreVersions(t *testing.T) {
	a := identity.ID{1}
	prolonged := unsigned(a, "n", 2, "b")
	prolonged.Expires = prolonged.Expires.Add(time.Hour)
	tests := []struct {
		what   string
		record *Item
		want   Status
		value  string
		writes bool
	}{
		{"first", unsigned(a, "n", 1, "a"), StatusStored, "a", true},
		{"again", unsigned(a, "n", 1, "a"), StatusStored, "a", false},
		{"newer", unsigned(a, "n", 2, "b"), StatusStored, "b", true},
		{"older", unsigned(a, "n", 1, "z"), StatusOutdated, "b", false},
		{"prolonged", prolonged, StatusStored, "b", true},
		{"shorter", unsigned(a, "n", 2, "b"), StatusStored, "b", false},
		// SHA-256 of "c" begins 2e, of "b" 3e, of "a" ca.
		{"smaller hash", unsigned(a, "n", 2, "c"), StatusOutdated, "b", false},
		{"larger hash", unsigned(a, "n", 2, "a"), StatusStored, "a", true},
	}
	s := newItemStore(ownID)
	for i, tt := range tests {
		status, write, inForce := s.begin(uint64(i+1), kept(tt.record), testTime)
		if write != nil {
			s.commit(uint64(i+1), true)
		}
		if status != tt.want || (write != nil) != tt.writes || (inForce != nil) != (status == StatusOutdated) {
			t.Errorf("%s: got status %d, write %v, in force %v", tt.what, status, write, inForce)
		}
		if got := s.get(tt.record.Key, testTime); got == nil || string(got.Value) != tt.value {
			t.Errorf("%s: got %v in force, want %q", tt.what, got, tt.value)
		}
	}
}

func TestRecordStoreTimes(t *testing.T) {
	s := newItemStore(ownID)
	for life, want := range map[time.Duration]Status{
		-ClockTolerance:                             StatusStored,
		-ClockTolerance - time.Second:               StatusExpired,
		RecordLife + ClockTolerance:                 StatusStored,
		RecordLife + ClockTolerance + 1*time.Second: StatusExpired,
	} {
		r := unsigned(identity.ID{1}, fmt.Sprint(life), 1, "x")
		r.Expires = testTime.Add(life)
		if got := putRecord(s, 1, r, testTime); got != want {
			t.Errorf("a life of %v: got status %d, want %d", life, got, want)
		}
	}
	if gone := s.sweep(testTime.Add(time.Second), 9); len(gone) != 1 || len(s.sorted) != 1 {
		t.Errorf("swept %d, %d are left, want 1 and 1", len(gone), len(s.sorted))
	}
}

// TestRecordStorePending: what is not on disk is not in force, and later puts
// are compared with it all the same.
func TestRecordStorePending(t *testing.T) {
	s, a := newItemStore(ownID), identity.ID{1}
	s.begin(1, kept(unsigned(a, "n", 2, "two")), testTime)
	if status, write, inForce := s.begin(2, kept(unsigned(a, "n", 1, "one")), testTime); status != StatusOutdated || write != nil || inForce != nil {
		t.Errorf("an older put meanwhile: got %d, %v, %v", status, write, inForce)
	}
	s.begin(3, kept(unsigned(a, "n", 3, "three")), testTime)
	if got := s.get(RecordKey(a, "n"), testTime); got != nil {
		t.Errorf("%q is in force before it is on disk", got.Value)
	}
	s.commit(1, true)
	s.commit(3, false)
	if got := s.get(RecordKey(a, "n"), testTime); got == nil || string(got.Value) != "two" {
		t.Errorf("after the disk failed: got %v, want two", got)
	}
	if len(s.pending)+len(s.newest) != 0 {
		t.Errorf("%d and %d puts are left pending", len(s.pending), len(s.newest))
	}
	for i := range uint64(maxPendingItems) {
		s.begin(i+10, kept(unsigned(a, fmt.Sprint(i), 1, "")), testTime)
	}
	if status, _, _ := s.begin(5, kept(unsigned(a, "last", 1, "")), testTime); status != StatusFull {
		t.Errorf("past the bound of pending puts: got status %d", status)
	}
}

func TestRecordStoreFull(t *testing.T) {
	s, a := newItemStore(ownID), identity.ID{1}
	s.limit = 4
	var records []*Item
	for i := range 6 {
		records = append(records, unsigned(a, fmt.Sprint(i), 1, ""))
	}
	slices.SortFunc(records, func(x, y *Item) int { return compareDistance(s.own, x.Key, y.Key) })
	putRecord(s, 1, unsigned(ownID, "mine", 1, ""), testTime)
	for _, i := range []int{1, 4, 3} {
		if got := putRecord(s, 1, records[i], testTime); got != StatusStored {
			t.Fatalf("record %d: status %d", i, got)
		}
	}
	if got := putRecord(s, 1, records[5], testTime); got != StatusFull {
		t.Errorf("a farther record into a full store: status %d", got)
	}
	if got := putRecord(s, 1, records[0], testTime); got != StatusStored || s.evicted != 1 || s.get(records[4].Key, testTime) != nil {
		t.Errorf("a nearer one: status %d, %d evicted", got, s.evicted)
	}
	if s.get(RecordKey(ownID, "mine"), testTime) == nil {
		t.Error("an own record had to go")
	}
	s.payers[identity.ID{2}] = usage{items: maxPayerItems}
	if got := putRecord(s, 1, unsigned(identity.ID{2}, "n", 1, ""), testTime); got != StatusFull {
		t.Errorf("past an owner's bound: status %d", got)
	}
	if !slices.IsSortedFunc(s.sorted, func(x, y *heldItem) int { return compareDistance(s.own, x.Item.Key, y.Item.Key) }) {
		t.Error("out of order")
	}
	// Full of own records, it refuses everything.
	for i := range 9 {
		putRecord(s, 1, unsigned(ownID, fmt.Sprint("mine", i), 1, ""), testTime)
	}
	if got := len(s.sorted); got != s.limit {
		t.Errorf("%d records held, want %d", got, s.limit)
	}
	if got := putRecord(s, 1, records[0], testTime); got != StatusFull {
		t.Errorf("into a store of own records: status %d", got)
	}
}

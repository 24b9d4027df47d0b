package dht

import (
	"testing"
	"time"

	"github.com/staex-mcc/mcc/identity"
)

// TestWorthWriting: a later expiry is written when it is later by an hour, or by
// half of what is left of the life, a minute at least.
func TestWorthWriting(t *testing.T) {
	const tol = ClockTolerance
	for _, tt := range []struct {
		left, gain time.Duration // left with the tolerance
		want       bool
	}{
		{40 * time.Hour, time.Second, false},
		{40 * time.Hour, time.Hour - time.Second, false},
		{40 * time.Hour, time.Hour, true},
		{time.Hour, 30*time.Minute - time.Second, false},
		{time.Hour, 30 * time.Minute, true},
		{10 * time.Second, time.Minute - time.Second, false},
		{10 * time.Second, time.Minute, true},
		{0, time.Minute - time.Second, false},
	} {
		old := unsigned(identity.ID{1}, "n", 1, "v")
		old.Expires = testTime.Add(tt.left - tol)
		longer := old.with(old.Value)
		longer.Expires = old.Expires.Add(tt.gain)
		if got := worthWriting(old, longer, testTime); got != tt.want {
			t.Errorf("%v longer where %v is left: got %v", tt.gain, tt.left, got)
		}
		if !worthWriting(old, unsigned(identity.ID{1}, "n", 2, "w"), testTime) {
			t.Error("another version is not worth a write")
		}
	}
}

// TestSmallProlongations: heads that move the expiry on by seconds cost a holder
// a write an hour, and what is offered in time never ends.
func TestSmallProlongations(t *testing.T) {
	r := newRig(t)
	it := unsigned(identity.ID{1}, "n", 1, largeValue)
	r.hold(1, it)
	writes := 0
	for i := range 10_000 {
		longer := it.with(nil)
		longer.Expires = it.Expires.Add(time.Duration(i) * time.Second)
		act := r.brought(1, longer, MaxCall)
		for _, w := range act.Writes {
			writes++
			act = r.step(Stored{Write: w.ID})
		}
		if len(act.Responses) != 1 || act.Responses[0].Answer.Status != StatusStored {
			t.Fatalf("head %d: %+v", i, act.Responses)
		}
	}
	if writes == 0 || writes > 4 {
		t.Errorf("%d writes to prolong by less than three hours, want 1 to 4", writes)
	}
	// Offers every ten minutes of what is to live for an hour.
	for range 100 {
		r.now = r.now.Add(10 * time.Minute)
		longer := it.with(nil)
		longer.Expires = r.now.Add(time.Hour)
		for _, w := range r.brought(1, longer, MaxCall).Writes {
			r.step(Stored{Write: w.ID})
		}
		if held := r.items.get(it.Key, r.now); held == nil || held.Expires.Before(r.now.Add(30*time.Minute)) {
			t.Fatalf("held in the end: %+v", held)
		}
	}
}

// TestOwnProlongation: the node itself prolongs by as little as it likes, and
// nobody makes it write more often.
func TestOwnProlongation(t *testing.T) {
	s := newItemStore(ownID)
	it := unsigned(ownID, "n", 1, "v")
	putRecord(s, 1, it, testTime)
	longer := it.with(it.Value)
	longer.Expires = it.Expires.Add(time.Second)
	if status, write, _ := s.begin(2, broughtBy(longer, identity.ID{1}), testTime); write != nil || status != StatusStored {
		t.Errorf("prolonged by another: status %d, written as %+v", status, write)
	}
	if _, write, _ := s.begin(3, kept(longer), testTime); write == nil {
		t.Error("an own prolongation is not written")
	}
}

// TestPendingHeads: the value behind a head counts among the bytes under way,
// and while a prolongation is being written the same is not written again.
func TestPendingHeads(t *testing.T) {
	s, a := newItemStore(ownID), identity.ID{1}
	it := unsigned(a, "n", 1, largeValue)
	putRecord(s, 1, it, testTime)
	longer := it.with(nil)
	longer.Expires = it.Expires.Add(time.Hour)
	if _, write, _ := s.begin(2, kept(longer), testTime); write == nil || s.inWrite != len(largeValue) {
		t.Fatalf("a prolonging head: written as %+v, %d bytes under way", write, s.inWrite)
	}
	more := longer.with(nil)
	more.Expires = longer.Expires.Add(time.Minute)
	for _, head := range []*Item{longer, more} {
		if status, write, _ := s.begin(3, kept(head), testTime); status != StatusFull || write != nil {
			t.Errorf("a head meanwhile: status %d, written as %+v", status, write)
		}
	}
	if s.commit(2, true); s.inWrite != 0 || len(s.pending) != 0 {
		t.Errorf("%d bytes and %d items are left under way", s.inWrite, len(s.pending))
	}
}

package dht

import (
	"fmt"
	"testing"
	"time"

	"github.com/staex-mcc/mcc/identity"
)

// lasting is an unsigned record that lives for a while from testTime.
func lasting(owner identity.ID, name string, seq uint64, life time.Duration) *Item {
	it := unsigned(owner, name, seq, fmt.Sprint("version ", seq))
	it.Expires = testTime.Add(life)
	return it
}

// TestNoReturn: a version that outlives a newer one is not taken again once that
// has expired, nor believed from others.
func TestNoReturn(t *testing.T) {
	a := identity.ID{1}
	old, young := lasting(a, "n", 4, 48*time.Hour), lasting(a, "n", 5, time.Hour)
	r := newRig(t)
	r.hold(1, old)
	r.hold(1, young)
	r.pass(time.Hour + ClockTolerance + 2*sweepInterval)
	if len(r.items.sorted) != 0 || r.Stats().Past != 1 {
		t.Fatalf("%d held, stats %+v", len(r.items.sorted), r.Stats())
	}
	act := r.brought(2, old, MaxCall)
	if len(act.Writes) != 0 || len(act.Responses) != 1 || act.Responses[0].Answer.Status != StatusOutdated || act.Responses[0].Answer.Item != nil {
		t.Errorf("the older version again: %+v, %d writes", act.Responses, len(act.Writes))
	}
	op := &operation{task: Task{Kind: TaskGet}, lookup: newLookup(old.Key, r.key, 1, 1, 0)}
	if op.suits(r.Engine, old) {
		t.Error("the older version is believed from others")
	}
	// The same version may be prolonged, and a newer one comes in.
	longer := young.with(young.Value)
	longer.Expires = r.now.Add(time.Hour)
	r.hold(1, longer)
	r.hold(1, lasting(a, "n", 6, 4*time.Hour))
	if r.Stats().Past != 0 {
		t.Errorf("what is held is remembered besides: %+v", r.Stats())
	}
	// Another's record is another matter.
	r.hold(2, lasting(a, "m", 1, 48*time.Hour))
}

// TestPastLife: a version is remembered as long as an older one can live.
func TestPastLife(t *testing.T) {
	a := identity.ID{1}
	for _, tt := range []struct {
		what  string
		life  time.Duration
		after time.Duration // since it was taken
		want  bool
	}{
		{"just over", time.Hour, time.Hour + ClockTolerance + time.Second, true},
		{"the last moment", time.Hour, pastLife, true},
		{"a moment later", time.Hour, pastLife + time.Second, false},
		{"it lived long itself", RecordLife, pastLife + time.Second, false},
	} {
		s := newItemStore(ownID)
		putRecord(s, 1, lasting(a, "n", 5, tt.life), testTime)
		now := testTime.Add(tt.life + ClockTolerance + time.Second)
		s.sweep(now, 9)
		s.past.sweep(testTime.Add(tt.after))
		if got := s.past.outdates(lasting(a, "n", 4, RecordLife)); got != tt.want {
			t.Errorf("%s: remembered %v, want %v", tt.what, got, tt.want)
		}
		if !tt.want && s.past.order.Len()+len(s.past.byKey)+len(s.past.payers) != 0 {
			t.Errorf("%s: something is left of it", tt.what)
		}
	}
	// What is taken again without a change counts from the first time.
	s := newItemStore(ownID)
	it := lasting(a, "n", 5, time.Hour)
	putRecord(s, 1, it, testTime)
	for i := range 60 {
		longer := it.with(it.Value)
		longer.Expires = testTime.Add(time.Duration(i+2) * time.Hour)
		if got := putRecord(s, 1, longer, testTime.Add(time.Duration(i)*time.Hour)); got != StatusStored {
			t.Fatalf("prolonging: status %d", got)
		}
	}
	if s.sweep(testTime.Add(70*time.Hour), 9); len(s.sorted) != 0 || s.past.order.Len() != 0 {
		t.Errorf("%d held and %d remembered, want none", len(s.sorted), s.past.order.Len())
	}
}

// TestPastBounds: neither one node nor all together can make it remember more
// than the bounds, and one node cannot push out what it remembers of another.
func TestPastBounds(t *testing.T) {
	p := newPast()
	remember := func(owner, i int) *Item {
		it := unsigned(identity.ID{byte(owner)}, fmt.Sprint(i), 5, "v")
		p.remember(Kept{Item: it, Payer: it.Owner, taken: testTime}, testTime)
		return it
	}
	for i := range maxPayerPast + 10 {
		remember(1, i)
	}
	if p.order.Len() != maxPayerPast || p.dropped != 10 {
		t.Errorf("of one owner %d, %d dropped", p.order.Len(), p.dropped)
	}
	brought := broughtBy(unsigned(identity.ID{99}, "n", 5, "v"), identity.ID{1})
	brought.taken = testTime
	if p.remember(brought, testTime); p.payers[identity.ID{99}] != 0 || p.order.Len() != maxPayerPast {
		t.Error("what the same node brought counts for another")
	}
	for owner := 2; p.order.Len() < maxPast; owner++ {
		for i := range maxPayerPast {
			remember(owner, i)
		}
	}
	newest := remember(100, 0)
	if p.order.Len() != maxPast || len(p.byKey) != maxPast || p.byKey[newest.Key] == nil || p.byKey[RecordKey(identity.ID{1}, "0")] != nil {
		t.Errorf("full: %d and %d remembered", p.order.Len(), len(p.byKey))
	}
	remember(100, 0)
	if p.order.Len() != maxPast || p.payers[identity.ID{100}] != 1 {
		t.Errorf("the same again: %d, of its owner %d", p.order.Len(), p.payers[identity.ID{100}])
	}
}

// TestPastRestored: what expired while the node was away is remembered as well.
func TestPastRestored(t *testing.T) {
	a := identity.ID{1}
	r := newRig(t)
	r.restoreItems([]Kept{kept(lasting(a, "n", 5, -time.Hour)), kept(lasting(a, "old", 5, -3*RecordLife))})
	if r.Stats().Past != 1 || !r.items.past.outdates(lasting(a, "n", 4, time.Hour)) {
		t.Errorf("stats: %+v", r.Stats())
	}
}

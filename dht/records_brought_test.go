package dht

import (
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/staex-mcc/mcc/identity"
)

// TestBringerPays: records of owners that a peer made up fill no more than that
// peer's own quota, in number and bytes.
func TestBringerPays(t *testing.T) {
	peer, honest := identity.ID{1}, identity.ID{2}
	madeUp := func(i int, value string) *Item {
		return unsigned(identity.ID{9, byte(i >> 16), byte(i >> 8), byte(i)}, "n", 1, value)
	}
	s := newItemStore(ownID)
	stored := 0
	for i := range maxPayerItems + 500 {
		if putKept(s, broughtBy(madeUp(i, ""), peer)) == StatusStored {
			stored++
		}
	}
	if stored != maxPayerItems || len(s.sorted) != maxPayerItems {
		t.Errorf("one peer brought %d records, want %d", stored, maxPayerItems)
	}
	if got := putKept(s, broughtBy(unsigned(peer, "own", 1, ""), peer)); got != StatusFull {
		t.Errorf("a record of its own besides: status %d", got)
	}
	if got := putKept(s, broughtBy(unsigned(honest, "n", 1, ""), honest)); got != StatusStored {
		t.Errorf("another peer's: status %d", got)
	}
	s = newItemStore(ownID)
	s.payers[peer] = usage{items: 5, bytes: maxPayerBytes - 100}
	for size, want := range map[int]Status{100: StatusStored, 101: StatusFull} {
		if got := putKept(s, broughtBy(madeUp(size, string(make([]byte, size))), peer)); got != want {
			t.Errorf("%d bytes where 100 are left: status %d, want %d", size, got, want)
		}
		s.payers[peer] = usage{items: 5, bytes: maxPayerBytes - 100}
	}
}

// TestEngineBringer: the engine charges whoever it was that asked.
func TestEngineBringer(t *testing.T) {
	r := newRig(t)
	own, others := unsigned(stranger(1).ID, "n", 1, "v"), unsigned(identity.ID{9}, "n", 1, "v")
	value := ValueItem([]byte("v"), others.Expires)
	for _, it := range []*Item{own, others, value} {
		r.hold(1, it)
	}
	want := map[identity.ID]usage{stranger(1).ID: {3, 3}, {9}: {1, 1}}
	if !reflect.DeepEqual(r.items.payers, want) {
		t.Errorf("the books say %v, want %v", r.items.payers, want)
	}
}

// TestOwnerSettles: as soon as the owner brings its record itself, who brought
// it before pays no more; a new version counts for who brings that.
func TestOwnerSettles(t *testing.T) {
	s, owner, a, b := newItemStore(ownID), identity.ID{9}, identity.ID{1}, identity.ID{2}
	it := func(seq uint64) *Item { return unsigned(owner, "n", seq, "v") }
	for i, tt := range []struct {
		seq     uint64
		by      identity.ID
		charged []identity.ID
	}{
		{1, a, []identity.ID{owner, a}},
		{1, b, []identity.ID{owner, a}},
		{1, owner, []identity.ID{owner}},
		{1, a, []identity.ID{owner}},
		{2, a, []identity.ID{owner, a}},
		{3, b, []identity.ID{owner, b}},
		{4, owner, []identity.ID{owner}},
	} {
		if got := putKept(s, broughtBy(it(tt.seq), tt.by)); got != StatusStored {
			t.Fatalf("put %d: status %d", i, got)
		}
		want := map[identity.ID]usage{}
		for _, id := range tt.charged {
			want[id] = usage{1, 1}
		}
		if !reflect.DeepEqual(s.payers, want) {
			t.Errorf("put %d: the books say %v, want %v", i, s.payers, want)
		}
		checkBooks(t, s)
	}
}

// TestBringerStays: who brought a record is read back from the store.
func TestBringerStays(t *testing.T) {
	for i, k := range []Kept{
		broughtBy(testRecord(t, 1, "n", 1, "v"), identity.ID{7}),
		broughtBy(testRecord(t, 1, "n", 1, "v"), testIdentity(t, 1).ID()),
		broughtBy(ValueItem([]byte("v"), testTime), identity.ID{7}),
		{Item: testRecord(t, 1, "n", 1, "v"), Own: true, Payer: testIdentity(t, 1).ID()},
	} {
		got, err := decodeKept(appendKept(nil, k))
		if err != nil || fmt.Sprint(got.Own, got.Payer, got.Bringer) != fmt.Sprint(k.Own, k.Payer, k.Bringer) {
			t.Errorf("entry %d became %v of %v by %v, %v", i, got.Own, got.Payer, got.Bringer, err)
		}
	}
	same := Kept{Item: testRecord(t, 1, "n", 1, "v"), Payer: identity.ID{7}, Bringer: identity.ID{7}}
	if _, err := decodeKept(appendKept(nil, same)); !errors.Is(err, ErrMalformed) {
		t.Errorf("a bringer that is the payer: %v", err)
	}
}

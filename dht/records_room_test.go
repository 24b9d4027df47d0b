package dht

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/staex-mcc/mcc/identity"
)

// valueOf is an immutable value of a size that a peer brought.
func valueOf(payer identity.ID, text string, size int) Kept {
	return Kept{Item: ValueItem(append([]byte(text), make([]byte, size-len(text))...), testTime.Add(time.Hour)), Payer: payer}
}

func putKept(s *itemStore, k Kept) Status {
	status, write, _ := s.begin(1, k, testTime)
	if write != nil {
		s.commit(1, true)
	}
	return status
}

// TestPayers: what a peer brings counts towards its quota, in number and bytes,
// and an own item towards nobody's.
func TestPayers(t *testing.T) {
	s, a, b := newItemStore(ownID), identity.ID{1}, identity.ID{2}
	if got := putKept(s, valueOf(a, "x", 5000)); got != StatusStored || s.payers[a] != (usage{1, 5000}) || s.bytes != 5000 {
		t.Fatalf("status %d, %v, %d bytes", got, s.payers, s.bytes)
	}
	again := valueOf(b, "x", 5000)
	if putKept(s, again); s.payers[a] != (usage{1, 5000}) {
		t.Errorf("brought again by another: %v", s.payers)
	}
	again.Item.Expires = again.Item.Expires.Add(time.Hour)
	if putKept(s, again); s.payers[b] != (usage{1, 5000}) || len(s.payers) != 1 {
		t.Errorf("prolonged by another: %v", s.payers)
	}
	again.Own = true
	if putKept(s, again); len(s.payers) != 0 || s.bytes != 0 || s.values != 1 {
		t.Errorf("an own one: %v, %d bytes", s.payers, s.bytes)
	}
	longer := *again.Item
	longer.Expires = longer.Expires.Add(time.Hour)
	if _, write, _ := s.begin(9, Kept{Item: &longer, Payer: a}, testTime); write == nil || !write.Own {
		t.Errorf("an own one prolonged by another is written as %+v", write)
	}
	s.commit(9, true)
	s.payers[a] = usage{items: 5, bytes: maxPayerBytes - 100}
	for size, want := range map[int]Status{100: StatusStored, 101: StatusFull} {
		if got := putKept(s, valueOf(a, fmt.Sprint(size), size)); got != want {
			t.Errorf("%d bytes where 100 are left: status %d, want %d", size, got, want)
		}
		s.payers[a] = usage{items: 5, bytes: maxPayerBytes - 100}
	}
	if got := putKept(s, valueOf(b, "b", 101)); got != StatusStored {
		t.Errorf("another payer: status %d", got)
	}
}

// TestPayerGrows: a new version counts instead of the old one.
func TestPayerGrows(t *testing.T) {
	s, a := newItemStore(ownID), identity.ID{1}
	for seq, size := range []int{10, 3000, 20} {
		it := unsigned(a, "n", uint64(seq), string(make([]byte, size)))
		if got := putKept(s, kept(it)); got != StatusStored || s.payers[a] != (usage{1, size}) || s.bytes != size {
			t.Errorf("%d bytes: status %d, %v, %d bytes", size, got, s.payers, s.bytes)
		}
	}
}

// TestBytesFull: nearer values push out as many farther ones as they need.
func TestBytesFull(t *testing.T) {
	s, a := newItemStore(ownID), identity.ID{1}
	s.most = 1000
	var all []Kept
	for i := range 5 {
		all = append(all, valueOf(a, fmt.Sprint(i), 400))
	}
	slices.SortFunc(all, func(x, y Kept) int { return compareDistance(s.own, x.Item.Key, y.Item.Key) })
	mine := valueOf(ownID, "mine", 5000)
	mine.Own = true
	for what, k := range map[string]Kept{"own": mine, "3": all[3], "4": all[4]} {
		if got := putKept(s, k); got != StatusStored {
			t.Fatalf("%s: status %d", what, got)
		}
	}
	var nearest Kept
	for i := 0; nearest.Item == nil || compareDistance(s.own, nearest.Item.Key, all[0].Item.Key) > 0; i++ {
		nearest = valueOf(a, fmt.Sprint("n", i), 700)
	}
	if got := putKept(s, nearest); got != StatusStored || s.evicted != 2 || s.bytes != 700 {
		t.Errorf("a near one of 700 bytes: status %d, %d evicted, %d bytes", got, s.evicted, s.bytes)
	}
	if got := putKept(s, all[4]); got != StatusFull {
		t.Errorf("a far one: status %d", got)
	}
	if s.byKey[mine.Item.Key] == nil {
		t.Error("an own value had to go")
	}
}

func TestPendingBytes(t *testing.T) {
	s := newItemStore(ownID)
	begun := 0
	for i := range maxPendingItems {
		status, write, _ := s.begin(uint64(i+1), valueOf(identity.ID{byte(i)}, fmt.Sprint(i), MaxValue), testTime)
		if write == nil {
			if status != StatusFull {
				t.Fatalf("status %d", status)
			}
			break
		}
		begun++
	}
	if begun != maxPendingBytes/MaxValue {
		t.Errorf("%d values pending, want %d", begun, maxPendingBytes/MaxValue)
	}
	for i := range begun {
		s.commit(uint64(i+1), i%2 == 0)
	}
	if s.inWrite != 0 || len(s.pending) != 0 {
		t.Errorf("%d bytes and %d items are left pending", s.inWrite, len(s.pending))
	}
}

// TestBooks puts, drops and sweeps at random: the books always agree with what
// is held, and no bound is ever passed.
func TestBooks(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	s, now := newItemStore(ownID), testTime
	s.limit, s.most = 20, 5000
	for range 20_000 {
		switch n := rng.IntN(100); {
		case n < 90:
			owner := identity.ID{byte(rng.IntN(4))}
			k := valueOf(owner, fmt.Sprint(rng.IntN(40)), 2+rng.IntN(1200))
			if rng.IntN(2) == 0 && !owner.IsZero() {
				k = kept(unsigned(owner, fmt.Sprint(rng.IntN(40)), rng.Uint64N(3), string(k.Item.Value)))
			}
			if !k.Item.Immutable() {
				k = broughtBy(k.Item, identity.ID{byte(1 + rng.IntN(3))})
			}
			k.Own = rng.IntN(20) == 0
			k.Item.Expires = now.Add(time.Duration(rng.IntN(48)) * time.Hour)
			if status, write, _ := s.begin(1, k, now); write != nil && status == StatusStored {
				s.commit(1, rng.IntN(10) > 0)
			}
		case n < 95 && len(s.sorted) > 0:
			s.forget(s.sorted[rng.IntN(len(s.sorted))].Item.Key)
		default:
			now = now.Add(time.Hour)
			s.sweep(now, 9)
		}
		checkBooks(t, s)
	}
	if s.evicted == 0 || s.expired == 0 || s.refused == 0 {
		t.Errorf("%d evicted, %d expired, %d refused: the test tests nothing", s.evicted, s.expired, s.refused)
	}
}

func checkBooks(t *testing.T, s *itemStore) {
	t.Helper()
	bytes, values, payers := 0, 0, map[identity.ID]usage{}
	for _, h := range s.sorted {
		if h.Item.Immutable() {
			values++
		}
		if !h.Own {
			bytes += h.Item.Size
			for _, p := range h.payers() {
				payers[p] = payers[p].add(h.Kept, 1)
			}
		}
	}
	if bytes != s.bytes || values != s.values || len(payers) != len(s.payers) || len(s.byKey) != len(s.sorted) {
		t.Fatalf("held %d bytes, %d values of %v; the books say %d, %d, %v", bytes, values, payers, s.bytes, s.values, s.payers)
	}
	for p, u := range payers {
		if s.payers[p] != u {
			t.Fatalf("%v: held %v, in the books %v", p, u, s.payers[p])
		}
	}
	if len(s.sorted) > s.limit || s.bytes > s.most {
		t.Fatalf("%d items of %d bytes, at most %d and %d", len(s.sorted), s.bytes, s.limit, s.most)
	}
}

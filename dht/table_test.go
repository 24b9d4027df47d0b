package dht

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// FuzzTable compares the table with a sorted slice of all that ever answered:
// as long as no bucket overflows they must agree on everything.
func FuzzTable(f *testing.F) {
	f.Add(uint64(1), []byte{0, 1, 2, 3, 0, 1})
	f.Add(uint64(2), []byte("the quick brown fox jumps over the lazy dog"))
	f.Add(uint64(3), slices.Repeat([]byte{0x10, 0x91, 0x52, 0x13, 0xd4}, 40))
	f.Fuzz(func(t *testing.T, seed uint64, script []byte) {
		rng := rand.New(rand.NewPCG(seed, 0))
		own := randomKey(rng)
		tab := newTable(own)
		model := map[Key]int{} // failures of those that sit
		now := testTime
		for _, b := range script {
			now = now.Add(time.Second)
			// 64 positions, in the six nearest buckets of ten or so each.
			var key Key
			binary.BigEndian.PutUint64(key[:], uint64(b&63)<<58)
			key = key.Distance(own)
			if b&0x80 == 0 {
				if key != own && roomIn(tab, key) {
					model[key] = 0
					tab.heard(nodeAt(key), now)
				}
			} else {
				tab.failed(key, now)
				if _, sits := model[key]; sits {
					if model[key]++; model[key] == dropFailures {
						delete(model, key)
					}
				}
			}
		}
		if tab.size != len(model) {
			t.Fatalf("%d seats, want %d", tab.size, len(model))
		}
		for range 8 {
			compareClosest(t, tab, model, randomKey(rng).Distance(Key{}))
		}
		compareClosest(t, tab, model, own)
	})
}

// roomIn reports whether a contact at key would get or has a seat, whoever
// else is bad.
func roomIn(tab *table, key Key) bool {
	return tab.get(key) != nil || len(tab.bucketOf(key).seats) < bucketSize
}

func compareClosest(t *testing.T, tab *table, model map[Key]int, target Key) {
	t.Helper()
	for _, failing := range []bool{false, true} {
		var want []Key
		for key, failures := range model {
			if failing || failures == 0 {
				want = append(want, key)
			}
		}
		slices.SortFunc(want, func(a, b Key) int { return a.Distance(target).Compare(b.Distance(target)) })
		for _, n := range []int{0, 1, 7, 20, 100} {
			got := tab.closest(target, n, failing)
			if len(got) != min(n, len(want)) {
				t.Fatalf("closest %d of %d: got %d", n, len(want), len(got))
			}
			for i := range got {
				if got[i].key != want[i] {
					t.Fatalf("closest: at %d of %d got %s, want %s", i, n, got[i].key, want[i])
				}
			}
		}
	}
}

func randomKey(rng *rand.Rand) (k Key) {
	for i := range k {
		k[i] = byte(rng.Uint32())
	}
	return k
}

// TestTableInvariants plays at random with overflowing buckets.
func TestTableInvariants(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 7))
		tab := newTable(Key{})
		now := testTime
		for range 2000 {
			now = now.Add(time.Duration(rng.IntN(1000)) * time.Millisecond)
			key := Key{byte(rng.IntN(256)), byte(rng.IntN(4)), 1}
			if rng.IntN(3) > 0 {
				tab.heard(nodeAt(key), now)
			} else {
				tab.failed(key, now)
			}
		}
		size := 0
		for i := range tab.buckets {
			b := &tab.buckets[i]
			size += len(b.seats)
			if len(b.seats) > bucketSize || len(b.cache) > cacheSize {
				t.Fatalf("seed %d: bucket %d has %d seats and %d waiting", seed, i, len(b.seats), len(b.cache))
			}
			seen := map[Key]bool{}
			for _, s := range slices.Concat(b.seats, b.cache) {
				if seen[s.key] || tab.own.CommonPrefix(s.key) != i {
					t.Fatalf("seed %d: %s is twice or wrongly in bucket %d", seed, s.key, i)
				}
				seen[s.key] = true
			}
		}
		if size != tab.size {
			t.Fatalf("seed %d: size %d, want %d", seed, tab.size, size)
		}
	}
}

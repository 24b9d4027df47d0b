package storetest

import (
	"math/rand/v2"
	"testing"

	"github.com/staex-mcc/mcc/store"
)

// RunDurable checks what survives Close. Reopen opens the store kept in folder,
// which is empty the first time.
func RunDurable(t *testing.T, reopen func(t testing.TB, folder string) store.Store) {
	t.Run("close keeps", func(t *testing.T) {
		folder := t.TempDir()
		s := reopen(t, folder)
		put(t, s, "kept", "1")
		put(t, s, "replaced", "1")
		put(t, s, "replaced", "2")
		put(t, s, "deleted", "1")
		if err := s.Delete([]byte("deleted")); err != nil {
			t.Fatal(err)
		}
		closeStore(t, s)
		s = reopen(t, folder)
		defer closeStore(t, s)
		wantValue(t, s, "kept", "1")
		wantValue(t, s, "replaced", "2")
		wantMissing(t, s, "deleted")
	})
	t.Run("random operations", func(t *testing.T) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		rng := rand.New(rand.NewPCG(seed, 0))
		folder, m := t.TempDir(), model{}
		for range 8 {
			s := reopen(t, folder)
			m.compare(t, s, "")
			for range 60 {
				m.step(t, s, rng)
			}
			closeStore(t, s)
		}
	})
}

// Benchmark measures a store with values of 1 KiB, about a record.
func Benchmark(b *testing.B, open func(testing.TB) store.Store) {
	const keys = 1000
	value := make([]byte, 1<<10)
	run := func(name string, loop func(b *testing.B, s store.Store)) {
		b.Run(name, func(b *testing.B) {
			s := open(b)
			defer closeStore(b, s)
			fill(b, s, keys, string(value), "k")
			b.ReportAllocs()
			b.ResetTimer()
			loop(b, s)
		})
	}
	run("Put", func(b *testing.B, s store.Store) {
		for i := 0; b.Loop(); i++ {
			put(b, s, numbered("k", i%keys), string(value))
		}
	})
	run("PutParallel100", func(b *testing.B, s store.Store) {
		b.SetParallelism(50) // times GOMAXPROCS, 2 where the figures come from
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				put(b, s, numbered("k", i%keys), string(value))
			}
		})
	})
	run("Get", func(b *testing.B, s store.Store) {
		for i := 0; b.Loop(); i++ {
			if _, err := s.Get([]byte(numbered("k", i%keys))); err != nil {
				b.Fatal(err)
			}
		}
	})
	run("Scan1000", func(b *testing.B, s store.Store) {
		for b.Loop() {
			if n := len(scan(b, s, "k")); n != keys {
				b.Fatalf("%d entries", n)
			}
		}
	})
}

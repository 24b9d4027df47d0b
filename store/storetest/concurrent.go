package storetest

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/staex-mcc/mcc/store"
)

// testConcurrent has writers with keys of their own, and readers and scanners
// of all keys, run side by side.
func testConcurrent(t *testing.T, s store.Store) {
	const writers, rounds = 20, 30
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			key := numbered("w", w)
			for round := range rounds {
				put(t, s, key, strconv.Itoa(round))
				wantValue(t, s, key, strconv.Itoa(round))
			}
		})
	}
	for range 4 {
		wg.Go(func() { watchRounds(t, s, rounds) })
	}
	wg.Wait()
	got := scan(t, s, "w")
	if len(got) != writers {
		t.Fatalf("%d keys, want %d", len(got), writers)
	}
	for _, e := range got {
		if string(e.Value) != strconv.Itoa(rounds-1) {
			t.Errorf("key %q has %q, want the last round", e.Key, e.Value)
		}
	}
}

// watchRounds checks that no value is seen to go back.
func watchRounds(t *testing.T, s store.Store, rounds int) {
	last := map[string]int{}
	for range 30 {
		for e, err := range s.Scan([]byte("w")) {
			if err != nil {
				t.Error(err)
				return
			}
			round, err := strconv.Atoi(string(e.Value))
			if err != nil || round >= rounds || round < last[string(e.Key)] {
				t.Errorf("key %q went from %d to %q", e.Key, last[string(e.Key)], e.Value)
			}
			last[string(e.Key)] = round
		}
	}
}

// testCloseInUse closes under load: each call ends, with its result or
// ErrClosed.
func testCloseInUse(t *testing.T, s store.Store) {
	var wg sync.WaitGroup
	var running sync.WaitGroup
	for w := range 16 {
		running.Add(1)
		wg.Go(func() {
			first := sync.OnceFunc(running.Done)
			defer first()
			for i := 0; ; i++ {
				err := useOnce(s, numbered("k", w), i)
				first()
				if errors.Is(err, store.ErrClosed) {
					return
				}
				if err != nil {
					t.Errorf("call during Close: %v", err)
					return
				}
			}
		})
	}
	running.Wait()
	for range 3 {
		wg.Go(func() { closeStore(t, s) })
	}
	wg.Wait()
}

func useOnce(s store.Store, key string, i int) error {
	var err error
	switch i % 4 {
	case 0:
		err = s.Put([]byte(key), []byte("v"))
	case 1:
		_, err = s.Get([]byte(key))
	case 2:
		for _, scanErr := range s.Scan([]byte("k")) {
			err = scanErr
		}
	case 3:
		err = s.Delete([]byte(key))
	}
	return err
}

// testRandom compares the store with a map over random operations.
func testRandom(t *testing.T, s store.Store) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	m := model{}
	for range 600 {
		m.step(t, s, rng)
		if t.Failed() {
			return
		}
	}
	m.compare(t, s, "")
}

// model is what a store should hold.
type model map[string]string

// step does one random operation to both.
func (m model) step(t testing.TB, s store.Store, rng *rand.Rand) {
	t.Helper()
	key := randomKey(rng)
	switch rng.IntN(6) {
	case 0, 1, 2:
		value := string(bytes.Repeat([]byte{byte(rng.Uint32())}, valueSize(rng)))
		put(t, s, key, value)
		m[key] = value
	case 3:
		if err := s.Delete([]byte(key)); err != nil {
			t.Fatalf("Delete(%q): %v", key, err)
		}
		delete(m, key)
	case 4:
		if want, found := m[key]; found {
			wantValue(t, s, key, want)
		} else {
			wantMissing(t, s, key)
		}
	case 5:
		m.compare(t, s, key[:rng.IntN(len(key)+1)])
	}
}

// randomKey draws from few enough keys that operations meet.
func randomKey(rng *rand.Rand) string {
	key := []byte{'a' + byte(rng.IntN(3))}
	for range rng.IntN(4) {
		key = append(key, [...]byte{0, '/', 'm', 0xff}[rng.IntN(4)])
	}
	return string(key)
}

func valueSize(rng *rand.Rand) int {
	if rng.IntN(10) == 0 {
		return rng.IntN(store.MaxValue + 1)
	}
	return rng.IntN(200)
}

// compare checks that Scan yields what the model has under prefix.
func (m model) compare(t testing.TB, s store.Store, prefix string) {
	t.Helper()
	var want []store.Entry
	for key, value := range m {
		if strings.HasPrefix(key, prefix) {
			want = append(want, store.Entry{Key: []byte(key), Value: []byte(value)})
		}
	}
	slices.SortFunc(want, func(a, b store.Entry) int { return bytes.Compare(a.Key, b.Key) })
	if got := scan(t, s, prefix); !cmp.Equal(want, got, equateEmpty) {
		t.Fatalf("Scan(%q) yields %d entries, the model has %d, or they differ", prefix, len(got), len(want))
	}
}

// equateEmpty takes a nil and an empty value for the same.
var equateEmpty = cmp.Comparer(func(a, b []byte) bool { return bytes.Equal(a, b) })

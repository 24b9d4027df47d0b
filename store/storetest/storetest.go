// Package storetest proves that a store.Store keeps its contract. An
// implementation calls [Run], a durable one [RunDurable] too.
package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/staex-mcc/mcc/store"
)

// Run checks every sentence of the contract. Open returns a fresh empty store
// each time; Run closes it.
func Run(t *testing.T, open func(testing.TB) store.Store) {
	tests := []struct {
		name string
		run  func(*testing.T, store.Store)
	}{
		{"get and put", testGetPut},
		{"delete", testDelete},
		{"limits", testLimits},
		{"copies", testCopies},
		{"scan order and prefix", testScanOrder},
		{"scan many", testScanMany},
		{"scan large values", testScanLarge},
		{"scan stops", testScanStops},
		{"write inside scan", testScanWrites},
		{"scan under change", testScanUnderChange},
		{"close", testClose},
		{"close inside scan", testCloseInScan},
		{"close while in use", testCloseInUse},
		{"concurrent use", testConcurrent},
		{"random operations", testRandom},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := open(t)
			t.Cleanup(func() { closeStore(t, s) })
			test.run(t, s)
		})
	}
}

func testGetPut(t *testing.T, s store.Store) {
	wantMissing(t, s, "a")
	put(t, s, "a", "1")
	put(t, s, "b", "2")
	wantValue(t, s, "a", "1")
	put(t, s, "a", "replaced")
	wantValue(t, s, "a", "replaced")
	wantValue(t, s, "b", "2")
	put(t, s, "b", "")
	wantValue(t, s, "b", "")
	binary := string([]byte{0, 0xff, 0})
	put(t, s, binary, binary)
	wantValue(t, s, binary, binary)
	// Neighbours in key order are other keys.
	wantMissing(t, s, "")
	wantMissing(t, s, "aa")
	wantMissing(t, s, string([]byte{0}))
}

func testDelete(t *testing.T, s store.Store) {
	put(t, s, "a", "1")
	put(t, s, "ab", "2")
	for _, key := range []string{"a", "a", "never there", "", string(make([]byte, store.MaxKey+1))} {
		if err := s.Delete([]byte(key)); err != nil {
			t.Errorf("Delete(%.20q): %v", key, err)
		}
	}
	wantMissing(t, s, "a")
	wantValue(t, s, "ab", "2")
	put(t, s, "a", "again")
	wantValue(t, s, "a", "again")
}

func testLimits(t *testing.T, s store.Store) {
	longKey := bytes.Repeat([]byte{'k'}, store.MaxKey)
	longValue := bytes.Repeat([]byte{'v'}, store.MaxValue)
	if err := s.Put(longKey, longValue); err != nil {
		t.Fatalf("Put at both limits: %v", err)
	}
	wantValue(t, s, string(longKey), string(longValue))
	refused := []struct {
		name       string
		key, value []byte
	}{
		{"no key", nil, []byte("v")},
		{"empty key", []byte{}, []byte("v")},
		{"long key", append(longKey, 'k'), []byte("v")},
		{"long value", []byte("key"), append(longValue, 'v')},
	}
	for _, r := range refused {
		if err := s.Put(r.key, r.value); !errors.Is(err, store.ErrTooLarge) {
			t.Errorf("Put with %s: got %v, want ErrTooLarge", r.name, err)
		}
	}
	wantMissing(t, s, "key")
	wantMissing(t, s, string(append(longKey, 'k')))
	if got := len(scan(t, s, "")); got != 1 {
		t.Errorf("%d entries after refused puts, want 1", got)
	}
}

func testCopies(t *testing.T, s store.Store) {
	// Stores may treat the first few bytes in a special way.
	put(t, s, "other", string(make([]byte, 16<<10)))
	key, value := []byte("key"), []byte("value")
	if err := s.Put(key, value); err != nil {
		t.Fatal(err)
	}
	overwrite(key)
	overwrite(value)
	wantValue(t, s, "key", "value")

	got, err := s.Get([]byte("key"))
	if err != nil {
		t.Fatal(err)
	}
	overwrite(got)
	_ = append(got, "grown"...)
	wantValue(t, s, "key", "value")

	prefix := []byte("k")
	entries := s.Scan(prefix)
	overwrite(prefix)
	seen := 0
	for e, err := range entries {
		if err != nil {
			t.Fatal(err)
		}
		seen++
		overwrite(e.Key)
		overwrite(e.Value)
	}
	if seen != 1 {
		t.Errorf("Scan saw %d entries after its prefix was overwritten, want 1", seen)
	}
	want := []store.Entry{{Key: []byte("key"), Value: []byte("value")}}
	if diff := cmp.Diff(want, scan(t, s, "k")); diff != "" {
		t.Errorf("after writing into what Scan handed out (-want +got):\n%s", diff)
	}
}

func overwrite(b []byte) {
	for i := range b {
		b[i] = '#'
	}
}

func put(t testing.TB, s store.Store, key, value string) {
	t.Helper()
	if err := s.Put([]byte(key), []byte(value)); err != nil {
		t.Fatalf("Put(%.20q): %v", key, err)
	}
}

func wantValue(t testing.TB, s store.Store, key, want string) {
	t.Helper()
	got, err := s.Get([]byte(key))
	if err != nil || string(got) != want {
		t.Errorf("Get(%.20q): got %.20q, %v, want %.20q", key, got, err, want)
	}
}

func wantMissing(t testing.TB, s store.Store, key string) {
	t.Helper()
	if got, err := s.Get([]byte(key)); got != nil || !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get(%.20q): got %.20q, %v, want ErrNotFound", key, got, err)
	}
}

// scan returns what a whole iteration yields.
func scan(t testing.TB, s store.Store, prefix string) []store.Entry {
	t.Helper()
	var entries []store.Entry
	for e, err := range s.Scan([]byte(prefix)) {
		if err != nil {
			t.Fatalf("Scan(%.20q): %v", prefix, err)
		}
		entries = append(entries, e)
	}
	return entries
}

func closeStore(t testing.TB, s store.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func numbered(prefix string, n int) string { return fmt.Sprintf("%s%06d", prefix, n) }

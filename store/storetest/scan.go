package storetest

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/staex-mcc/mcc/store"
)

func testScanOrder(t *testing.T, s store.Store) {
	if got := scan(t, s, ""); len(got) != 0 {
		t.Errorf("an empty store yields %d entries", len(got))
	}
	for _, key := range []string{"b/2", "a", "b/10", "b", "b0", "b/\xff\xff", "c", "b/1"} {
		put(t, s, key, "value of "+key)
	}
	tests := []struct {
		prefix string
		want   []string
	}{
		{"", []string{"a", "b", "b/1", "b/10", "b/2", "b/\xff\xff", "b0", "c"}},
		{"b/", []string{"b/1", "b/10", "b/2", "b/\xff\xff"}},
		{"b/\xff", []string{"b/\xff\xff"}},
		{"c", []string{"c"}},
		{"b/1", []string{"b/1", "b/10"}},
		{"bb", nil},
		{"d", nil},
		{"\xff", nil},
	}
	for _, test := range tests {
		var got []string
		for _, e := range scan(t, s, test.prefix) {
			got = append(got, string(e.Key))
			if want := "value of " + string(e.Key); string(e.Value) != want {
				t.Errorf("Scan(%q): value %q, want %q", test.prefix, e.Value, want)
			}
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("Scan(%q) (-want +got):\n%s", test.prefix, diff)
		}
	}
}

// manyKeys is more than any sensible page.
const manyKeys = 1500

// fill writes n numbered keys under each prefix, side by side so that a store
// that waits for a disk does so less often.
func fill(t testing.TB, s store.Store, n int, value string, prefixes ...string) {
	t.Helper()
	var wg sync.WaitGroup
	for worker := range 50 {
		wg.Go(func() {
			for i := worker; i < n; i += 50 {
				for _, prefix := range prefixes {
					if err := s.Put([]byte(numbered(prefix, i)), []byte(value)); err != nil {
						t.Errorf("Put: %v", err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

func testScanMany(t *testing.T, s store.Store) {
	fill(t, s, manyKeys, "v", "a/", "b/", "c/")
	for _, prefix := range []string{"a/", "b/", "c/"} {
		got := scan(t, s, prefix)
		if len(got) != manyKeys {
			t.Fatalf("Scan(%q): %d entries, want %d", prefix, len(got), manyKeys)
		}
		for i, e := range got {
			if string(e.Key) != numbered(prefix, i) {
				t.Fatalf("Scan(%q): entry %d is %q", prefix, i, e.Key)
			}
		}
	}
}

func testScanLarge(t *testing.T, s store.Store) {
	const n = 40
	fill(t, s, n, string(make([]byte, store.MaxValue)), "large/")
	got := scan(t, s, "large/")
	if len(got) != n {
		t.Fatalf("%d entries, want %d", len(got), n)
	}
	for i, e := range got {
		if string(e.Key) != numbered("large/", i) || len(e.Value) != store.MaxValue {
			t.Errorf("entry %d is %q with %d bytes", i, e.Key, len(e.Value))
		}
	}
}

func testScanStops(t *testing.T, s store.Store) {
	fill(t, s, 10, "v", "k")
	entries := s.Scan([]byte("k"))
	seen := 0
	for range entries {
		if seen++; seen == 3 {
			break
		}
	}
	if seen != 3 {
		t.Errorf("saw %d entries, want 3", seen)
	}
	// A sequence may be ranged over again, and starts anew.
	again := 0
	for range entries {
		again++
	}
	if again != 10 {
		t.Errorf("the second iteration saw %d entries, want 10", again)
	}
	// A store that still held something would hang at Close or here.
	put(t, s, "k", "v")
}

// testScanWrites grows the store a lot inside the loop, which hangs one that
// keeps a read transaction open meanwhile.
func testScanWrites(t *testing.T, s store.Store) {
	fill(t, s, 100, "v", "k")
	big := string(make([]byte, store.MaxValue))
	for e, err := range s.Scan([]byte("k")) {
		if err != nil {
			t.Fatal(err)
		}
		put(t, s, "grown/"+string(e.Key), big)
		wantValue(t, s, string(e.Key), "v")
		if err := s.Delete(e.Key); err != nil {
			t.Fatal(err)
		}
	}
	if left := scan(t, s, "k"); len(left) != 0 {
		t.Errorf("%d entries left of those deleted inside the loop", len(left))
	}
	if grown := scan(t, s, "grown/"); len(grown) != 100 {
		t.Errorf("%d entries written inside the loop, want 100", len(grown))
	}
}

// testScanUnderChange has odd keys change while a Scan runs: the even ones must
// all be there, the odd ones at most once, all in order and none made up.
func testScanUnderChange(t *testing.T, s store.Store) {
	fill(t, s, manyKeys, "before", "k")
	var keys []string
	seen := 0
	for e, err := range s.Scan([]byte("k")) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, string(e.Key))
		if v := string(e.Value); v != "before" && v != "after" {
			t.Errorf("key %q has %q", e.Key, v)
		}
		if seen++; seen%100 == 0 {
			changeOdd(t, s, seen)
		}
	}
	if !slices.IsSorted(keys) || len(slices.Compact(slices.Clone(keys))) != len(keys) {
		t.Error("keys are out of order or twice")
	}
	for i := 0; i < manyKeys; i += 2 {
		if _, found := slices.BinarySearch(keys, numbered("k", i)); !found {
			t.Errorf("key %d, which nobody touched, is missing", i)
		}
	}
}

// changeOdd replaces, deletes and adds keys before and after the place a scan
// is at.
func changeOdd(t *testing.T, s store.Store, at int) {
	t.Helper()
	for _, i := range []int{at - 51, at + 51, at + 301} {
		put(t, s, numbered("k", i|1), "after")
		if err := s.Delete([]byte(numbered("k", (i+2)|1))); err != nil {
			t.Fatal(err)
		}
		put(t, s, numbered("k", i|1)+"+", "after")
	}
}

func testClose(t *testing.T, s store.Store) {
	put(t, s, "a", "1")
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
	}
	if got, err := s.Get([]byte("a")); got != nil || !errors.Is(err, store.ErrClosed) {
		t.Errorf("Get after Close: %q, %v", got, err)
	}
	if err := s.Put([]byte("a"), nil); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Put after Close: %v", err)
	}
	for _, key := range []string{"a", ""} {
		if err := s.Delete([]byte(key)); !errors.Is(err, store.ErrClosed) {
			t.Errorf("Delete(%q) after Close: %v", key, err)
		}
	}
	wantClosedScan(t, s.Scan(nil))
}

func wantClosedScan(t *testing.T, entries func(func(store.Entry, error) bool)) {
	t.Helper()
	yields := 0
	for e, err := range entries {
		if yields++; !errors.Is(err, store.ErrClosed) || e.Key != nil {
			t.Errorf("Scan after Close yields %q, %v", e.Key, err)
		}
	}
	if yields != 1 {
		t.Errorf("Scan after Close yields %d pairs, want one", yields)
	}
}

func testCloseInScan(t *testing.T, s store.Store) {
	fill(t, s, 5, "v", "k")
	var errs []error
	for _, err := range s.Scan(nil) {
		errs = append(errs, err)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(errs) != 2 || errs[0] != nil || !errors.Is(errs[1], store.ErrClosed) {
		t.Errorf("a Scan closed at its first entry yields %v, want one entry and ErrClosed", errs)
	}
}

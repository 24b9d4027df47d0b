package blob

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func missing(p *Partial) []string {
	var runs []string
	for first, n := range p.Missing() {
		runs = append(runs, fmt.Sprintf("%d+%d", first, n))
	}
	return runs
}

func wantMissing(t *testing.T, p *Partial, want ...string) {
	t.Helper()
	if got := missing(p); !slices.Equal(got, want) {
		t.Errorf("missing %v, want %v", got, want)
	}
}

// seeder is a store with one BLOB, open.
func seeder(t testing.TB, b []byte) *Blob {
	t.Helper()
	s := openStore(t, t.TempDir())
	return get(t, s, put(t, s, b).ID)
}

func TestPartial(t *testing.T) {
	const size = 10*GroupSize + 5
	want := content(size)
	from := seeder(t, want)
	id := from.Info().ID
	dir := t.TempDir()
	s := openStore(t, dir)
	p := partialOf(t, s, id, size)
	wantMissing(t, p, "0+11")
	feed(t, p, from, 2, 3)
	feed(t, p, from, 10, 1)
	wantMissing(t, p, "0+2", "5+5")
	if !p.Has(2, 3) || !p.Has(10, 1) || p.Has(2, 4) || p.Has(1, 2) || p.Has(2, 0) || p.Has(10, 2) || p.Has(11, 1) {
		t.Error("Has disagrees with what came")
	}
	if got := p.Have(); got != 3*GroupSize+5 {
		t.Errorf("have %d bytes, want %d", got, 3*GroupSize+5)
	}
	if _, err := p.Complete(""); !errors.Is(err, ErrMissing) {
		t.Errorf("complete with groups missing: %v", err)
	}
	if _, err := s.Get(id); !errors.Is(err, ErrNotFound) {
		t.Errorf("get while fetching: %v", err)
	}
	closeIt(t, p)
	closeIt(t, s)

	s = openStore(t, dir)
	if got := s.Partials(); len(got) != 1 || got[0].ID != id || got[0].Size != size || got[0].Have != 3*GroupSize+5 {
		t.Errorf("partials after a restart: %+v", got)
	}
	p = partialOf(t, s, id, size)
	wantMissing(t, p, "0+2", "5+5")
	checkPartialReads(t, p, want)
	feed(t, p, from, 0, 2)
	feed(t, p, from, 4, 6) // group 4 again
	wantMissing(t, p)
	info, err := p.Complete("a/film.bin")
	if err != nil || info.ID != id || info.Size != size || info.Name != "film.bin" {
		t.Fatalf("complete: %+v, %v", info, err)
	}
	checkPartialReads(t, p, want) // the handle goes on
	checkBecame(t, s, p, info)
	closeIt(t, s)
	checkBecame(t, openStore(t, dir), nil, info)
}

// checkPartialReads compares what can be read with want, piece by piece.
func checkPartialReads(t *testing.T, p *Partial, want []byte) {
	t.Helper()
	for off := int64(0); off < p.Size(); off += 3000 {
		b := make([]byte, GroupSize)
		n, err := p.ReadAt(b, off)
		if !bytes.Equal(b[:n], want[off:off+int64(n)]) {
			t.Errorf("read at %d: wrong bytes", off)
		}
		full := n == len(b)
		switch first := uint64(off+int64(n)) / GroupSize; {
		case full && err == nil:
		case off+int64(n) == p.Size() && errors.Is(err, io.EOF):
		case !full && errors.Is(err, ErrMissing) && !p.Has(first, 1):
		default:
			t.Errorf("read at %d: %d bytes, %v", off, n, err)
		}
	}
}

// checkBecame looks at what is left of a completed partial: a BLOB.
func checkBecame(t *testing.T, s *Store, p *Partial, want Info) {
	t.Helper()
	if got, err := s.Stat(want.ID); err != nil || got != want {
		t.Errorf("stat: %+v, %v; want %+v", got, err, want)
	}
	if err := s.Verify(t.Context(), want.ID); err != nil {
		t.Error(err)
	}
	if left := listFiles(t, s.partials()); len(left) > 0 {
		t.Errorf("left of the partial: %v", left)
	}
	if _, err := s.Partial(want.ID, want.Size); !errors.Is(err, ErrExists) {
		t.Errorf("partial of a blob that is here: %v, want ErrExists", err)
	}
	if p == nil {
		return
	}
	if got, err := p.Complete("other"); err != nil || got != want {
		t.Errorf("complete again: %+v, %v; want %+v", got, err, want)
	}
	if err := p.Sink().Group(0, []byte("late")); err != nil {
		t.Errorf("a late group: %v", err)
	}
}

func TestPartialSizes(t *testing.T) {
	s := openStore(t, t.TempDir())
	for _, size := range boundaries {
		from := seeder(t, content(size))
		p := partialOf(t, s, from.Info().ID, size)
		feed(t, p, from, 0, Groups(size))
		if info, err := p.Complete(""); err != nil || info.Size != size {
			t.Errorf("complete %d bytes: %+v, %v", size, info, err)
		}
		if err := s.Verify(t.Context(), from.Info().ID); err != nil {
			t.Errorf("verify %d bytes: %v", size, err)
		}
	}
}

// TestManySinks has several slices come in at once, in any order, while others
// read.
func TestManySinks(t *testing.T) {
	const groups = 200
	want := content(groups*GroupSize - 1)
	from := seeder(t, want)
	s := openStore(t, t.TempDir())
	p := partialOf(t, s, from.Info().ID, int64(len(want)))
	order := rand.Perm(groups)
	wires := make([][]byte, groups)
	for i := range wires {
		wires[i] = sliceOf(t, from, uint64(i), 1)
	}
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := w; i < groups; i += 2 { // each twice
				g := uint64(order[i])
				if err := ReadSlice(bytes.NewReader(wires[g]), p.ID(), p.Size(), g, 1, p.Sink()); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			for range 20 {
				b := make([]byte, 3*GroupSize)
				n, err := p.ReadAt(b, 0)
				if !bytes.Equal(b[:n], want[:n]) || err != nil && !errors.Is(err, ErrMissing) {
					t.Errorf("read while fetching: %d bytes, %v", n, err)
				}
				s.Stats()
				missing(p)
			}
		})
	}
	wg.Wait()
	if got := p.Have(); got != int64(len(want)) {
		t.Errorf("have %d bytes of %d", got, len(want))
	}
	if _, err := p.Complete(""); err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(t.Context(), p.ID()); err != nil {
		t.Error(err)
	}
}

func TestSharedHandles(t *testing.T) {
	from := seeder(t, content(2*GroupSize))
	id := from.Info().ID
	s := openStore(t, t.TempDir())
	one, two := partialOf(t, s, id, 2*GroupSize), partialOf(t, s, id, 2*GroupSize)
	feed(t, one, from, 0, 1)
	closeIt(t, one)
	closeIt(t, one)
	if _, err := one.ReadAt(make([]byte, 1), 0); !errors.Is(err, ErrClosed) {
		t.Errorf("read of a closed handle: %v", err)
	}
	if !two.Has(0, 1) {
		t.Error("the other handle does not see the group")
	}
	feed(t, two, from, 1, 1)
	if _, err := two.Complete(""); err != nil {
		t.Error(err)
	}
}

func TestDiscard(t *testing.T) {
	from := seeder(t, content(2*GroupSize))
	s := openStore(t, t.TempDir())
	one, two := partialOf(t, s, from.Info().ID, 2*GroupSize), partialOf(t, s, from.Info().ID, 2*GroupSize)
	feed(t, one, from, 0, 1)
	if err := one.Discard(); err != nil {
		t.Fatal(err)
	}
	if left := listFiles(t, s.dir); len(left) > 0 {
		t.Errorf("left behind %v", left)
	}
	if err := two.Sink().Group(1, make([]byte, GroupSize)); !errors.Is(err, ErrClosed) {
		t.Errorf("a group after discard: %v", err)
	}
	if _, err := two.ReadAt(make([]byte, 1), 0); !errors.Is(err, ErrClosed) {
		t.Errorf("a read after discard: %v", err)
	}
	if _, err := two.Complete(""); !errors.Is(err, ErrClosed) {
		t.Errorf("complete after discard: %v", err)
	}
	again := partialOf(t, s, from.Info().ID, 2*GroupSize)
	wantMissing(t, again, "0+2")
}

// TestPartialSize is about fetches begun with different sizes.
func TestPartialSize(t *testing.T) {
	const size = 3 * GroupSize
	from := seeder(t, content(size))
	id := from.Info().ID
	s := openStore(t, t.TempDir())
	check := func(what string, size int64, want error) {
		t.Helper()
		p, err := s.Partial(id, size)
		if !errors.Is(err, want) || (want == nil && err != nil) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
		if err == nil {
			closeIt(t, p)
		}
	}
	p := partialOf(t, s, id, size)
	feed(t, p, from, 0, 1)
	check("open, not proven", size+1, ErrExists)
	feed(t, p, from, 2, 1)
	check("open, proven", size+1, ErrMismatch)
	closeIt(t, p)
	check("closed, proven", size-1, ErrMismatch)
	check("closed, the same", size, nil)
	if _, err := s.SweepPartials(0); err != nil {
		t.Fatal(err)
	}
	p = partialOf(t, s, id, size+1)
	closeIt(t, p)
	check("closed, not proven", size, nil)
	check("negative", -1, ErrRange)
	check("too large", MaxSize+1, ErrTooLarge)
}

// TestResumeDistrusts changes the files of a closed partial.
func TestResumeDistrusts(t *testing.T) {
	const size = 4*GroupSize + 9
	want := content(size)
	from := seeder(t, want)
	id := from.Info().ID
	for _, tt := range []struct {
		name   string
		change func(s *Store) error
		have   bool // whether anything is left to resume
	}{
		{"nothing", func(*Store) error { return nil }, true},
		{"content cut", func(s *Store) error { return os.Truncate(s.partial(id, dataSuffix), 2*GroupSize-1) }, false},
		{"content gone", func(s *Store) error { return os.Remove(s.partial(id, dataSuffix)) }, false},
		{"tree gone", func(s *Store) error { return os.Remove(s.partial(id, treeSuffix)) }, false},
		{"state gone", func(s *Store) error { return os.Remove(s.partial(id, stateSuffix)) }, false},
		{"state cut", func(s *Store) error { return os.Truncate(s.partial(id, stateSuffix), 70) }, false},
		{"state changed", func(s *Store) error { flip(t, s.partial(id, stateSuffix), stateFixed); return nil }, false},
		{"tree cut", func(s *Store) error { return os.Truncate(s.partial(id, treeSuffix), headerSize) }, true},
		{"group changed", func(s *Store) error { flip(t, s.partial(id, dataSuffix), 5); return nil }, true},
	} {
		dir := t.TempDir()
		s := openStore(t, dir)
		p := partialOf(t, s, id, size)
		feed(t, p, from, 0, 2)
		closeIt(t, p)
		closeIt(t, s)
		if err := tt.change(s); err != nil {
			t.Fatal(err)
		}
		s = openStore(t, dir)
		if got := len(s.Partials()) == 1; got != tt.have {
			t.Errorf("%s: partials %+v, want one: %v", tt.name, s.Partials(), tt.have)
		}
		p = partialOf(t, s, id, size)
		b := make([]byte, size)
		n, err := p.ReadAt(b, 0)
		if !bytes.Equal(b[:n], want[:n]) || err == nil {
			t.Errorf("%s: read %d bytes, %v", tt.name, n, err)
		}
		for first, n := range p.Missing() { // what was found wrong is missing again
			feed(t, p, from, first, n)
		}
		if _, err := p.Complete(""); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err := s.Verify(t.Context(), id); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestStoreCloseKeepsPartials(t *testing.T) {
	from := seeder(t, content(3*GroupSize))
	id := from.Info().ID
	dir := t.TempDir()
	s := openStore(t, dir)
	p := partialOf(t, s, id, 3*GroupSize)
	feed(t, p, from, 1, 1)
	closeIt(t, s)
	if err := p.Sink().Group(0, make([]byte, GroupSize)); !errors.Is(err, ErrClosed) {
		t.Errorf("a group after the close: %v", err)
	}
	s = openStore(t, dir)
	wantMissing(t, partialOf(t, s, id, 3*GroupSize), "0+1", "2+1")
}

// TestPutDuringFetch has the BLOB arrive another way.
func TestPutDuringFetch(t *testing.T) {
	want := content(3 * GroupSize)
	from := seeder(t, want)
	s := openStore(t, t.TempDir())
	p := partialOf(t, s, from.Info().ID, 3*GroupSize)
	feed(t, p, from, 0, 3)
	first := put(t, s, want)
	info, err := p.Complete("")
	if err != nil || info != first {
		t.Errorf("complete: %+v, %v; want %+v", info, err, first)
	}
	checkBecame(t, s, p, info)
}

// TestCompleteReplacesDamage fetches a BLOB that is here but damaged.
func TestCompleteReplacesDamage(t *testing.T) {
	want := content(3 * GroupSize)
	from := seeder(t, want)
	s := openStore(t, t.TempDir())
	id := put(t, s, want).ID
	flip(t, s.path(id, blobSuffix), 1)
	if err := s.Verify(t.Context(), id); !errors.Is(err, ErrDamaged) {
		t.Fatal(err)
	}
	p := partialOf(t, s, id, 3*GroupSize)
	feed(t, p, from, 0, 3)
	if _, err := p.Complete(""); err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(t.Context(), id); err != nil {
		t.Error(err)
	}
}

func TestSweepPartials(t *testing.T) {
	dir := t.TempDir()
	from := seeder(t, content(GroupSize+1))
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t, dir)
		old, err := s.Partial(ID{1}, 100)
		if err != nil {
			t.Fatal(err)
		}
		closeIt(t, old)
		time.Sleep(2 * time.Hour)
		young := partialOf(t, s, ID{2}, 100)
		closeIt(t, young)
		partialOf(t, s, from.Info().ID, GroupSize+1) // stays open
		time.Sleep(time.Hour)
		if n, err := s.SweepPartials(2 * time.Hour); n != 1 || err != nil {
			t.Errorf("sweep: %d, %v; want 1", n, err)
		}
		if got := s.Partials(); len(got) != 2 || got[0].ID != (ID{2}) {
			t.Errorf("left: %+v", got)
		}
		if n, err := s.SweepPartials(0); n != 1 || err != nil {
			t.Errorf("sweep of all: %d, %v; want 1, for one is open", n, err)
		}
	})
}

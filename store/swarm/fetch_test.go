package swarm

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/staex-mcc/mcc/store/blob"
)

const mib = 1 << 20

func TestOneSeeder(t *testing.T) {
	for _, size := range []int{0, 1, 16 << 10, 16<<10 + 1, mib - 1, mib, mib + 1, 3*mib + 5, 40 * mib} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, size)
			w.seeder(10*mib, 10*time.Millisecond)
			w.fetch()
			synctest.Wait()
			w.wantKept(true)
			if got := w.kept.Load(); got != 1 {
				t.Errorf("size %d: Kept was called %d times, want 1", size, got)
			}
			stats := w.here.Stats()
			if stats.FetchedBytes != uint64(size) || stats.DuplicateBytes != 0 || stats.Completed != 1 {
				t.Errorf("size %d: %+v", size, stats)
			}
			w.fetch() // now from the store
			if got := w.here.Stats().FetchedBytes; got != uint64(size) {
				t.Errorf("read of a local blob fetched %d bytes", got-uint64(size))
			}
		})
	}
}

func TestEightSeeders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 64 * mib
		w := newWorld(t, size)
		sum := 0
		for i := range 8 { // the slowest are found first
			rate := (i + 1) * mib / 4
			sum += rate
			w.seeder(rate, 20*time.Millisecond)
		}
		start := time.Now()
		w.fetch()
		took, ideal := time.Since(start), size*time.Second/time.Duration(sum)
		t.Logf("took %v, ideal %v, %+v", took, ideal, w.here.Stats())
		if took > ideal*3/2 {
			t.Errorf("took %v, want at most half more than %v", took, ideal)
		}
		for i, s := range w.far {
			if s.sent.Load() < mib/2 {
				t.Errorf("seeder %d sent %d bytes, want its share", i, s.sent.Load())
			}
		}
		if s := w.here.Stats(); s.DuplicateBytes > size/8 || s.FetchedBytes != size {
			t.Errorf("%d bytes came twice, %d once, of %d", s.DuplicateBytes, s.FetchedBytes, size)
		}
		synctest.Wait()
		w.wantKept(true)
	})
}

// TestDepth: one unit at a time would bring 5 MiB/s over this round trip.
func TestDepth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size, rate = 64 * mib, 40 * mib
		w := newWorld(t, size)
		w.seeder(rate, 100*time.Millisecond)
		start := time.Now()
		w.fetch()
		took, ideal := time.Since(start), time.Duration(size/rate)*time.Second
		t.Logf("took %v, ideal %v", took, ideal)
		if took > 3*ideal {
			t.Errorf("took %v, want near %v", took, ideal)
		}
	})
}

// TestSlowSeeder: a unit that the slow one holds is taken over.
func TestSlowSeeder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 16*mib)
		w.seeder(20<<10, time.Millisecond) // 51 s a unit
		w.seeder(8*mib, time.Millisecond)
		start := time.Now()
		w.fetch()
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("took %v, want about 2 s", took)
		}
		if s := w.here.Stats(); s.FetchedBytes != 16*mib {
			t.Errorf("counted %d bytes as new of %d", s.FetchedBytes, 16*mib)
		}
	})
}

// TestSmallOnce: a small BLOB is not asked of everybody.
func TestSmallOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2*mib)
		for range 8 {
			w.seeder(mib, 50*time.Millisecond)
		}
		w.fetch()
		total := int64(0)
		for _, s := range w.far {
			total += s.sent.Load()
		}
		if total > 3*mib {
			t.Errorf("seeders sent %d bytes for %d", total, 2*mib)
		}
	})
}

func TestSeederDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 20*mib)
		first := w.seeder(2*mib, time.Millisecond)
		r := w.mustOpen()
		defer r.Close()
		time.AfterFunc(4*time.Second, first.kill)
		time.AfterFunc(20*time.Second, func() { w.seeder(2*mib, time.Millisecond) })
		w.readAll(r)
		synctest.Wait()
		w.wantKept(true)
		if a := first.sent.Load(); a < 5*mib {
			t.Errorf("the first seeder sent %d bytes", a)
		}
		if b := w.far[1].sent.Load(); b > 16*mib {
			t.Errorf("the second seeder sent %d bytes, more than were missing", b)
		}
	})
}

// TestSilentSeeder: one that stops sending without a word.
func TestSilentSeeder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4*mib)
		w.liar(func(ctx context.Context, c net.Conn) {
			_, _ = c.Write(appendSize(nil, 4*mib))
			<-ctx.Done()
		})
		w.seeder(mib, time.Millisecond)
		w.fetch()
		if s := w.here.Stats(); s.Banned != 0 {
			t.Errorf("%d banned, want none: silence is no lie", s.Banned)
		}
	})
}

func TestLaterSeederJoins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 40*mib)
		w.seeder(mib, time.Millisecond)
		time.AfterFunc(5*time.Second, func() { w.seeder(4*mib, time.Millisecond) })
		start := time.Now()
		w.fetch()
		if took := time.Since(start); took > 25*time.Second {
			t.Errorf("took %v, 40 s with the first alone", took)
		}
	})
}

func TestNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, mib)
		if _, err := w.here.Open(t.Context(), w.id); !errors.Is(err, ErrNotFound) {
			t.Errorf("open: got %v, want ErrNotFound", err)
		}
		if _, err := w.here.Stat(t.Context(), w.id); !errors.Is(err, ErrNotFound) {
			t.Errorf("stat: got %v, want ErrNotFound", err)
		}
		w.seeder(0, 0).refuses.Store(true)
		start := time.Now()
		if _, err := w.here.Open(t.Context(), w.id); !errors.Is(err, ErrUnreachable) || errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), errRefused.Error()) {
			t.Errorf("open: got %v, want ErrUnreachable that names errRefused", err)
		}
		if took := time.Since(start); took < openPatience || took > openPatience+5*time.Second {
			t.Errorf("gave up after %v, want %v", took, openPatience)
		}
		if _, err := w.here.Stat(t.Context(), w.id); !errors.Is(err, ErrUnreachable) {
			t.Errorf("stat: got %v, want ErrUnreachable", err)
		}
		if n := w.partFiles(); n != 0 {
			t.Errorf("%d files of partial blobs are left", n)
		}
	})
}

// TestStalls: the only seeder dies, nobody comes.
func TestStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 20*mib)
		s := w.seeder(2*mib, time.Millisecond)
		r := w.mustOpen()
		defer r.Close()
		time.AfterFunc(4*time.Second, s.kill)
		n, err := io.Copy(io.Discard, r)
		if !errors.Is(err, ErrUnreachable) || n == 0 {
			t.Errorf("read %d bytes and %v, want some and ErrUnreachable", n, err)
		}
		if took := time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)); took > 45*time.Second {
			t.Errorf("gave up after %v", took)
		}
	})
}

// TestReaderStops: only the window is fetched for a reader that does not read.
func TestReaderStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 80*mib)
		w.seeder(20*mib, time.Millisecond)
		r := w.mustOpen()
		defer r.Close()
		time.Sleep(time.Minute)
		if got := w.here.Stats().FetchedBytes; got > blob.GroupSize {
			t.Errorf("fetched %d bytes before the first read", got)
		}
		if _, err := io.ReadFull(r, make([]byte, 3*mib)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		if got := w.here.Stats().FetchedBytes; got < 34*mib || got > 36*mib {
			t.Errorf("fetched %d MiB for a reader at 3 MiB, want 35", got/mib)
		}
		w.data = w.data[3*mib:]
		w.readAll(r)
	})
}

func TestResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 40*mib)
		s := w.seeder(4*mib, time.Millisecond)
		r := w.mustOpen()
		if _, err := io.ReadFull(r, make([]byte, 10*mib+mib/2)); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		had := int64(w.here.Stats().FetchedBytes)
		time.Sleep(time.Hour)
		if got := int64(w.here.Stats().FetchedBytes); got != had {
			t.Errorf("fetched %d bytes without a reader", got-had)
		}
		w.wantKept(false)
		w.reopen(Config{})
		s.sent.Store(0)
		w.fetch()
		got := int64(w.here.Stats().FetchedBytes)
		if had < 10*mib || got != 40*mib-had {
			t.Errorf("fetched %d bytes, then %d: not %d in all", had, got, 40*mib)
		}
		if sent := s.sent.Load(); sent > got+got/200+3*blob.GroupSize {
			t.Errorf("asked for %d bytes when %d were missing", sent, got)
		}
		synctest.Wait()
		w.wantKept(true)
	})
}

func TestSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4*mib)
		w.seeder(mib, time.Millisecond)
		r := w.mustOpen()
		if _, err := r.ReadAt(make([]byte, 10), mib); err != nil {
			t.Fatal(err)
		}
		r.Close()
		synctest.Wait()
		if w.partFiles() == 0 {
			t.Fatal("no partial blob is kept")
		}
		time.Sleep(2*sweepAfter + time.Minute)
		synctest.Wait()
		if n := w.partFiles(); n != 0 || w.here.Stats().Swept != 1 {
			t.Errorf("%d files are left after two days, %d swept", n, w.here.Stats().Swept)
		}
	})
}

func TestForget(t *testing.T) {
	for _, part := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 4*mib)
			w.reopen(Config{Forget: true})
			w.seeder(mib, time.Millisecond)
			r := w.mustOpen()
			if part {
				if _, err := r.Read(make([]byte, 10)); err != nil {
					t.Fatal(err)
				}
			} else {
				w.readAll(r)
				if _, err := r.Seek(0, io.SeekStart); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				w.readAll(r)
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			w.wantKept(false)
			if n := w.partFiles(); n != 0 || w.kept.Load() != 0 {
				t.Errorf("%d files are left, Kept was called %d times", n, w.kept.Load())
			}
		})
	}
}

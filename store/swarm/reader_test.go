package swarm

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/staex-mcc/mcc/store/blob"
)

func TestReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 40<<10+7)
		w.seeder(mib, time.Millisecond)
		for range 2 { // fetched, then local
			r := w.mustOpen()
			if r.Size() != int64(len(w.data)) || r.Info().ID != w.id {
				t.Errorf("size %d, info %+v", r.Size(), r.Info())
			}
			if err := iotest.TestReader(r, w.data); err != nil {
				t.Error(err)
			}
			if n, err := r.ReadAt(nil, 5); n != 0 || err != nil {
				t.Errorf("empty ReadAt: got %d, %v", n, err)
			}
			if _, err := r.ReadAt(make([]byte, 1), -1); err == nil {
				t.Error("ReadAt before the start: no error")
			}
			if err := errors.Join(r.Close(), r.Close()); err != nil {
				t.Error(err)
			}
			if _, err := r.Read(make([]byte, 1)); !errors.Is(err, ErrClosed) {
				t.Errorf("read after close: got %v, want ErrClosed", err)
			}
			synctest.Wait()
		}
	})
}

// TestShared: several readers, one fetch.
func TestShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 20*mib)
		w.seeder(4*mib, time.Millisecond)
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * 500 * time.Millisecond)
				w.fetch()
			})
		}
		wg.Wait()
		synctest.Wait()
		if s := w.here.Stats(); s.FetchedBytes != 20*mib || s.Completed != 1 || s.Readers != 0 || s.Fetches != 0 {
			t.Errorf("stats %+v", s)
		}
		if n := w.far[0].dials.Load(); n != 1 {
			t.Errorf("dialled %d times, want once", n)
		}
	})
}

// TestRanges: random pieces come without what lies far off.
func TestRanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 128*mib)
		w.seeder(4*mib, 10*time.Millisecond)
		rng := rand.New(rand.NewPCG(1, 2))
		for range 5 {
			r := w.mustOpen()
			off := rng.Int64N(128*mib - 70000)
			b := make([]byte, 70000)
			start := time.Now()
			if _, err := r.ReadAt(b, off); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(b, w.data[off:][:len(b)]) {
				t.Fatalf("wrong bytes at %d", off)
			}
			if took := time.Since(start); took > 3*time.Second {
				t.Errorf("range at %d took %v", off, took)
			}
			r.Close()
			synctest.Wait()
		}
		if got := w.here.Stats().FetchedBytes; got > 20*mib {
			t.Errorf("fetched %d MiB for five small ranges", got/mib)
		}
		w.wantKept(false)
	})
}

// TestConcurrentReadAt: one reader, many places at once.
func TestConcurrentReadAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 64*mib)
		w.seeder(16*mib, 10*time.Millisecond)
		r := w.mustOpen()
		defer r.Close()
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				b, off := make([]byte, 100_000), int64(15-i)*4*mib
				if _, err := r.ReadAt(b, off); err != nil || !bytes.Equal(b, w.data[off:][:len(b)]) {
					t.Errorf("read at %d: %v", off, err)
				}
			})
		}
		wg.Wait()
	})
}

func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4*mib)
		w.seeder(mib, time.Hour) // the size does not come
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := w.here.Open(ctx, w.id); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("open: got %v, want DeadlineExceeded", err)
		}
		w.far[0].delay = time.Millisecond
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		synctest.Wait()
		r, err := w.here.Open(ctx, w.id)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if _, err := io.Copy(io.Discard, r); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("read: got %v, want DeadlineExceeded", err)
		}
	})
}

func TestCloseWhileFetching(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 8*mib)
		w.seeder(mib, time.Millisecond)
		r := w.mustOpen()
		time.AfterFunc(2*time.Second, func() { w.here.Close() })
		if _, err := io.Copy(io.Discard, r); !errors.Is(err, ErrClosed) {
			t.Errorf("read: got %v, want ErrClosed", err)
		}
		if _, err := w.here.Open(t.Context(), w.id); !errors.Is(err, ErrClosed) {
			t.Errorf("open: got %v, want ErrClosed", err)
		}
		if _, err := w.here.Stat(t.Context(), w.id); !errors.Is(err, ErrClosed) {
			t.Errorf("stat: got %v, want ErrClosed", err)
		}
		r.Close()
		w.wantKept(false)
	})
}

// TestCloseReaderWhileWaiting: Close ends a Read.
func TestCloseReaderWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 8*mib)
		w.seeder(4<<10, time.Millisecond) // 4 s a group
		r, other := w.mustOpen(), w.mustOpen()
		defer other.Close() // it keeps the fetch going
		time.AfterFunc(time.Second, func() { r.Close() })
		start := time.Now()
		if _, err := io.Copy(io.Discard, r); !errors.Is(err, ErrClosed) {
			t.Errorf("read: got %v, want ErrClosed", err)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("the read ended after %v, want with the close after 1 s", took)
		}
	})
}

func TestStat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3*mib+1)
		w.seeder(0, 0).refuses.Store(true)
		w.liar(claims(5))
		w.seeder(mib, time.Millisecond)
		for _, local := range []bool{false, true} {
			info, err := w.here.Stat(t.Context(), w.id)
			if err != nil || info.Size != 3*mib+1 || info.Local != local {
				t.Errorf("stat: got %+v, %v, want local %v", info, err, local)
			}
			if !local && w.partFiles() != 0 {
				t.Error("stat keeps a partial blob")
			}
			w.fetch()
			synctest.Wait()
		}
	})
}

// TestPutMeanwhile: the BLOB is put here while it is looked for.
func TestPutMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2*mib)
		w.seeder(mib, time.Second)
		time.AfterFunc(1500*time.Millisecond, func() { put(t, w.store, w.data) })
		w.fetch()
		if got := w.here.Stats().FetchedBytes; got != 0 {
			t.Errorf("fetched %d bytes of a blob that is here", got)
		}
	})
}

func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, mib)
		w.seeder(mib, time.Second)
		var wg sync.WaitGroup
		for i := range maxFetches {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_, _ = w.here.Open(ctx, blob.ID{byte(i)})
			})
		}
		synctest.Wait()
		if _, err := w.here.Open(t.Context(), w.id); !errors.Is(err, ErrBusy) {
			t.Errorf("open: got %v, want ErrBusy", err)
		}
		wg.Wait()
		synctest.Wait()
		w.fetch()
		w.here.mu.Lock()
		w.here.readers = maxReaders
		w.here.mu.Unlock()
		if _, err := w.here.Open(t.Context(), w.id); !errors.Is(err, ErrBusy) {
			t.Errorf("open: got %v, want ErrBusy", err)
		}
		if got := w.here.Stats().Refused; got != 2 {
			t.Errorf("%d refused, want 2", got)
		}
	})
}

package blob

import (
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
)

// TestCloseEndsPut closes while a Put waits for its reader: the files are gone
// when Close returns, long before the reader lets go.
func TestCloseEndsPut(t *testing.T) {
	for _, size := range []int64{1, windowSize, leafRun*GroupSize + windowSize} {
		dir := t.TempDir()
		s := openStore(t, dir)
		r, w := io.Pipe()
		failed := make(chan error, 1)
		go func() {
			_, err := s.Put(t.Context(), r, "")
			failed <- err
		}()
		if _, err := io.Copy(w, &pattern{n: size}); err != nil {
			t.Fatal(err)
		}
		closeIt(t, s)
		if left := listFiles(t, dir); len(left) > 0 {
			t.Errorf("%d bytes: after the close: left behind %v", size, left)
		}
		closeIt(t, w)
		if err := <-failed; !errors.Is(err, ErrClosed) {
			t.Errorf("%d bytes: put over the close: %v, want ErrClosed", size, err)
		}
		if left := listFiles(t, dir); len(left) > 0 {
			t.Errorf("%d bytes: after the put: left behind %v", size, left)
		}
	}
}

// brake is a reader that calls stop once some bytes have been read.
type brake struct {
	pattern
	after int64
	stop  func()
}

func (b *brake) Read(p []byte) (int, error) {
	n, err := b.pattern.Read(p)
	if b.stop != nil && b.at >= b.after {
		b.stop()
		b.stop = nil
	}
	return n, err
}

// TestCloseAmidPuts closes at a random moment of several Puts: nothing is left
// without a name, and what was acknowledged is whole.
func TestCloseAmidPuts(t *testing.T) {
	const size = 2 << 20
	for round := range 30 {
		dir := t.TempDir()
		s := openStore(t, dir)
		start := make(chan struct{})
		acked := make(chan ID, 4)
		var puts sync.WaitGroup
		for i := range int64(cap(acked)) {
			r := &brake{pattern: pattern{n: size + i}}
			if i == 0 {
				r.after, r.stop = rand.Int64N(size), func() { close(start) }
			}
			puts.Go(func() {
				info, err := s.Put(t.Context(), r, "")
				if err == nil {
					acked <- info.ID
				} else if !errors.Is(err, ErrClosed) {
					t.Errorf("put over the close: %v, want ErrClosed", err)
				}
			})
		}
		<-start
		closeIt(t, s)
		if left := listFiles(t, s.tmp()); len(left) > 0 {
			t.Errorf("round %d: after the close: left behind %v", round, left)
		}
		puts.Wait()
		close(acked)
		s = openStore(t, dir)
		if st := s.Stats(); st.Swept > 0 || st.Damaged > 0 {
			t.Errorf("round %d: stats %+v, want nothing swept or damaged", round, st)
		}
		for id := range acked {
			if err := s.Verify(t.Context(), id); err != nil {
				t.Errorf("round %d: acknowledged: %v", round, err)
			}
		}
		closeIt(t, s)
	}
}

// TestCloseEndsRecheck closes while a Put reads the BLOB that is here already.
func TestCloseEndsRecheck(t *testing.T) {
	s := openStore(t, t.TempDir())
	id := put(t, s, content(5*GroupSize)).ID
	s.closing.Store(true) // what Close does first
	if err := s.recheck(t.Context(), id); !errors.Is(err, ErrClosed) {
		t.Errorf("recheck over the close: %v, want ErrClosed", err)
	}
	if st := s.Stats(); st.Damaged != 0 {
		t.Errorf("stats %+v, want nothing damaged", st)
	}
}

//go:build unix && !solaris && !aix

package blob

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestInUse opens a folder twice: the second fails and sweeps nothing.
func TestInUse(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		_, err := s.Put(t.Context(), r, "")
		done <- err
	}()
	if _, err := w.Write([]byte("begin")); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), dir) {
		t.Errorf("open of an open folder: %v, want ErrInUse with its name", err)
	}
	closeIt(t, w)
	if err := <-done; err != nil {
		t.Errorf("put during the second open: %v", err)
	}
	closeIt(t, s)
	s = openStore(t, dir)
	if st := s.Stats(); st.Blobs != 1 {
		t.Errorf("stats %+v, want one blob", st)
	}
}

// TestFailedOpenUnlocks fails each change of an Open in turn: the next one gets
// the lock.
func TestFailedOpenUnlocks(t *testing.T) {
	for stop, opened := 1, false; !opened; stop++ {
		dir := t.TempDir()
		closeIt(t, openStore(t, dir))
		if err := os.WriteFile(filepath.Join(dir, "tmp", "put-1.blob"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		c := &changes{stop: stop, err: errDead}
		s, err := open(dir, Options{}, c.disk())
		if opened = err == nil; opened {
			closeIt(t, s)
		} else if !errors.Is(err, errDead) {
			t.Errorf("change %d: %v, want %v", stop, err, errDead)
		}
		closeIt(t, openStore(t, dir))
	}
}

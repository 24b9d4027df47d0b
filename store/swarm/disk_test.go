package swarm

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/staex-mcc/mcc/store/blob"
)

// TestDamagedPartial: what rots on the disk before it is read is fetched again.
func TestDamagedPartial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 40*mib)
		w.seeder(20*mib, time.Millisecond)
		r := w.mustOpen()
		defer r.Close()
		if _, err := io.ReadFull(r, make([]byte, mib)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // the window is full
		spoilFile(t, filepath.Join(w.dir, "partial", w.id.String()+".part"), 10*mib+5)
		w.data = w.data[mib:]
		w.readAll(r)
		if got := w.here.Stats().Mended; got != 1 {
			t.Errorf("mended %d times, want once", got)
		}
		synctest.Wait()
		w.wantKept(true)
	})
}

// TestDamagedWhole: what rots after the BLOB is whole is an error, never wrong
// bytes.
func TestDamagedWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4*mib)
		w.seeder(20*mib, time.Millisecond)
		r := w.mustOpen()
		defer r.Close()
		if _, err := io.ReadFull(r, make([]byte, mib)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		name := w.id.String()
		found, err := filepath.Glob(filepath.Join(w.dir, "*", name+".blob"))
		if err != nil || len(found) != 1 {
			found, _ = filepath.Glob(filepath.Join(w.dir, "*", "*", name+".blob"))
		}
		if len(found) != 1 {
			t.Fatalf("files of the blob: %v", found)
		}
		spoilFile(t, found[0], 2*mib+5)
		n, err := io.Copy(io.Discard, r)
		if !errors.Is(err, blob.ErrDamaged) || n > mib {
			t.Errorf("read %d bytes and %v, want at most 1 MiB and blob.ErrDamaged", n, err)
		}
	})
}

func spoilFile(t *testing.T, name string, at int64) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
}

// TestStoreGone: a store that fails ends the fetch with its error, and costs no
// seeder its reputation.
func TestStoreGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 8*mib)
		w.seeder(mib, time.Millisecond)
		r := w.mustOpen()
		defer r.Close()
		time.AfterFunc(2*time.Second, func() { w.store.Close() })
		start := time.Now()
		if _, err := io.Copy(io.Discard, r); !errors.Is(err, blob.ErrClosed) {
			t.Errorf("read: got %v, want blob.ErrClosed", err)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("the reader heard of it after %v", took)
		}
		synctest.Wait()
		if s := w.here.Stats(); s.Banned != 0 || s.Failed != 1 {
			t.Errorf("stats %+v, want none banned, one failed", s)
		}
	})
}

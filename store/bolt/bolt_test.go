package bolt_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/staex-mcc/mcc/store"
	"github.com/staex-mcc/mcc/store/bolt"
	"github.com/staex-mcc/mcc/store/storetest"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(writerEnv); path != "" {
		runWriter(path)
		return
	}
	goleak.VerifyTestMain(m)
}

func open(t testing.TB) store.Store { return openIn(t, t.TempDir()) }

func openIn(t testing.TB, folder string) store.Store {
	t.Helper()
	return openFile(t, filepath.Join(folder, "store.db"))
}

func openFile(t testing.TB, path string) *bolt.Store {
	t.Helper()
	s, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func closeStore(t testing.TB, s store.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestConformance(t *testing.T) { storetest.Run(t, open) }

func TestDurable(t *testing.T) { storetest.RunDurable(t, openIn) }

func BenchmarkStore(b *testing.B) { storetest.Benchmark(b, open) }

func TestOpenMakesFolders(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b", "store.db")
	s := openFile(t, path)
	defer closeStore(t, s)
	if runtime.GOOS == "windows" {
		return
	}
	for name, want := range map[string]os.FileMode{
		path: 0o600, filepath.Dir(path): os.ModeDir | 0o700, filepath.Dir(filepath.Dir(path)): os.ModeDir | 0o700,
	} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", name, info.Mode(), want)
		}
	}
}

// TestGroupCommit has callers write at once, more than fit one commit: those
// that arrive during a commit share the next one.
func TestGroupCommit(t *testing.T) {
	s := openFile(t, filepath.Join(t.TempDir(), "store.db"))
	defer closeStore(t, s)
	const callers, rounds = 600, 3
	for range rounds {
		var wg sync.WaitGroup
		for i := range callers {
			wg.Go(func() {
				if err := s.Put(fmt.Appendf(nil, "key%d", i), []byte("v")); err != nil {
					t.Errorf("Put: %v", err)
				}
			})
		}
		wg.Wait()
	}
	stats := s.Stats()
	t.Logf("%d writes took %d commits", stats.Writes, stats.Commits)
	if stats.Writes != callers*rounds {
		t.Errorf("%d writes counted, want %d", stats.Writes, callers*rounds)
	}
	// Usually four a round; a quarter of the writes leaves room for a machine
	// that lets callers start slowly.
	if stats.Commits > callers*rounds/4 {
		t.Errorf("%d writes took %d commits", stats.Writes, stats.Commits)
	}
}

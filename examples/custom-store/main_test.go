package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/staex-mcc/mcc/examples/internal/program"
	"github.com/staex-mcc/mcc/store"
	"github.com/staex-mcc/mcc/store/storetest"
)

func open(t testing.TB, path string) store.Store {
	t.Helper()
	s, err := openLines(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestContract(t *testing.T) {
	storetest.Run(t, func(t testing.TB) store.Store { return open(t, filepath.Join(t.TempDir(), "store")) })
}

func TestDurable(t *testing.T) {
	storetest.RunDurable(t, func(t testing.TB, folder string) store.Store { return open(t, filepath.Join(folder, "store")) })
}

// A crash may leave any part of the last line; what stood before is whole.
func TestCutShort(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	s := open(t, path)
	for _, key := range []string{"a", "b"} {
		if err := s.Put([]byte(key), []byte("value of "+key)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	first := strings.Index(string(whole), "\n") + 1
	for n := first; n < len(whole); n++ {
		if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, path)
		if info, err := os.Stat(path); err != nil || info.Size() != int64(first) {
			t.Fatalf("cut at %d: %v, %v, want a file of %d bytes", n, info, err, first)
		}
		a, errA := s.Get([]byte("a"))
		_, errB := s.Get([]byte("b"))
		if string(a) != "value of a" || errA != nil || !errors.Is(errB, store.ErrNotFound) {
			t.Fatalf("cut at %d: a is %q, %v, b %v", n, a, errA, errB)
		}
		if err := errors.Join(s.Put([]byte("c"), nil), s.Close()); err != nil {
			t.Fatal(err)
		}
		s = open(t, path)
		if _, err := s.Get([]byte("c")); err != nil {
			t.Fatalf("cut at %d, then written to: %v", n, err)
		}
		_ = s.Close()
	}
	if err := os.WriteFile(path, append([]byte("x"), whole...), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openLines(path); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("damaged in the midst: %v, want ErrDamaged", err)
	}
}

// The node runs on it, and finds again what it kept.
func TestProgram(t *testing.T) {
	bin, path := program.Build(t, "."), filepath.Join(t.TempDir(), "node.jsonl")
	out := program.Output(t, bin, "-file", path, "hello")
	// b3sum prints the same for these five bytes.
	const id = "ea8f163db38682925e4491c5e58d4bb3506ef8c14eb78a86e908c5624a67200f"
	if !strings.Contains(out, "hello is kept as "+id) {
		t.Errorf("printed %q", out)
	}
	kept, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	again := program.Output(t, bin, "-file", path)
	if len(kept) == 0 || strings.Contains(again, "entries in the store: 0") {
		t.Errorf("%d bytes kept, then %q", len(kept), again)
	}
}

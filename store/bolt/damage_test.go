package bolt_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/staex-mcc/mcc/store"
	"github.com/staex-mcc/mcc/store/bolt"
)

func TestOpenInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	first := openFile(t, path)
	_, err := bolt.Open(path, bolt.Options{})
	if !errors.Is(err, store.ErrInUse) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "stop the other") {
		t.Errorf("second Open: %v", err)
	}
	closeStore(t, first)
	// Close has released the file when it returns: nobody has to wait for it.
	for range 20 {
		s, err := bolt.Open(path, bolt.Options{LockTimeout: time.Nanosecond})
		if err != nil {
			t.Fatalf("Open after Close: %v", err)
		}
		if err := s.Put([]byte("k"), make([]byte, store.MaxValue)); err != nil {
			t.Fatal(err)
		}
		closeStore(t, s)
	}
}

func TestOpenWrongPath(t *testing.T) {
	folder := t.TempDir()
	if _, err := bolt.Open(folder, bolt.Options{}); err == nil || errors.Is(err, store.ErrDamaged) {
		t.Errorf("Open of a folder: %v", err)
	}
	file := filepath.Join(folder, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := bolt.Open(filepath.Join(file, "store.db"), bolt.Options{}); err == nil || errors.Is(err, store.ErrDamaged) {
		t.Errorf("Open below a file: %v", err)
	}
	// An empty file is what a crash at the first start leaves.
	closeStore(t, openFile(t, file))
}

// pageSize is that of a file bbolt makes here.
var pageSize = os.Getpagesize()

// damagedEntries fill more than one leaf and some overflow pages.
const damagedEntries = 300

func damagedValue(i int) []byte {
	return bytes.Repeat([]byte{byte(i)}, 50+(i%7)*1200)
}

// filled returns the bytes of a closed store with damagedEntries.
func filled(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store.db")
	s := openFile(t, path)
	for i := range damagedEntries {
		if err := s.Put(fmt.Appendf(nil, "key%04d", i), damagedValue(i)); err != nil {
			t.Fatal(err)
		}
	}
	closeStore(t, s)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestOpenDamaged(t *testing.T) {
	whole := filled(t)
	zeroed := func(from, to int) []byte {
		b := bytes.Clone(whole)
		clear(b[from:to])
		return b
	}
	used := len(bytes.TrimRight(whole, "\x00"))
	tests := []struct {
		name    string
		content []byte
	}{
		{"text", bytes.Repeat([]byte("this is no store\n"), 1000)},
		{"short text", []byte("this is no store")},
		{"one byte", whole[:1]},
		{"one page", whole[:pageSize]},
		{"two pages", whole[:2*pageSize]},
		{"half", whole[:used/2/pageSize*pageSize]},
		{"both headers zero", zeroed(0, 2*pageSize)},
		{"all zero", zeroed(0, len(whole))},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "store.db")
			if err := os.WriteFile(path, test.content, 0o600); err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second finds no lock left behind
				s, err := bolt.Open(path, bolt.Options{})
				if err == nil {
					closeStore(t, s)
				}
				if !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), path) {
					t.Fatalf("Open: %v, want ErrDamaged with the path", err)
				}
			}
			after, err := os.ReadFile(path)
			if err != nil || !bytes.Equal(after, test.content) {
				t.Errorf("Open changed the damaged file (%v)", err)
			}
		})
	}
}

// TestOpenTruncated cuts the file at every tenth page that is in use.
func TestOpenTruncated(t *testing.T) {
	whole := filled(t)
	pages := len(bytes.TrimRight(whole, "\x00")) / pageSize
	if pages < 20 {
		t.Fatalf("only %d pages in use", pages)
	}
	for left := pages; left > 0; left -= 10 {
		path := filepath.Join(t.TempDir(), "store.db")
		if err := os.WriteFile(path, whole[:left*pageSize], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := bolt.Open(path, bolt.Options{}); !errors.Is(err, store.ErrDamaged) {
			t.Errorf("Open with %d of %d pages: %v, want ErrDamaged", left, pages+1, err)
		}
	}
}

// TestDamagedPages overwrites random parts behind the header: every call must
// end with a result or an error.
func TestDamagedPages(t *testing.T) {
	whole := filled(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	found := 0
	for range 40 {
		content := bytes.Clone(whole)
		for range 1 + rng.IntN(4) {
			at := 2*pageSize + rng.IntN(len(content)-2*pageSize)
			if rng.IntN(2) == 0 {
				at = at/pageSize*pageSize + rng.IntN(64) // page header and first elements
			}
			for i := at; i < min(at+1+rng.IntN(40), len(content)); i++ {
				content[i] = byte(rng.Uint32())
			}
		}
		path := filepath.Join(t.TempDir(), "store.db")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if useDamaged(t, path) {
			found++
		}
	}
	t.Logf("%d of 40 damaged files were noticed", found)
	if found == 0 {
		t.Error("no damage was noticed: the test hits nothing")
	}
}

// TestDamagedWrite: a write that bbolt gives up on is no success, and the last
// one that is tried; what can be read still can.
func TestDamagedWrite(t *testing.T) {
	content := filled(t)
	const leafFlag, flagsAt = 0x02, 8 // bbolt's page header: id 8, flags 2
	spoilt := 0
	for at := 2 * pageSize; at < len(content); at += pageSize {
		page := content[at : at+pageSize]
		if page[flagsAt] == leafFlag && bytes.Contains(page, []byte("key0150")) {
			page[flagsAt] = 0x55
			spoilt++
		}
	}
	if spoilt == 0 {
		t.Fatal("no page has the key")
	}
	path := filepath.Join(t.TempDir(), "store.db")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	s := openFile(t, path)
	defer closeStore(t, s)
	if err := s.Put([]byte("key0290"), nil); err != nil {
		t.Fatalf("Put beside the damage: %v", err)
	}
	for _, key := range []string{"key0150", "key0290"} {
		if err := s.Put([]byte(key), []byte("new")); !errors.Is(err, store.ErrDamaged) {
			t.Errorf("Put(%s): %v, want ErrDamaged", key, err)
		}
	}
	if _, err := s.Get([]byte("key0150")); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("Get of a damaged page: %v, want ErrDamaged", err)
	}
	if got, err := s.Get([]byte("key0005")); err != nil || !bytes.Equal(got, damagedValue(5)) {
		t.Errorf("Get beside the damage: %d bytes, %v", len(got), err)
	}
}

// TestForeignEntry: what is too large cannot be an entry of ours.
func TestForeignEntry(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	closeStore(t, openFile(t, path))
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("mcc")).Put([]byte("key"), make([]byte, store.MaxValue+1))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	s := openFile(t, path)
	defer closeStore(t, s)
	if got, err := s.Get([]byte("key")); got != nil || !errors.Is(err, store.ErrDamaged) {
		t.Errorf("Get: %d bytes, %v, want ErrDamaged", len(got), err)
	}
	for e, err := range s.Scan(nil) {
		if e.Key != nil || !errors.Is(err, store.ErrDamaged) {
			t.Errorf("Scan: %q, %v, want ErrDamaged", e.Key, err)
		}
	}
}

// useDamaged reports whether any call found the damage.
func useDamaged(t *testing.T, path string) (noticed bool) {
	t.Helper()
	note := func(err error) {
		noticed = noticed || errors.Is(err, store.ErrDamaged)
	}
	s, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		note(err)
		return noticed
	}
	for i := range damagedEntries {
		key := fmt.Appendf(nil, "key%04d", i)
		_, err := s.Get(key)
		note(err)
	}
	for _, err := range s.Scan(nil) {
		note(err)
	}
	for i := range 20 {
		note(s.Put(fmt.Appendf(nil, "key%04d", i*15), damagedValue(i)))
	}
	note(s.Close())
	return noticed
}

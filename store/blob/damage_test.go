package blob

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
)

// TestFlippedFileByte changes one byte of a file: every read is right or
// ErrDamaged, Verify finds it, and a new Put repairs it.
func TestFlippedFileByte(t *testing.T) {
	const size = 5*GroupSize + 77
	want := content(size)
	for _, tt := range []struct {
		suffix string
		off    int64
		names  string // by Verify
	}{
		{blobSuffix, 0, "group 0:"},
		{blobSuffix, 2*GroupSize + 5, "group 2:"},
		{blobSuffix, size - 1, "group 5:"},
		{treeSuffix, nodeOffset(0), "groups 0 to 5:"},
		{treeSuffix, nodeOffset(1) + 33, "groups 0 to 3:"},
		{treeSuffix, nodeOffset(4), "groups 4 to 5:"},
	} {
		s := openStore(t, t.TempDir())
		id := put(t, s, want).ID
		flip(t, s.path(id, tt.suffix), tt.off)
		b := get(t, s, id)
		bad := readEverywhere(t, b, want)
		if bad == 0 {
			t.Errorf("%s byte %d: no read noticed", tt.suffix, tt.off)
		}
		if err := s.Verify(t.Context(), id); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), tt.names) {
			t.Errorf("%s byte %d: verify says %v, want %q", tt.suffix, tt.off, err, tt.names)
		}
		if err := b.WriteSlice(t.Context(), io.Discard, 0, 6); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s byte %d: a slice of all: %v", tt.suffix, tt.off, err)
		}
		if st := s.Stats(); st.Damaged != 1 || st.Blobs != 1 {
			t.Errorf("stats %+v, want one damaged of one", st)
		}
		put(t, s, want)
		if err := s.Verify(t.Context(), id); err != nil {
			t.Errorf("after another put: %v", err)
		}
		if st := s.Stats(); st.Damaged != 0 {
			t.Errorf("after another put: stats %+v", st)
		}
	}
}

// readEverywhere reads pieces and counts those that are ErrDamaged.
func readEverywhere(t *testing.T, b *Blob, want []byte) (bad int) {
	t.Helper()
	for off := int64(0); off < int64(len(want)); off += 5000 {
		p := bytes.Repeat([]byte{0xEE}, 7000)
		n, err := b.ReadAt(p, off)
		if !bytes.Equal(p[:n], want[off:off+int64(n)]) {
			t.Errorf("read at %d gives wrong bytes", off)
		}
		if rest := bytes.Trim(p[n:], "\xee"); len(rest) > 0 {
			t.Errorf("read at %d leaves %d bytes behind the good ones", off, len(rest))
		}
		switch {
		case errors.Is(err, ErrDamaged):
			bad++
		case err != nil && !errors.Is(err, io.EOF):
			t.Errorf("read at %d: %v", off, err)
		}
	}
	return bad
}

func TestReaderStopsAtDamage(t *testing.T) {
	s := openStore(t, t.TempDir())
	want := content(3*windowSize + 1)
	id := put(t, s, want).ID
	const at = windowSize + 3*GroupSize
	flip(t, s.path(id, blobSuffix), at+99)
	got, err := io.ReadAll(get(t, s, id).NewReader())
	if !errors.Is(err, ErrDamaged) || !bytes.Equal(got, want[:at]) {
		t.Errorf("read %d bytes, %v; want %d and ErrDamaged", len(got), err, at)
	}
}

// TestTornFiles shortens, lengthens or removes a file under a closed store.
func TestTornFiles(t *testing.T) {
	want := content(2*GroupSize + 5)
	other := content(50)
	cut := func(n int64) func(string) error { return func(path string) error { return os.Truncate(path, n) } }
	for _, tt := range []struct {
		name, suffix string
		change       func(string) error
	}{
		{"short content", blobSuffix, cut(GroupSize)},
		{"empty content", blobSuffix, cut(0)},
		{"long content", blobSuffix, cut(1 << 20)},
		{"short tree", treeSuffix, cut(headerSize + 63)},
		{"torn header", treeSuffix, cut(100)},
		{"empty tree", treeSuffix, cut(0)},
		{"long tree", treeSuffix, cut(9999)},
		{"no tree", treeSuffix, os.Remove},
		{"changed header", treeSuffix, func(path string) error { flip(t, path, 9); return nil }},
		{"changed name", treeSuffix, func(path string) error { flip(t, path, headerName); return nil }},
		{"folder for a tree", treeSuffix, func(path string) error {
			return errors.Join(os.Remove(path), os.Mkdir(path, 0o700))
		}},
	} {
		dir := t.TempDir()
		s := openStore(t, dir)
		id, keep := put(t, s, want).ID, put(t, s, other).ID
		path := s.path(id, tt.suffix)
		closeIt(t, s)
		if err := tt.change(path); err != nil {
			t.Fatal(err)
		}
		s = openStore(t, dir)
		if _, err := s.Get(id); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: get: %v, want ErrDamaged", tt.name, err)
		}
		if _, err := s.Stat(id); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: stat: %v, want ErrDamaged", tt.name, err)
		}
		if st := s.Stats(); st.Damaged != 1 || st.Blobs != 1 || len(s.List()) != 1 {
			t.Errorf("%s: stats %+v", tt.name, st)
		}
		if err := s.Verify(t.Context(), keep); err != nil {
			t.Errorf("%s: the other blob: %v", tt.name, err)
		}
		repair(t, s, id, want, tt.name)
	}
}

func repair(t *testing.T, s *Store, id ID, want []byte, name string) {
	t.Helper()
	if name == "folder for a tree" { // nothing can be renamed over it
		if err := s.Delete(id); err != nil {
			t.Errorf("%s: delete: %v", name, err)
		}
		return
	}
	put(t, s, want)
	if err := s.Verify(t.Context(), id); err != nil {
		t.Errorf("%s: after another put: %v", name, err)
	}
}

// TestTornWhileOpen shortens files that a Blob has open.
func TestTornWhileOpen(t *testing.T) {
	want := content(70 * GroupSize)
	for _, suffix := range []string{blobSuffix, treeSuffix} {
		s := openStore(t, t.TempDir())
		id := put(t, s, want).ID
		b := get(t, s, id)
		if err := os.Truncate(s.path(id, suffix), 600); err != nil {
			t.Fatal(err)
		}
		if readEverywhere(t, b, want) == 0 {
			t.Errorf("%s: nothing noticed", suffix)
		}
	}
}

func TestGoneWhileIndexed(t *testing.T) {
	s := openStore(t, t.TempDir())
	id := put(t, s, content(100)).ID
	if err := os.Remove(s.path(id, blobSuffix)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := s.Get(id); !errors.Is(err, ErrDamaged) {
			t.Errorf("get without the file: %v, want ErrDamaged", err)
		}
	}
	if err := s.Delete(id); err != nil {
		t.Error(err)
	}
}

// TestForeignFiles leaves alone what is not the store's.
func TestForeignFiles(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	id := put(t, s, content(100)).ID
	closeIt(t, s)
	foreign := []string{
		"README", "ab/notes.txt", "partial/notes.txt", id.String()[:2] + "/" + strings.ToUpper(id.String()) + ".blob",
		"ff/" + strings.Repeat("0", 64) + ".blob",
	}
	for _, name := range foreign {
		_ = os.MkdirAll(dir+"/"+name[:2], 0o700)
		if err := os.WriteFile(dir+"/"+name, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s = openStore(t, dir)
	if st := s.Stats(); st.Blobs != 1 || st.Damaged != 0 {
		t.Errorf("stats %+v, want one blob", st)
	}
	for _, name := range foreign {
		if b, err := os.ReadFile(dir + "/" + name); err != nil || string(b) != "mine" {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
}

func TestModes(t *testing.T) {
	dir := t.TempDir() + "/deep/blobs"
	s := openStore(t, dir)
	info := put(t, s, content(100))
	p := partialOf(t, s, ID{1}, 100)
	for _, path := range []string{
		s.path(info.ID, blobSuffix), s.path(info.ID, treeSuffix), s.partial(p.ID(), dataSuffix), s.partial(p.ID(), treeSuffix),
	} {
		if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v; want 0600", path, st.Mode(), err)
		}
	}
	if st, err := os.Stat(dir); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("folder: mode %v, %v; want 0700", st.Mode(), err)
	}
}

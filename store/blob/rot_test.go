package blob

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"testing"
)

const rotSize = 5*GroupSize + 77

// rots are ways in which the files of a BLOB go bad with nobody looking.
var rots = []struct {
	name string
	do   func(t *testing.T, s *Store, id ID)
}{
	{"content", func(t *testing.T, s *Store, id ID) { flip(t, s.path(id, blobSuffix), 3*GroupSize) }},
	{"tree", func(t *testing.T, s *Store, id ID) { flip(t, s.path(id, treeSuffix), nodeOffset(2)) }},
	{"both", func(t *testing.T, s *Store, id ID) {
		flip(t, s.path(id, blobSuffix), 0)
		flip(t, s.path(id, treeSuffix), nodeOffset(0))
	}},
	{"header", func(t *testing.T, s *Store, id ID) { flip(t, s.path(id, treeSuffix), 9) }},
	{"long", func(t *testing.T, s *Store, id ID) {
		if err := os.Truncate(s.path(id, blobSuffix), rotSize+1); err != nil {
			t.Fatal(err)
		}
	}},
	{"short", func(t *testing.T, s *Store, id ID) {
		if err := os.Truncate(s.path(id, blobSuffix), GroupSize); err != nil {
			t.Fatal(err)
		}
	}},
	{"gone", func(t *testing.T, s *Store, id ID) {
		if err := os.Remove(s.path(id, blobSuffix)); err != nil {
			t.Fatal(err)
		}
	}},
	{"unreadable", func(t *testing.T, s *Store, id ID) {
		path := s.path(id, blobSuffix)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, path); err != nil {
			t.Skip(err)
		}
	}},
}

// TestPutOverRot puts content whose BLOB is held, was sound when it was last
// looked at, and is not any more: the acknowledged BLOB can be read.
func TestPutOverRot(t *testing.T) {
	want := content(rotSize)
	for _, rot := range rots {
		t.Run(rot.name, func(t *testing.T) {
			dir := t.TempDir()
			s := openStore(t, dir)
			first, err := s.Put(t.Context(), bytes.NewReader(want), "report.txt")
			if err != nil {
				t.Fatal(err)
			}
			reader := get(t, s, first.ID)
			rot.do(t, s, first.ID)
			again, err := s.Put(t.Context(), bytes.NewReader(want), "")
			if err != nil || again.ID != first.ID || again.Name != "report.txt" {
				t.Errorf("put again: %+v, %v; want %s, still report.txt", again, err, first.ID)
			}
			checkSound(t, s, again, want)
			readEverywhere(t, reader, want) // no wrong bytes
			closeIt(t, s)
			checkSound(t, openStore(t, dir), again, want)
		})
	}
}

// TestCompleteOverRot completes a fetch that a Put has overtaken, whose files
// have gone bad.
func TestCompleteOverRot(t *testing.T) {
	want := content(rotSize)
	from := seeder(t, want)
	for _, rot := range rots {
		t.Run(rot.name, func(t *testing.T) {
			s := openStore(t, t.TempDir())
			p := partialOf(t, s, from.Info().ID, rotSize)
			feed(t, p, from, 0, 6)
			put(t, s, want)
			rot.do(t, s, p.ID())
			info, err := p.Complete("fetched")
			if err != nil || info.Name != "fetched" {
				t.Errorf("complete: %+v, %v; want the name fetched", info, err)
			}
			checkSound(t, s, info, want)
		})
	}
}

func checkSound(t *testing.T, s *Store, info Info, want []byte) {
	t.Helper()
	if err := s.Verify(t.Context(), info.ID); err != nil {
		t.Errorf("what was acknowledged: %v", err)
	}
	if got, err := s.Stat(info.ID); err != nil || got != info {
		t.Errorf("stat: %+v, %v; want %+v", got, err, info)
	}
	if got, err := io.ReadAll(get(t, s, info.ID).NewReader()); err != nil || !bytes.Equal(got, want) {
		t.Errorf("read %d bytes, %v; want %d", len(got), err, len(want))
	}
	if st := s.Stats(); st.Blobs != 1 || st.Damaged != 0 {
		t.Errorf("stats %+v, want one blob, sound", st)
	}
}

// TestPutOverRotCutOff turns the machine off, or fails the disk, before each
// change of such a Put: the next one mends whatever was left.
func TestPutOverRotCutOff(t *testing.T) {
	want := content(rotSize)
	for _, once := range []bool{false, true} {
		for stop, ended := 1, false; !ended; stop++ {
			dir := t.TempDir()
			s := openStore(t, dir)
			id := put(t, s, want).ID
			flip(t, s.path(id, blobSuffix), 9)
			c := &changes{stop: stop, err: errDead, once: once}
			s.disk = c.disk()
			_, err := s.Put(t.Context(), bytes.NewReader(want), "")
			if err == nil && s.Verify(t.Context(), id) != nil {
				t.Errorf("change %d: acknowledged, and damaged", stop)
			}
			ended = c.n < stop
			closeIt(t, s)
			s = openStore(t, dir)
			info := put(t, s, want)
			checkSound(t, s, info, want)
			closeIt(t, s)
		}
	}
}

// TestRecheckCancelled gives up between the upload and its end: the BLOB that is
// here stays as it was.
func TestRecheckCancelled(t *testing.T) {
	s := openStore(t, t.TempDir())
	info, err := s.Put(t.Context(), &pattern{n: rotSize}, "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r := &brake{pattern: pattern{n: rotSize}, after: rotSize, stop: cancel}
	if _, err := s.Put(ctx, r, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("put: %v, want context.Canceled", err)
	}
	if st := s.Stats(); st.Blobs != 1 || st.Damaged != 0 {
		t.Errorf("stats %+v, want one blob, sound", st)
	}
	if got, err := s.Stat(info.ID); err != nil || got != info {
		t.Errorf("stat: %+v, %v; want %+v", got, err, info)
	}
}

package blob

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

var errDead = errors.New("the machine is off")

// changes counts and records the changes of a disk. From the stop-th on they
// fail: only that one, or as if the machine were off, all of them.
type changes struct {
	n, stop int
	once    bool
	err     error
	trace   []string
}

func (c *changes) disk() disk {
	return disk{before: func(op, path string) error {
		c.n++
		c.trace = append(c.trace, op+" "+kind(path))
		if c.stop > 0 && (c.n == c.stop || c.n > c.stop && !c.once) {
			return c.err
		}
		return nil
	}}
}

// kind says what a path is without its random part.
func kind(path string) string {
	folder := filepath.Base(filepath.Dir(path))
	switch ext := filepath.Ext(path); {
	case strings.HasPrefix(filepath.Base(path), "state-"):
		return folder + "/state"
	case ext != "":
		return map[bool]string{true: "ab", false: folder}[len(folder) == 2] + "/*" + ext
	case len(filepath.Base(path)) == 2:
		return "ab"
	}
	return filepath.Base(path)
}

// TestOrder has what must be on disk first go there first.
func TestOrder(t *testing.T) {
	c := &changes{}
	dir := t.TempDir()
	s, err := open(dir, Options{}, c.disk())
	if err != nil {
		t.Fatal(err)
	}
	defer closeIt(t, s)
	c.trace = nil
	from := seeder(t, content(2*GroupSize))
	put(t, s, content(3*GroupSize))
	root := filepath.Base(dir)
	want := []string{
		"create tmp/*.blob", "create tmp/*.tree", "write tmp/*.blob", "write tmp/*.tree", "write tmp/*.tree",
		"sync tmp/*.tree", "sync tmp/*.blob",
		"mkdir ab", "sync " + root, "rename ab/*.tree", "sync ab", "rename ab/*.blob", "sync ab",
		"remove tmp/*.blob", "remove tmp/*.tree",
	}
	if !slices.Equal(c.trace, want) {
		t.Errorf("put does\n%q, want\n%q", c.trace, want)
	}
	p := partialOf(t, s, from.Info().ID, 2*GroupSize)
	feed(t, p, from, 0, 2)
	c.trace = nil
	if err := p.f.save(); err != nil {
		t.Fatal(err)
	}
	want = []string{
		"sync partial/*.part", "sync partial/*.tree",
		"create tmp/state", "write tmp/state", "sync tmp/state", "rename partial/*.state", "sync partial",
	}
	if !slices.Equal(c.trace, want) {
		t.Errorf("save does\n%q, want\n%q", c.trace, want)
	}
	c.trace = nil
	if _, err := p.Complete(""); err != nil {
		t.Fatal(err)
	}
	want = []string{
		"write partial/*.tree", "truncate partial/*.tree", "truncate partial/*.part",
		"sync partial/*.tree", "sync partial/*.part",
		"mkdir ab", "sync " + root, "rename ab/*.tree", "sync ab", "rename ab/*.blob", "sync ab",
		"remove partial/*.state", "remove partial/*.part", "remove partial/*.tree",
	}
	if !slices.Equal(c.trace, want) {
		t.Errorf("complete does\n%q, want\n%q", c.trace, want)
	}
}

// story does all that changes a store, and returns what was acknowledged.
func story(t *testing.T, s *Store, from *Blob) (acked []ID, gone map[ID]bool, err error) {
	gone = map[ID]bool{}
	small, err := s.Put(t.Context(), bytes.NewReader(content(2*GroupSize+1)), "")
	if err != nil {
		return acked, gone, err
	}
	acked = append(acked, small.ID)
	if _, err = s.Put(t.Context(), bytes.NewReader(content(2*GroupSize+1)), "name"); err != nil {
		return acked, gone, err
	}
	p, err := s.Partial(from.Info().ID, from.Info().Size)
	if err != nil {
		return acked, gone, err
	}
	defer func() { _ = p.Close() }()
	for first := range Groups(p.Size()) {
		slice := sliceOf(t, from, first, 1)
		if err = ReadSlice(bytes.NewReader(slice), p.ID(), p.Size(), first, 1, p.Sink()); err != nil {
			return acked, gone, err
		}
		if err = p.f.save(); err != nil {
			return acked, gone, err
		}
	}
	if _, err = p.Complete("fetched"); err != nil {
		return acked, gone, err
	}
	acked = append(acked, p.ID())
	gone[small.ID] = true // from here on it may be
	return acked, gone, s.Delete(small.ID)
}

// TestEveryChangeCutOff turns the machine off before each single change in turn:
// the next run finds all that was acknowledged, whole, and nothing half.
func TestEveryChangeCutOff(t *testing.T) {
	cutOff(t, changes{err: errDead})
}

// TestEveryChangeFails fails each single change in turn, as a full disk does. The
// same Store still holds all that it acknowledged, and takes more.
func TestEveryChangeFails(t *testing.T) {
	cutOff(t, changes{err: syscall.ENOSPC, once: true})
}

func cutOff(t *testing.T, kind changes) {
	from := seeder(t, content(3*GroupSize+1))
	for stop := 1; ; stop++ {
		c := kind
		c.stop = stop
		dir := t.TempDir()
		s, err := open(dir, Options{}, c.disk())
		var acked []ID
		var gone map[ID]bool
		if err == nil {
			acked, gone, err = story(t, s, from)
		}
		if err != nil && !errors.Is(err, kind.err) {
			t.Fatalf("change %d: error %v, want %v", stop, err, kind.err)
		}
		where := fmt.Sprintf("change %d, %s", stop, c.trace[min(stop, len(c.trace))-1])
		if c.once && s != nil {
			checkHeld(t, s, acked, gone, where)
		}
		if s != nil {
			_ = s.Close()
		}
		s = openStore(t, dir)
		checkHeld(t, s, acked, gone, where)
		finish(t, s, from, where)
		closeIt(t, s)
		if t.Failed() {
			return
		}
		if c.n < stop {
			t.Logf("%d changes", c.n)
			return
		}
	}
}

// checkHeld wants all that was acknowledged, and everything that is listed whole.
func checkHeld(t *testing.T, s *Store, acked []ID, gone map[ID]bool, where string) {
	t.Helper()
	for _, id := range acked {
		if _, err := s.Stat(id); err != nil && !gone[id] {
			t.Errorf("%s: acknowledged: %v", where, err)
		}
	}
	if st := s.Stats(); st.Damaged > 0 {
		t.Errorf("%s: stats %+v", where, st)
	}
	for _, info := range s.List() {
		if err := s.Verify(t.Context(), info.ID); err != nil {
			t.Errorf("%s: %v", where, err)
		}
	}
}

// finish completes the partial of a story, fetching what is still missing.
func finish(t *testing.T, s *Store, from *Blob, where string) {
	t.Helper()
	p, err := s.Partial(from.Info().ID, from.Info().Size)
	if errors.Is(err, ErrExists) {
		return
	}
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	defer closeIt(t, p)
	all := make([]byte, p.Size())
	n, err := p.ReadAt(all, 0)
	if n < len(all) && !errors.Is(err, ErrMissing) && !errors.Is(err, io.EOF) {
		t.Errorf("%s: what was resumed: %v", where, err)
	}
	for first, n := range p.Missing() {
		feed(t, p, from, first, n)
	}
	if _, err := p.Complete(""); err != nil {
		t.Errorf("%s: complete: %v", where, err)
	}
	if err := s.Verify(t.Context(), p.ID()); err != nil {
		t.Errorf("%s: %v", where, err)
	}
}

// TestFullDisk names the condition and leaves nothing.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	written := 0
	s, err := open(dir, Options{}, disk{before: func(op, _ string) error {
		if written++; op == "write" && written > 20 {
			return syscall.ENOSPC
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer closeIt(t, s)
	_, err = s.Put(t.Context(), &pattern{n: 100 << 20}, "")
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("put: %v, want ENOSPC", err)
	}
	if left := listFiles(t, dir); len(left) > 0 {
		t.Errorf("left behind %v", left)
	}
}

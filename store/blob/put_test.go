package blob

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func TestPublishedVectors(t *testing.T) {
	raw, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct {
		Cases []struct {
			Len  int64  `json:"input_len"`
			Hash string `json:"hash"`
		} `json:"cases"`
	}
	if err := json.Unmarshal(raw, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors.Cases) < 20 {
		t.Fatalf("only %d vectors", len(vectors.Cases))
	}
	s := openStore(t, t.TempDir())
	for _, v := range vectors.Cases {
		if info := put(t, s, content(v.Len)); info.ID.String() != v.Hash || info.Size != v.Len {
			t.Errorf("put of %d bytes: %s with size %d, want %s", v.Len, info.ID, info.Size, v.Hash)
		}
	}
}

func TestPutGet(t *testing.T) {
	s := openStore(t, t.TempDir())
	for _, size := range boundaries {
		want := content(size)
		info := put(t, s, want)
		if info.ID != hashOf(want) || info.Size != size {
			t.Errorf("put of %d bytes: %s with size %d, want %s", size, info.ID, info.Size, hashOf(want))
			continue
		}
		got, err := io.ReadAll(get(t, s, info.ID).NewReader())
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes read back as %d, error %v", size, len(got), err)
		}
		if err := s.Verify(t.Context(), info.ID); err != nil {
			t.Errorf("verify %d bytes: %v", size, err)
		}
	}
}

// TestSpill has more groups than are kept in memory while the tree is not known.
func TestSpill(t *testing.T) {
	for _, groups := range []int64{leafRun, leafRun + 1, 2*leafRun + 3} {
		dir := t.TempDir()
		s := openStore(t, dir)
		size := groups*GroupSize - 7
		info, err := s.Put(t.Context(), &pattern{n: size}, "")
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(s.path(info.ID, blobSuffix))
		if err != nil {
			t.Fatal(err)
		}
		if info.ID != hashOf(b) || int64(len(b)) != size {
			t.Errorf("%d groups: id %s of %d bytes, want %s of %d", groups, info.ID, len(b), hashOf(b), size)
		}
		if err := s.Verify(t.Context(), info.ID); err != nil {
			t.Error(err)
		}
		if left := listFiles(t, s.tmp()); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}

func TestSameAsB3sum(t *testing.T) {
	tool, err := exec.LookPath("b3sum")
	if err != nil {
		t.Skip("b3sum is not installed")
	}
	s := openStore(t, t.TempDir())
	for _, size := range boundaries {
		want := content(size)
		id := put(t, s, want).ID
		out, err := exec.CommandContext(t.Context(), tool, "--no-names", s.path(id, blobSuffix)).Output()
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimSpace(string(out)); got != id.String() {
			t.Errorf("%d bytes: id %s, b3sum says %s", size, id, got)
		}
	}
}

func TestPutAgain(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	b := content(3*GroupSize + 1)
	first := put(t, s, b)
	reader := get(t, s, first.ID)
	named, err := s.Put(t.Context(), bytes.NewReader(b), "/a/report.txt")
	if err != nil || named.Name != "report.txt" || !named.Added.Equal(first.Added) {
		t.Errorf("put with a name: %+v, %v; want report.txt of %v", named, err, first.Added)
	}
	again, err := s.Put(t.Context(), bytes.NewReader(b), "other.txt")
	if err != nil || again != named {
		t.Errorf("put with another name: %+v, %v; want %+v", again, err, named)
	}
	if got, err := io.ReadAll(reader.NewReader()); err != nil || !bytes.Equal(got, b) {
		t.Errorf("the open reader sees %d bytes, %v", len(got), err)
	}
	if st := s.Stats(); st.Blobs != 1 || st.Bytes != int64(len(b)) {
		t.Errorf("stats %+v, want one blob of %d bytes", st, len(b))
	}
	closeIt(t, s)
	s = openStore(t, dir)
	if got, err := s.Stat(first.ID); err != nil || got != named {
		t.Errorf("after a restart: %+v, %v; want %+v", got, err, named)
	}
	if err := s.Verify(t.Context(), first.ID); err != nil {
		t.Error(err)
	}
}

// canceller cancels after some bytes, and would go on for ever.
type canceller struct {
	pattern
	cancel context.CancelFunc
}

func (c *canceller) Read(b []byte) (int, error) {
	if c.at > 1<<20 {
		c.cancel()
	}
	return c.pattern.Read(b)
}

// idle returns nothing for ever.
type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

func TestPutFails(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	broken := errors.New("line dropped")
	tests := []struct {
		name string
		ctx  context.Context
		r    io.Reader
		want error
	}{
		{"error at once", t.Context(), iotest.ErrReader(broken), broken},
		{"error late", t.Context(), io.MultiReader(&pattern{n: 70 << 20}, iotest.ErrReader(broken)), broken},
		{"cut off upload", t.Context(), io.MultiReader(&pattern{n: 99999}, iotest.ErrReader(io.ErrUnexpectedEOF)), io.ErrUnexpectedEOF},
		{"wrapped end", t.Context(), iotest.ErrReader(fmt.Errorf("odd: %w", io.EOF)), io.EOF},
		{"cancelled", ctx, &canceller{pattern{n: 1 << 60}, cancel}, context.Canceled},
		{"no progress", t.Context(), idle{}, io.ErrNoProgress},
	}
	for _, tt := range tests {
		if info, err := s.Put(tt.ctx, tt.r, "x"); !errors.Is(err, tt.want) || info != (Info{}) {
			t.Errorf("%s: %+v, %v; want error %v", tt.name, info, err, tt.want)
		}
		if left := listFiles(t, dir); len(left) > 0 {
			t.Errorf("%s: left behind %v", tt.name, left)
		}
		if n := len(s.drafts); n > 0 {
			t.Errorf("%s: %d drafts are still known", tt.name, n)
		}
	}
}

func TestSlowReaders(t *testing.T) {
	s := openStore(t, t.TempDir())
	want := content(windowSize + 3*GroupSize + 17)
	for name, r := range map[string]io.Reader{
		"half":      iotest.HalfReader(bytes.NewReader(want)),
		"end early": iotest.DataErrReader(bytes.NewReader(want)),
		"odd":       io.MultiReader(bytes.NewReader(want[:1]), bytes.NewReader(want[1:777]), bytes.NewReader(want[777:])),
	} {
		if info, err := s.Put(t.Context(), r, ""); err != nil || info.ID != hashOf(want) {
			t.Errorf("%s: %s, %v; want %s", name, info.ID, err, hashOf(want))
		}
	}
}

// TestMemory bounds what one Put and one read of a large BLOB allocate in all,
// freed or not: far less than its size.
func TestMemory(t *testing.T) {
	const size = 256 << 20
	s := openStore(t, t.TempDir())
	var info Info
	allocated := func(f func()) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	n := allocated(func() {
		var err error
		if info, err = s.Put(t.Context(), &pattern{n: size}, ""); err != nil {
			t.Fatal(err)
		}
	})
	if n > 8<<20 {
		t.Errorf("put of %d bytes allocates %d", size, n)
	}
	t.Logf("put of 256 MiB allocates %d KiB", n>>10)
	b := get(t, s, info.ID)
	n = allocated(func() {
		if copied, err := io.Copy(io.Discard, b.NewReader()); err != nil || copied != size {
			t.Fatal(copied, err)
		}
		if err := b.WriteSlice(t.Context(), io.Discard, 0, Groups(size)); err != nil {
			t.Fatal(err)
		}
	})
	if n > 8<<20 {
		t.Errorf("two reads of %d bytes allocate %d", size, n)
	}
	t.Logf("a read and a slice of 256 MiB allocate %d KiB", n>>10)
}

func TestListAndDelete(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	var want []ID
	for i := range int64(40) {
		want = append(want, put(t, s, content(i*1000)).ID)
	}
	slices.SortFunc(want, func(a, b ID) int { return bytes.Compare(a[:], b[:]) })
	for range 2 {
		var got []ID
		for _, info := range s.List() {
			got = append(got, info.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("list has %d ids, want %d in order", len(got), len(want))
		}
		closeIt(t, s)
		s = openStore(t, dir)
	}
	b := get(t, s, want[7])
	if err := s.Delete(want[7]); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(b.NewReader()); err != nil || hashOf(got) != want[7] {
		t.Errorf("open reader after delete: %d bytes, %v", len(got), err)
	}
	for name, err := range map[string]error{
		"delete": s.Delete(want[7]), "verify": s.Verify(t.Context(), want[7]),
	} {
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("%s of a deleted blob: %v, want ErrNotFound", name, err)
		}
	}
	if _, err := s.Get(want[7]); !errors.Is(err, ErrNotFound) {
		t.Errorf("get of a deleted blob: %v, want ErrNotFound", err)
	}
	if left, err := filepath.Glob(s.path(want[7], "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestClosed(t *testing.T) {
	s := openStore(t, t.TempDir())
	info := put(t, s, content(100))
	b := get(t, s, info.ID)
	closeIt(t, b)
	if _, err := b.ReadAt(make([]byte, 1), 0); !errors.Is(err, ErrClosed) {
		t.Errorf("read of a closed blob: %v", err)
	}
	closeIt(t, s)
	_, putErr := s.Put(t.Context(), strings.NewReader("x"), "")
	_, getErr := s.Get(info.ID)
	_, statErr := s.Stat(info.ID)
	_, partialErr := s.Partial(ID{}, 1)
	_, sweepErr := s.SweepPartials(0)
	for i, err := range []error{putErr, getErr, statErr, partialErr, s.Delete(info.ID)} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("call %d on a closed store: %v, want ErrClosed", i, err)
		}
	}
	if sweepErr != nil {
		t.Errorf("sweep of nothing: %v", sweepErr)
	}
}

func TestCleanName(t *testing.T) {
	long := strings.Repeat("ü", 200)
	for in, want := range map[string]string{
		"":                       "",
		"a.txt":                  "a.txt",
		"/etc/passwd":            "passwd",
		`C:\temp\x.bin`:          "x.bin",
		"..":                     "",
		"a/..":                   "",
		"dir/":                   "",
		"a\x00b\nc\x7f":          "abc",
		"evil\u202egnp.exe":      "evilgnp.exe",
		"bad\xff\xfeutf8":        "badutf8",
		" spaced out .txt ":      "spaced out .txt",
		"日本語.txt":                "日本語.txt",
		long:                     strings.Repeat("ü", 127),
		strings.Repeat("x", 256): strings.Repeat("x", 255),
	} {
		if got := CleanName(in); got != want {
			t.Errorf("CleanName(%q) = %q, want %q", in, got, want)
		}
		if got := CleanName(CleanName(in)); got != CleanName(in) {
			t.Errorf("CleanName(%q) is not stable: %q", in, got)
		}
	}
}

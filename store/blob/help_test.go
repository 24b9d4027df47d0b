package blob

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"lukechampine.com/blake3"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerEnv); dir != "" {
		runWriter(dir)
	}
	goleak.VerifyTestMain(m)
}

// boundaries are sizes at which the shape of the tree or the work on it changes.
var boundaries = []int64{
	0, 1, 63, 64, 65, 1023, 1024, 1025, 2048, 2049, 16383, 16384, 16385, 2 * GroupSize, 2*GroupSize + 1,
	3*GroupSize - 1, 5 * GroupSize, 7*GroupSize + 1024, windowSize - 1, windowSize, windowSize + 1,
	1<<20 - 1, 1 << 20, 1<<20 + 1, 3<<20 + 5,
}

// content is n bytes in the pattern of the published vectors.
func content(n int64) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i % 251)
	}
	return b
}

func hashOf(b []byte) ID { return ID(blake3.Sum256(b)) }

func openStore(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeIt(t, s) })
	return s
}

func closeIt(t testing.TB, c io.Closer) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Errorf("close %T: %v", c, err)
	}
}

func put(t testing.TB, s *Store, b []byte) Info {
	t.Helper()
	info, err := s.Put(t.Context(), bytes.NewReader(b), "")
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func get(t testing.TB, s *Store, id ID) *Blob {
	t.Helper()
	b, err := s.Get(id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeIt(t, b) })
	return b
}

func partialOf(t testing.TB, s *Store, id ID, size int64) *Partial {
	t.Helper()
	p, err := s.Partial(id, size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeIt(t, p) })
	return p
}

// sliceOf is what WriteSlice sends.
func sliceOf(t testing.TB, b *Blob, first, n uint64) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := b.WriteSlice(t.Context(), &buf, first, n); err != nil {
		t.Fatalf("slice of %d groups from %d: %v", n, first, err)
	}
	return buf.Bytes()
}

func feed(t testing.TB, p *Partial, from *Blob, first, n uint64) {
	t.Helper()
	slice := sliceOf(t, from, first, n)
	if err := ReadSlice(bytes.NewReader(slice), p.ID(), p.Size(), first, n, p.Sink()); err != nil {
		t.Fatal(err)
	}
}

// pattern is a reader of n bytes that needs no memory; its groups differ.
type pattern struct{ at, n int64 }

func (p *pattern) Read(b []byte) (int, error) {
	if p.at >= p.n {
		return 0, io.EOF
	}
	b = b[:min(int64(len(b)), p.n-p.at)]
	clear(b)
	for i := range len(b) / 1024 {
		binary.LittleEndian.PutUint64(b[i*1024:], uint64(p.at)+uint64(i))
	}
	p.at += int64(len(b))
	return len(b), nil
}

// listFiles lists the files under dir, other than the lock, with their lengths.
func listFiles(t testing.TB, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == lockName {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		all = append(all, fmt.Sprintf("%s %d", strings.TrimPrefix(path, dir), info.Size()))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// flip changes one byte of a file.
func flip(t testing.TB, path string, off int64) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[off] ^= 0x20
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

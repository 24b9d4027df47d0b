package blob

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// writerEnv makes this test binary a process that fills the store it names until
// it is killed.
const writerEnv = "MCC_BLOB_TEST_WRITER"

const killRounds = 25

// runWriter puts, fetches and deletes BLOBs on several goroutines, and prints the
// id of each that is acknowledged.
func runWriter(dir string) {
	s, err := Open(dir, Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var out sync.Mutex
	report := func(info Info) {
		out.Lock()
		defer out.Unlock()
		fmt.Println(info.ID)
	}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				report(must(s.Put(context.Background(), bytes.NewReader(randomContent()), "put")))
			}
		})
	}
	wg.Go(func() {
		for {
			report(fetchSomething(s))
		}
	})
	wg.Wait()
}

// randomContent is new each time, and of a size of any magnitude up to 2 MiB.
func randomContent() []byte {
	b := binary.LittleEndian.AppendUint64(nil, rand.Uint64())
	for more := rand.IntN(1 << rand.IntN(22)); more > 0; more -= 8 {
		b = binary.LittleEndian.AppendUint64(b, rand.Uint64())
	}
	return b
}

// fetchSomething completes a partial, group by group.
func fetchSomething(s *Store) Info {
	b := randomContent()
	p := must(s.Partial(hashOf(b), int64(len(b))))
	w := walk{ctx: context.Background(), from: memory{b}, to: saver{p.Sink(), p}, size: p.Size(), end: Groups(p.Size()), room: new(group)}
	w.wrong = func(s span) error { return fmt.Errorf("BUG: %s", s) }
	if err := w.run(p.ID()); err != nil {
		panic(err)
	}
	info := must(p.Complete("fetched"))
	if err := p.Close(); err != nil {
		panic(err)
	}
	return info
}

// saver saves a partial now and then, far more often than is usual.
type saver struct {
	Sink
	p *Partial
}

func (s saver) Group(index uint64, data []byte) error {
	if err := s.Sink.Group(index, data); err != nil || index%16 != 7 {
		return err
	}
	return s.p.f.save()
}

// memory is a source over content: it hashes for each node all that is below.
type memory struct{ b []byte }

func (m memory) group(index uint64, into []byte) error {
	copy(into, m.b[index*GroupSize:])
	return nil
}

func (m memory) node(pos uint64, into *pair) error {
	s := whole(int64(len(m.b)))
	for s.pos != pos {
		left, right := s.children()
		if s = left; pos >= right.pos {
			s = right
		}
	}
	left, right := s.children()
	into.set(m.hash(left), m.hash(right))
	return nil
}

func (m memory) hash(s span) value {
	if s.n == 1 {
		var g group
		n := copy(g[:], m.b[s.first*GroupSize:])
		return g.hash(n, s.first, false)
	}
	left, right := s.children()
	return join(m.hash(left), m.hash(right), false)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestKill kills a writer at random moments: what it acknowledged is there, and
// nothing stands under a name that it does not hash to.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills processes")
	}
	dir := t.TempDir()
	seen, partials, swept := 0, 0, 0
	for round := range killRounds {
		acked := writeAndKill(t, dir)
		checkNames(t, dir)
		s := openStore(t, dir)
		for _, line := range acked {
			id, err := ParseID(line)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Verify(t.Context(), id); err != nil {
				t.Errorf("acknowledged: %v", err)
			}
		}
		st := s.Stats()
		if st.Damaged > 0 {
			t.Errorf("stats %+v", st)
		}
		seen, partials, swept = seen+len(acked), partials+st.Partials, swept+st.Swept
		empty(t, s)
		closeIt(t, s)
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	t.Logf("%d blobs acknowledged, %d partials and %d loose files found", seen, partials, swept)
}

// checkNames hashes every file that stands under a final name.
func checkNames(t *testing.T, dir string) {
	t.Helper()
	blobs, err := filepath.Glob(filepath.Join(dir, "??", "*"+blobSuffix))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range blobs {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if want := strings.TrimSuffix(filepath.Base(path), blobSuffix); hashOf(b).String() != want {
			t.Errorf("%s holds %d bytes with hash %s", want, len(b), hashOf(b))
		}
	}
}

// empty deletes all, so that a round does not verify what earlier ones did.
func empty(t *testing.T, s *Store) {
	t.Helper()
	for _, info := range s.List() {
		if err := s.Delete(info.ID); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.SweepPartials(0); err != nil {
		t.Error(err)
	}
}

// writeAndKill starts a writer, kills it at a random moment after its first
// acknowledgement, and returns the whole lines it printed.
func writeAndKill(t *testing.T, dir string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), writerEnv+"="+dir)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(stdout)
	first, err := r.ReadString('\n')
	if err != nil {
		t.Fatalf("the writer said nothing: %v", err)
	}
	kill := time.AfterFunc(rand.N(100*time.Millisecond), func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	rest, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.Exited() {
		t.Fatalf("the writer ended by itself: %v", err)
	}
	lines := strings.Split(first+string(rest), "\n")
	return lines[:len(lines)-1] // what follows the last newline is cut off or empty
}

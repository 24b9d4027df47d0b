package swarm

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/store/blob"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// content is n bytes that look random and are the same in every run.
func content(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1, 2, 3}).Read(b)
	return b
}

func openStore(t testing.TB, dir string) *blob.Store {
	t.Helper()
	s, err := blob.Open(dir, blob.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t testing.TB, s *blob.Store, data []byte) blob.ID {
	t.Helper()
	info, err := s.Put(t.Context(), bytes.NewReader(data), "")
	if err != nil {
		t.Fatal(err)
	}
	return info.ID
}

func node(n byte) identity.ID { return identity.ID{n} }

// far is a seeder of the tests: a swarm that serves, or something worse.
type far struct {
	node    identity.ID
	rate    int // bytes a second, 0 for no limit
	delay   time.Duration
	behave  func(context.Context, net.Conn) // in place of Serve
	refuses atomic.Bool
	dials   atomic.Int64
	sent    atomic.Int64 // bytes
	asked   atomic.Int64 // bytes of requests

	mu    sync.Mutex
	conns []*wire
}

// kill resets all connections and refuses further ones.
func (s *far) kill() {
	s.refuses.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.Reset()
	}
}

// world is a network of seeders, and the swarm that fetches from them.
type world struct {
	t     testing.TB
	ctx   context.Context
	wg    sync.WaitGroup
	home  *Swarm // serves for all of them
	id    blob.ID
	data  []byte
	here  *Swarm
	store *blob.Store
	dir   string
	kept  atomic.Int64

	mu    sync.Mutex
	far   []*far
	finds int
}

var errRefused = errors.New("refused")

// newWorld has size bytes to fetch, an empty store here and no seeders yet.
func newWorld(t testing.TB, size int) *world {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w := &world{t: t, ctx: ctx, data: content(size), dir: t.TempDir()}
	farStore := openStore(t, t.TempDir())
	w.id = put(t, farStore, w.data)
	w.home = New(Config{Store: farStore, Network: w})
	w.open(Config{})
	t.Cleanup(func() {
		w.close()
		cancel()
		w.wg.Wait()
		w.home.Close()
		farStore.Close()
	})
	return w
}

// open makes the swarm here.
func (w *world) open(c Config) {
	w.t.Helper()
	w.store = openStore(w.t, w.dir)
	c.Store, c.Network, c.Self = w.store, w, node(0)
	c.Kept = func(blob.Info) { w.kept.Add(1) }
	w.here = New(c)
}

func (w *world) close() {
	w.here.Close()
	w.store.Close()
}

func (w *world) reopen(c Config) {
	w.close()
	w.open(c)
}

// seeder adds one that serves properly.
func (w *world) seeder(rate int, delay time.Duration) *far {
	return w.add(&far{rate: rate, delay: delay})
}

// liar adds one with behaviour of its own.
func (w *world) liar(behave func(context.Context, net.Conn)) *far {
	return w.add(&far{behave: behave, rate: 10 << 20, delay: time.Millisecond})
}

func (w *world) add(s *far) *far {
	w.mu.Lock()
	defer w.mu.Unlock()
	s.node = node(byte(len(w.far) + 1))
	w.far = append(w.far, s)
	return s
}

func (w *world) FindSeeders(context.Context, blob.ID) ([]Seeder, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.finds++
	all := []Seeder{{Node: node(0)}}
	for _, s := range w.far {
		all = append(all, Seeder{Node: s.node})
	}
	return all, nil
}

func (w *world) Dial(ctx context.Context, s Seeder, id blob.ID) (net.Conn, error) {
	w.mu.Lock()
	i := slices.IndexFunc(w.far, func(f *far) bool { return f.node == s.Node })
	w.mu.Unlock()
	if i < 0 || w.far[i].refuses.Load() {
		return nil, errRefused
	}
	f := w.far[i]
	f.dials.Add(1)
	mine, theirs := newWires(f)
	f.mu.Lock()
	f.conns = append(f.conns, theirs)
	f.mu.Unlock()
	w.wg.Go(func() {
		defer theirs.Close()
		if f.behave != nil {
			f.behave(w.ctx, theirs)
			return
		}
		_ = w.home.Serve(w.ctx, theirs, id)
	})
	return mine, nil
}

func (w *world) mustOpen() *Reader {
	w.t.Helper()
	r, err := w.here.Open(w.ctx, w.id)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// fetch reads all of the BLOB and compares it.
func (w *world) fetch() {
	w.t.Helper()
	r := w.mustOpen()
	defer r.Close()
	w.readAll(r)
}

func (w *world) readAll(r io.Reader) {
	w.t.Helper()
	got, err := io.ReadAll(r)
	if err != nil {
		w.t.Fatalf("read: %v", err)
	}
	if !bytes.Equal(got, w.data) {
		w.t.Fatalf("read %d bytes, not those of the blob", len(got))
	}
}

// wantKept checks that the BLOB is whole in the store.
func (w *world) wantKept(want bool) {
	w.t.Helper()
	_, err := w.store.Stat(w.id)
	if want && err != nil {
		w.t.Errorf("stat: %v", err)
	} else if !want && !errors.Is(err, blob.ErrNotFound) {
		w.t.Errorf("stat: got %v, want blob.ErrNotFound", err)
	}
	if err := w.store.Verify(context.Background(), w.id); want && err != nil {
		w.t.Errorf("verify: %v", err)
	}
}

// partFiles counts the files of partial BLOBs.
func (w *world) partFiles() int {
	all, err := os.ReadDir(filepath.Join(w.dir, "partial"))
	if err != nil && !os.IsNotExist(err) {
		w.t.Fatal(err)
	}
	return len(all)
}

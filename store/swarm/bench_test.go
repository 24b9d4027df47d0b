package swarm

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/staex-mcc/mcc/store/blob"
)

const benchSize = 256 * mib

// loopback is a network of seeders on local TCP ports.
type loopback struct {
	b       *testing.B
	seeders []Seeder
	wg      sync.WaitGroup
	stop    []func()
}

// serve adds a seeder: every connection is given to handle.
func (n *loopback) serve(handle func(net.Conn)) {
	n.b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		n.b.Skip("no loopback: ", err)
	}
	n.stop = append(n.stop, func() { l.Close() })
	addr := l.Addr().(*net.TCPAddr).AddrPort()
	n.seeders = append(n.seeders, Seeder{Node: node(byte(len(n.seeders) + 1)), Addr: addr})
	n.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			n.wg.Go(func() { handle(c) })
		}
	})
}

func (n *loopback) close() {
	for _, stop := range n.stop {
		stop()
	}
	n.wg.Wait()
}

func (n *loopback) FindSeeders(context.Context, blob.ID) ([]Seeder, error) { return n.seeders, nil }

func (n *loopback) Dial(ctx context.Context, s Seeder, _ blob.ID) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", s.Addr.String())
}

// BenchmarkFetch fetches 256 MiB over loopback, verified, to the disk.
func BenchmarkFetch(b *testing.B) {
	farStore := openStore(b, b.TempDir())
	defer farStore.Close()
	id := put(b, farStore, content(benchSize))
	for _, seeders := range []int{1, 4} {
		b.Run(strconv.Itoa(seeders), func(b *testing.B) {
			n := &loopback{b: b}
			home := New(Config{Store: farStore, Network: n})
			defer home.Close()
			for range seeders {
				n.serve(func(c net.Conn) { _ = home.Serve(context.Background(), c, id) })
			}
			defer n.close()
			b.SetBytes(benchSize)
			b.ReportAllocs()
			for b.Loop() {
				fetchOnce(b, n, id)
			}
		})
	}
}

func fetchOnce(b *testing.B, n *loopback, id blob.ID) {
	store := openStore(b, b.TempDir())
	defer store.Close()
	s := New(Config{Store: store, Network: n})
	defer s.Close()
	r, err := s.Open(b.Context(), id)
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	if n, err := io.Copy(io.Discard, r); n != benchSize || err != nil {
		b.Fatal(n, err)
	}
}

// BenchmarkRaw is io.Copy from a TCP connection into a file and fsync: what there
// is to be had without verifying and reading again.
func BenchmarkRaw(b *testing.B) {
	data := content(benchSize)
	n := &loopback{b: b}
	n.serve(func(c net.Conn) {
		defer c.Close()
		_, _ = c.Write(data)
	})
	defer n.close()
	b.SetBytes(benchSize)
	for b.Loop() {
		c, err := n.Dial(b.Context(), n.seeders[0], blob.ID{})
		if err != nil {
			b.Fatal(err)
		}
		f, err := os.Create(filepath.Join(b.TempDir(), "raw"))
		if err != nil {
			b.Fatal(err)
		}
		if n, err := io.Copy(f, c); n != benchSize || err != nil {
			b.Fatal(n, err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
		f.Close()
		c.Close()
	}
}

package swarm

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"

	"lukechampine.com/blake3"

	"github.com/staex-mcc/mcc/store/blob"
)

// FuzzSeeder lets a seeder send what it likes: a reader gets the BLOB's bytes or
// an error, nothing else, and the swarm ends in good order.
func FuzzSeeder(f *testing.F) {
	const size = 40000
	honest := honestStream(f, size)
	f.Add(honest)
	f.Add(honest[:8])
	f.Add(honest[:20000])
	f.Add(appendSize(nil, 0))
	f.Add(appendSize(nil, -1))
	f.Add(append(appendSize(nil, size), make([]byte, 100)...))
	f.Add(bytes.Replace(honest, honest[30000:30010], make([]byte, 10), 1))
	data := content(size)
	store := openStore(f, f.TempDir()) // forgets: it is empty after each run
	f.Cleanup(func() { store.Close() })
	id := blob.ID(blake3.Sum256(data))
	f.Fuzz(func(t *testing.T, stream []byte) {
		synctest.Test(t, func(t *testing.T) {
			n := &speaker{stream: stream}
			defer n.wg.Wait()
			s := New(Config{Store: store, Network: n, Forget: true})
			defer s.Close()
			r, err := s.Open(t.Context(), id)
			if err != nil {
				return
			}
			defer r.Close()
			got, err := io.ReadAll(r)
			if !bytes.HasPrefix(data, got) || err == nil && len(got) != size {
				t.Fatalf("read %d bytes and %v, not those of the blob", len(got), err)
			}
		})
	})
}

// speaker is a network of one seeder that says the same whatever it is asked.
type speaker struct {
	stream []byte
	wg     sync.WaitGroup
}

func (n *speaker) FindSeeders(context.Context, blob.ID) ([]Seeder, error) {
	return []Seeder{{Node: node(1)}}, nil
}

func (n *speaker) Dial(context.Context, Seeder, blob.ID) (net.Conn, error) {
	mine, theirs := newWires(new(far))
	n.wg.Go(func() {
		_, _ = theirs.Write(n.stream)
		_ = theirs.CloseWrite()
		_, _ = io.Copy(io.Discard, theirs)
		theirs.Close()
	})
	return mine, nil
}

// honestStream is what a seeder sends to a fetcher that is alone with it: the
// proof, then the unit without the last group.
func honestStream(f *testing.F, size int) []byte {
	f.Helper()
	s := openStore(f, f.TempDir())
	defer s.Close()
	b, err := s.Get(put(f, s, content(size)))
	if err != nil {
		f.Fatal(err)
	}
	defer b.Close()
	var stream bytes.Buffer
	stream.Write(appendSize(nil, int64(size)))
	for _, part := range []slice{{2, 1}, {0, 2}} {
		if err := b.WriteSlice(context.Background(), &stream, part.first, part.n); err != nil {
			f.Fatal(err)
		}
	}
	return stream.Bytes()
}

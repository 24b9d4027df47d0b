package page_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
	"sync"
	"time"

	"lukechampine.com/blake3"

	mcc "github.com/staex-mcc/mcc"
	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/rest"
)

// fakeNode is what the front page sees of a node, in memory. A call of what it
// does not have panics.
type fakeNode struct {
	rest.Node

	mu        sync.Mutex
	peers     []mcc.PeerInfo
	services  []mcc.Service
	listeners []mcc.Listener
	blobs     []mcc.BlobInfo
	contents  map[mcc.Hash][]byte
	notReady  []string
	seq       uint64
	readers   []chan mcc.Event
	watchers  []chan mcc.Change
	watched   chan struct{} // one value for each watch that begins
	hold      chan struct{} // if not nil, PutBlob waits until it is closed
}

func newFakeNode() *fakeNode {
	return &fakeNode{contents: map[mcc.Hash][]byte{}, watched: make(chan struct{}, 100)}
}

func fakeID(n byte) identity.ID { return identity.ID{0: n, 31: 1} }

func (f *fakeNode) Info() mcc.Info {
	f.mu.Lock()
	defer f.mu.Unlock()
	return mcc.Info{
		ID: fakeID(1), Label: "gate", DID: fakeID(1).DID(), Consortium: "acme",
		Addresses: []string{"127.0.0.1:9376", "192.0.2.7:9376"}, Version: "1.2.3", Uptime: 90 * time.Second, Peers: len(f.peers),
	}
}

// with runs do under the lock and then tells the readers of events.
func (f *fakeNode) with(kind mcc.EventKind, subject string, do func() error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := do(); err != nil {
		return err
	}
	f.seq++
	for _, r := range f.readers {
		r <- mcc.Event{Seq: f.seq, Time: time.Now(), Kind: kind, Subject: subject}
	}
	return nil
}

// Events has room for more than a test makes.
func (f *fakeNode) Events(ctx context.Context) iter.Seq[mcc.Event] {
	return func(yield func(mcc.Event) bool) {
		ch := make(chan mcc.Event, 1000)
		f.mu.Lock()
		f.readers = append(f.readers, ch)
		f.mu.Unlock()
		for {
			select {
			case e := <-ch:
				if !yield(e) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

// Watch yields what change is told, whatever the name.
func (f *fakeNode) Watch(ctx context.Context, _ string) iter.Seq2[mcc.Change, error] {
	return func(yield func(mcc.Change, error) bool) {
		ch := make(chan mcc.Change, 1000)
		f.mu.Lock()
		f.watchers = append(f.watchers, ch)
		f.mu.Unlock()
		f.watched <- struct{}{}
		for {
			select {
			case c := <-ch:
				if !yield(c, nil) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

// change tells those who watch.
func (f *fakeNode) change(kind mcc.ChangeKind, p mcc.Provider) {
	for _, w := range snapshot(f, &f.watchers) {
		w <- mcc.Change{Kind: kind, Provider: p}
	}
}

func (f *fakeNode) Peers() []mcc.PeerInfo        { return snapshot(f, &f.peers) }
func (f *fakeNode) LocalServices() []mcc.Service { return snapshot(f, &f.services) }
func (f *fakeNode) Listeners() []mcc.Listener    { return snapshot(f, &f.listeners) }
func (f *fakeNode) NotReady() []string           { return snapshot(f, &f.notReady) }

func snapshot[T any](f *fakeNode, of *[]T) []T {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(*of)
}

// set replaces a list that no event tells of.
func set[T any](f *fakeNode, list *[]T, to ...T) {
	f.mu.Lock()
	defer f.mu.Unlock()
	*list = to
}

func (f *fakeNode) Register(_ context.Context, s mcc.Service) error {
	return f.with(mcc.EventServiceRegistered, s.Name, func() error {
		if slices.ContainsFunc(f.services, func(have mcc.Service) bool { return have.Name == s.Name }) {
			return fmt.Errorf("service %q: %w", s.Name, mcc.ErrExists)
		}
		f.services = append(f.services, s)
		return nil
	})
}

func (f *fakeNode) Unregister(_ context.Context, name string) error {
	return f.with(mcc.EventServiceWithdrawn, name, func() error {
		return drop(&f.services, func(s mcc.Service) bool { return s.Name == name })
	})
}

func (f *fakeNode) AddListener(_ context.Context, l mcc.Listener) (mcc.Listener, error) {
	return l, f.with(mcc.EventListenerAdded, "1", func() error {
		l.ID, l.Address = "1", "tcp://127.0.0.1:5000"
		f.listeners = append(f.listeners, l)
		return nil
	})
}

func (f *fakeNode) RemoveListener(_ context.Context, id string) error {
	return f.with(mcc.EventListenerRemoved, id, func() error {
		return drop(&f.listeners, func(l mcc.Listener) bool { return l.ID == id })
	})
}

func (f *fakeNode) PutBlob(ctx context.Context, r io.Reader, o mcc.BlobOptions) (mcc.BlobInfo, error) {
	content, err := io.ReadAll(r)
	if err != nil {
		return mcc.BlobInfo{}, err
	}
	f.mu.Lock()
	hold := f.hold
	f.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return mcc.BlobInfo{}, ctx.Err()
		}
	}
	b := mcc.BlobInfo{ID: blake3.Sum256(content), Size: int64(len(content)), Name: o.Name, Local: true, Added: time.Now()}
	return b, f.with(mcc.EventBlobAdded, b.ID.String(), func() error {
		f.blobs, f.contents[b.ID] = append(f.blobs, b), content
		return nil
	})
}

func (f *fakeNode) StatBlob(_ context.Context, id mcc.Hash) (mcc.BlobInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, b := range f.blobs {
		if b.ID == id {
			return b, nil
		}
	}
	return mcc.BlobInfo{}, fmt.Errorf("blob %s: %w", id, mcc.ErrNotFound)
}

func (f *fakeNode) OpenBlob(ctx context.Context, id mcc.Hash) (mcc.Blob, error) {
	b, err := f.StatBlob(ctx, id)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return &fakeBlob{bytes.NewReader(f.contents[id]), b}, nil
}

func (f *fakeNode) DeleteBlob(_ context.Context, id mcc.Hash) error {
	return f.with(mcc.EventBlobRemoved, id.String(), func() error {
		return drop(&f.blobs, func(b mcc.BlobInfo) bool { return b.ID == id })
	})
}

func (f *fakeNode) ListBlobs(context.Context) iter.Seq2[mcc.BlobInfo, error] {
	blobs := snapshot(f, &f.blobs)
	slices.SortFunc(blobs, func(a, b mcc.BlobInfo) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return func(yield func(mcc.BlobInfo, error) bool) {
		for _, b := range blobs {
			if !yield(b, nil) {
				return
			}
		}
	}
}

func (f *fakeNode) Seeders(context.Context, mcc.Hash) ([]mcc.Seeder, error) {
	return []mcc.Seeder{{Node: fakeID(1), Label: "gate"}, {Node: fakeID(2), Label: "kitchen"}}, nil
}

func drop[T any](list *[]T, which func(T) bool) error {
	n := len(*list)
	if *list = slices.DeleteFunc(*list, which); len(*list) == n {
		return mcc.ErrNotFound
	}
	return nil
}

type fakeBlob struct {
	*bytes.Reader
	info mcc.BlobInfo
}

func (b *fakeBlob) Info() mcc.BlobInfo { return b.info }
func (b *fakeBlob) Close() error       { return nil }

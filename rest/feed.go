package rest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	mcc "github.com/staex-mcc/mcc"
	"github.com/staex-mcc/mcc/identity"
)

// Bounds of the watches.
const (
	// maxFeeds bounds the names watched at the same time; further ones are 503.
	maxFeeds = 256
	// maxWatchers bounds the open watches and event streams; further ones are
	// 503.
	maxWatchers = 1024
	// feedBuffer is how many changes a reader may be behind, or miss while it
	// reconnects. One that is further behind gets everything anew.
	feedBuffer = 256
	// feedLinger is how long a feed without readers goes on, so that one that
	// reconnects misses nothing.
	feedLinger = time.Minute
)

// watchHub owns one feed for each name that somebody watches.
type watchHub struct {
	node    Node
	log     *zap.Logger
	ctx     context.Context // ends with close; every feed's is derived from it
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex
	feeds   map[string]*feed
	readers int

	resets atomic.Uint64 // readers that were too far behind
	full   atomic.Uint64 // watches refused for a bound
}

func newWatchHub(node Node, log *zap.Logger) *watchHub {
	ctx, cancel := context.WithCancel(context.Background())
	return &watchHub{node: node, log: log, ctx: ctx, cancel: cancel, feeds: map[string]*feed{}}
}

// close ends all feeds, and with them their readers, and waits.
func (hub *watchHub) close() {
	hub.mu.Lock()
	hub.cancel()
	for _, f := range hub.feeds {
		f.stopLinger()
	}
	hub.mu.Unlock()
	hub.running.Wait()
}

// join returns the feed of name, started if it is new. The caller leaves it.
func (hub *watchHub) join(name string) (*feed, error) {
	hub.mu.Lock()
	defer hub.mu.Unlock()
	if hub.ctx.Err() != nil {
		return nil, mcc.ErrClosed
	}
	f := hub.feeds[name]
	if hub.readers >= maxWatchers || f == nil && len(hub.feeds) >= maxFeeds && !hub.dropIdle() {
		return nil, hub.refuse()
	}
	if f == nil {
		f = newFeed(name)
		ctx, cancel := context.WithCancel(hub.ctx)
		f.cancel = cancel
		hub.feeds[name] = f
		hub.running.Go(func() { hub.run(ctx, f) })
	}
	f.stopLinger()
	f.readers++
	hub.readers++
	return f, nil
}

// admit counts a stream that has no feed as a reader. Its context ends with
// parent, leave or close.
func (hub *watchHub) admit(parent context.Context) (ctx context.Context, leave func(), err error) {
	hub.mu.Lock()
	defer hub.mu.Unlock()
	if hub.ctx.Err() != nil {
		return nil, nil, mcc.ErrClosed
	}
	if hub.readers >= maxWatchers {
		return nil, nil, hub.refuse()
	}
	hub.readers++
	ctx, cancel := context.WithCancel(parent)
	stop := context.AfterFunc(hub.ctx, cancel)
	return ctx, func() {
		stop()
		cancel()
		hub.mu.Lock()
		defer hub.mu.Unlock()
		hub.readers--
	}, nil
}

// refuse counts a reader that is one too many; the caller holds mu.
func (hub *watchHub) refuse() error {
	hub.full.Add(1)
	return newProblem(http.StatusServiceUnavailable, "too-many", "too many watches are open on this node")
}

// leave gives a feed back. The last reader's going lets it linger.
func (hub *watchHub) leave(f *feed) {
	hub.mu.Lock()
	defer hub.mu.Unlock()
	hub.readers--
	f.readers--
	if f.readers > 0 || hub.feeds[f.name] != f || hub.ctx.Err() != nil {
		return
	}
	f.linger = time.AfterFunc(feedLinger, func() { hub.retire(f) })
}

// retire ends a feed that nobody came back to.
func (hub *watchHub) retire(f *feed) {
	hub.mu.Lock()
	defer hub.mu.Unlock()
	if f.readers == 0 {
		hub.drop(f)
	}
}

// dropIdle makes room for a feed; the caller holds mu.
func (hub *watchHub) dropIdle() bool {
	for _, f := range hub.feeds {
		if f.readers == 0 {
			hub.drop(f)
			return true
		}
	}
	return false
}

// drop forgets a feed and lets its goroutine end; the caller holds mu.
func (hub *watchHub) drop(f *feed) {
	f.stopLinger()
	f.cancel()
	if hub.feeds[f.name] == f {
		delete(hub.feeds, f.name)
	}
}

// run feeds f from the node until the watch ends.
func (hub *watchHub) run(ctx context.Context, f *feed) {
	var failed error
	for change, err := range hub.node.Watch(ctx, f.name) {
		if err != nil {
			failed = err
			break
		}
		f.publish(change)
	}
	hub.mu.Lock()
	hub.drop(f)
	hub.mu.Unlock()
	if failed == nil {
		failed = mcc.ErrClosed
	}
	hub.log.Debug("watch ended", zap.String("service", f.name), zap.Error(failed))
	f.end(failed)
}

func (hub *watchHub) counts() (feeds, readers int) {
	hub.mu.Lock()
	defer hub.mu.Unlock()
	return len(hub.feeds), hub.readers
}

// feed is the recent changes of one name's providers, for any number of
// readers, each at its own position.
type feed struct {
	name  string
	epoch string // tells this feed's positions from those of an earlier one

	// owned by the hub, under its mu
	cancel  context.CancelFunc
	readers int
	linger  *time.Timer

	mu      sync.Mutex
	seq     uint64       // of the last change; the first is 1
	recent  []mcc.Change // the last feedBuffer ones, up to seq
	now     map[identity.ID]mcc.Provider
	changed chan struct{} // closed at the next change
	ended   error
}

func newFeed(name string) *feed {
	return &feed{name: name, epoch: rand.Text()[:10], now: map[identity.ID]mcc.Provider{}, changed: make(chan struct{})}
}

// stopLinger is called under the hub's mu.
func (f *feed) stopLinger() {
	if f.linger != nil {
		f.linger.Stop()
		f.linger = nil
	}
}

func (f *feed) publish(c mcc.Change) {
	f.mu.Lock()
	f.seq++
	f.recent = append(f.recent, c)
	if len(f.recent) > feedBuffer {
		f.recent = slices.Delete(f.recent, 0, 1)
	}
	if c.Kind == mcc.Removed {
		delete(f.now, c.Provider.Node)
	} else {
		f.now[c.Provider.Node] = c.Provider
	}
	wake := f.wake()
	f.mu.Unlock()
	close(wake)
}

func (f *feed) end(err error) {
	f.mu.Lock()
	f.ended = err
	wake := f.wake()
	f.mu.Unlock()
	close(wake)
}

// wake returns the channel to close and puts a new one in place; the caller
// holds mu.
func (f *feed) wake() chan struct{} {
	old := f.changed
	f.changed = make(chan struct{})
	return old
}

// batch is what a reader has to be told.
type batch struct {
	changes []mcc.Change
	// whole says that changes are not steps but an Added for each provider
	// there is, because the steps are gone.
	whole bool
	// seq is the reader's position after the batch.
	seq uint64
	// more is closed when there is more.
	more <-chan struct{}
	// ended is why there will be no more.
	ended error
}

// since returns what happened after position seq; known says whether seq is a
// position of this feed at all.
func (f *feed) since(seq uint64, known bool) batch {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := batch{seq: f.seq, more: f.changed, ended: f.ended}
	oldest := f.seq - uint64(len(f.recent)) // the last position before recent
	if known && seq >= oldest && seq <= f.seq {
		b.changes = slices.Clone(f.recent[seq-oldest:])
		return b
	}
	b.whole = true
	for _, p := range f.now {
		b.changes = append(b.changes, mcc.Change{Kind: mcc.Added, Provider: p})
	}
	slices.SortFunc(b.changes, func(x, y mcc.Change) int { return x.Provider.Node.Compare(y.Provider.Node) })
	return b
}

// partMark ends the id of an event after which more of the same whole follow;
// a reader that got no further must start anew.
const partMark = "-part"

// position reads an event id of this feed.
func (f *feed) position(id string) (seq uint64, known bool) {
	epoch, number, ok := strings.Cut(id, "-")
	if !ok || epoch != f.epoch {
		return 0, false
	}
	seq, err := strconv.ParseUint(number, 10, 64)
	return seq, err == nil
}

// eventID is the id of the event that brings a reader to seq.
func (f *feed) eventID(seq uint64, part bool) string {
	id := fmt.Sprintf("%s-%d", f.epoch, seq)
	if part {
		id += partMark
	}
	return id
}

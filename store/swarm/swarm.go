// Package swarm fetches BLOBs from many seeders at once and serves those held
// here. Start at [Swarm.Open], which returns a [Reader] that fetches while it is
// read, and [Swarm.Serve], the other end.
//
// A BLOB is asked for in units of 1 MiB (64 groups). A unit belongs to the
// seeder that claimed it first; a seeder with nothing left to claim takes over
// units that a slower one still owes. Every byte is verified before it is kept,
// so a seeder that lies costs one unit and is banned for that BLOB.
//
// Only units at most 32 MiB ahead of a reader are asked for: when readers stop,
// the fetch stops. What has arrived stays on disk and is not asked for again.
//
// The bytes of the wire stand in docs/spec.md, BLOB streams.
package swarm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/store/blob"
)

// Errors of this package. Those of a damaged or full store are package blob's.
var (
	// ErrNotFound: neither the store nor any node says that it has the BLOB. It
	// is blob.ErrNotFound too.
	ErrNotFound = fmt.Errorf("no node has it: %w", blob.ErrNotFound)
	// ErrUnreachable: some nodes say that they have it, none delivered. Its text
	// tells what the last one failed with; it is blob.ErrMismatch too if that one
	// lied, and no other error, since what a seeder did not find says nothing of
	// the BLOB.
	ErrUnreachable = errors.New("no seeder delivers the blob")
	// ErrBusy: the bound of fetches or readers is reached.
	ErrBusy = errors.New("too many blobs at once")
	// ErrClosed: the swarm, or the reader, was closed.
	ErrClosed = errors.New("closed")
	// ErrMalformed: a peer's request that no fetcher sends.
	ErrMalformed = errors.New("malformed request")
)

// Bounds of a swarm.
const (
	maxFetches = 64   // BLOBs fetched at a time, and as many Stats of far ones
	maxReaders = 1024 // open readers, of BLOBs here and of those being fetched
	sweepAfter = 24 * time.Hour
)

// Seeder is a node that says it has a BLOB.
type Seeder struct {
	Node identity.ID
	// Addr is where it was seen, a hint for Dial; it may be zero.
	Addr netip.AddrPort
	// Known says that this node has a session with it. Known seeders are tried
	// first, since anybody can make up others.
	Known bool
}

// Network is how BLOBs are found and carried. Its methods are called from many
// goroutines and give up when ctx ends.
type Network interface {
	// FindSeeders lists nodes that say they have the BLOB, in any order. None is
	// no error. This node among them does no harm.
	FindSeeders(ctx context.Context, id blob.ID) ([]Seeder, error)
	// Dial opens a BLOB stream to a seeder, which has accepted it: it says that
	// it has the BLOB. ctx bounds only the dialling. The connection is closed by
	// the swarm; its deadlines must work, for calls under way too. CloseWrite() error ends its sending direction, Reset() ends it
	// at once; without them Close must do.
	Dial(ctx context.Context, s Seeder, id blob.ID) (net.Conn, error)
}

// Config says what a swarm works with. Store and Network are needed.
type Config struct {
	// Store keeps what is fetched and has what is served. The swarm does not
	// close it; close it after the swarm.
	Store   *blob.Store
	Network Network
	// Self is this node, never asked.
	Self identity.ID
	// Forget deletes what was fetched of a BLOB, whole or in part, when its last
	// reader closes. Kept is not called then.
	Forget bool
	// Kept is called, from a goroutine of the swarm, when a fetched BLOB is
	// whole and in the store. Close waits for it. Nil is allowed.
	Kept func(blob.Info)
	// Logger, nil for none.
	Logger *zap.Logger
}

// Swarm fetches and serves BLOBs. It is safe for concurrent use.
type Swarm struct {
	store   *blob.Store
	network Network
	self    identity.ID
	forget  bool
	kept    func(blob.Info)
	log     *zap.Logger

	ctx    context.Context // ends with Close
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup

	counters counters
	past     *past

	mu      sync.Mutex
	closed  bool
	fetches map[blob.ID]*fetch
	readers int
	asking  int // Stats of BLOBs that are not here
}

// New returns a swarm and starts to sweep the store of partial BLOBs that
// nobody has touched for a day. Close ends it.
func New(c Config) *Swarm {
	s := &Swarm{
		store: c.Store, network: c.Network, self: c.Self, forget: c.Forget, kept: c.Kept, log: c.Logger,
		past: newPast(), fetches: make(map[blob.ID]*fetch),
	}
	if s.log == nil {
		s.log = zap.NewNop()
	}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	s.wg.Go(s.sweepDaily)
	return s
}

// Close ends all fetches and served streams, fails their readers with
// ErrClosed, and waits for every goroutine. Partial BLOBs stay in the store.
func (s *Swarm) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel(ErrClosed)
	s.wg.Wait()
	return nil
}

// begin counts a goroutine or call that Close waits for; the caller owes a
// wg.Done unless it failed. It is under the lock so that no one begins after
// Close has started to wait.
func (s *Swarm) begin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	s.wg.Add(1)
	return nil
}

func (s *Swarm) sweepDaily() {
	tick := time.NewTicker(sweepAfter)
	defer tick.Stop()
	for {
		s.sweep()
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			return
		}
	}
}

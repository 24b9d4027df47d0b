// Package mcc gives a program a peer-to-peer mesh with no server in the middle.
//
// [New] starts a [Node]. It finds other nodes over a Kademlia DHT on UDP,
// registers and discovers services by name, and opens encrypted connections to
// them wherever they run. What a program does with the mesh is the [Mesh]
// interface; how a node is put together is [Options]. Trust comes from the
// certificates of the CAs in Options.TrustCAs; without one the mesh is open to
// anybody.
//
// The package composes the rooms below it (identity, transport, dht, store,
// forward) and holds no protocol logic of its own.
package mcc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/staex-mcc/mcc/dht/discovery"
	"github.com/staex-mcc/mcc/forward"
	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/transport"
)

// Node is one member of a mesh. New makes it; Close ends it. All methods are
// safe for concurrent use.
type Node struct {
	log      *zap.Logger
	self     identity.Identity
	trust    *identity.Trust
	parts    parts
	net      *dhtNet
	registry *discovery.Registry

	offers    *offerTable
	channels  *channelTable
	entrances *forward.Entrances
	picker    *forward.Picker
	failures  *failures
	saved     *savedState
	records   *recordBook
	blobs     *blobShelf
	events    *eventHub
	boot      *bootstrap
	// longCalls has a seat for each long message of the DHT being served.
	longCalls *seats
	// waitForService is how long a dial waits for a first provider.
	waitForService time.Duration

	started time.Time
	life    lifetime
}

// lifetime is how a node's goroutines end.
type lifetime struct {
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	close  sync.Once
	closed chan struct{}
	err    error
	drain  time.Duration
}

// New starts a node. When it returns nil the sockets are open, the store is
// locked and joining has begun; Ready waits for the rest. When it fails nothing
// is left behind, and errors.Is tells ErrInUse and ErrInvalid apart. The caller
// closes the node.
func New(opts Options) (*Node, error) {
	n := &Node{log: opts.Logger, started: time.Now()}
	if n.log == nil {
		n.log = zap.NewNop()
	}
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	seeds, err := parseSeeds(opts.Boot)
	if err != nil {
		return nil, err
	}
	if err := checkReach(opts, seeds); err != nil {
		return nil, err
	}
	n.life.ctx, n.life.cancel = context.WithCancel(context.Background())
	n.life.closed = make(chan struct{})
	n.life.drain = opts.DrainTimeout
	n.waitForService = opts.WaitForService
	n.net = &dhtNet{}
	n.longCalls = newSeats(maxLongCalls, maxPeerLongCalls)
	n.events = newEventHub()
	if err := n.compose(opts); err != nil {
		n.life.cancel()
		return nil, err
	}
	n.offers = newOfferTable()
	n.channels = newChannelTable()
	n.saved = &savedState{store: n.parts.store}
	n.records = newRecordBook(n.saved)
	n.entrances = forward.NewEntrances(forward.Config{Dial: n.DialService, Logger: n.log.Named("forward")})
	n.picker = forward.NewPicker(nil)
	n.failures = newFailures()
	n.boot = newBootstrap(seeds)
	n.start()
	return n, nil
}

// start begins everything that runs until Close.
func (n *Node) start() {
	n.life.wg.Go(n.serveCalls)
	n.life.wg.Go(n.serveStreams)
	n.life.wg.Go(n.runBootstrap)
	n.life.wg.Go(n.announceSelf)
	n.life.wg.Go(n.publishDID)
	n.life.wg.Go(n.keepRecords)
	n.life.wg.Go(n.announceBlobs)
	n.restoreSaved()
	if n.trust.Open() {
		n.log.Warn("no CA is trusted: the mesh is open to anyone")
	}
	n.log.Info("node started", zap.Stringer("id", n.ID()), zap.String("label", n.Label()),
		zap.Stringer("addr", n.parts.transport.Local().Addr))
}

// ID is the node's public key.
func (n *Node) ID() identity.ID { return n.self.ID() }

// Label is the node's human-readable name, from its certificate.
func (n *Node) Label() string { return n.self.Certificate().Label() }

// Info describes the node at this moment.
func (n *Node) Info() Info {
	return Info{
		ID:           n.ID(),
		Label:        n.Label(),
		DID:          n.ID().DID(),
		Consortium:   n.consortium(),
		Addresses:    n.addresses(),
		Version:      Version,
		Wire:         WireVersion,
		Uptime:       time.Since(n.started),
		Peers:        len(n.Peers()),
		Reachability: "unknown",
		Open:         n.trust.Open(),
	}
}

// addresses are where the node listens and where others have seen it.
func (n *Node) addresses() []string {
	addrs := []string{n.parts.transport.Local().Addr.String()}
	for _, seen := range n.net.observedAddrs() {
		if s := seen.String(); s != addrs[0] {
			addrs = append(addrs, s)
		}
	}
	return addrs
}

// consortium is the name of the CA that certified this node; empty in an open
// mesh.
func (n *Node) consortium() string { return n.parts.consortium }

// Close withdraws the node's services, waits up to Options.DrainTimeout for
// forwarded streams, ends everything else, and returns when no goroutine or
// file of the node is left. It is idempotent and may be called from any
// goroutine but one that serves the node's own streams.
func (n *Node) Close() error {
	n.life.close.Do(func() {
		n.life.err = n.shutDown()
		close(n.life.closed)
	})
	<-n.life.closed
	return n.life.err
}

// withdrawWait bounds how long Close spends telling holders that the services
// are gone; their leases lapse anyway.
const withdrawWait = time.Second

func (n *Node) shutDown() error {
	ctx, cancel := context.WithTimeout(context.Background(), n.life.drain)
	defer cancel()
	n.Drain(ctx)
	n.life.cancel()
	n.channels.closeAll()
	err := n.closeParts()
	n.life.wg.Wait()
	n.events.close()
	n.log.Info("node stopped")
	return err
}

// Drain is the first half of Close, for a program that has streams of its own
// to end meanwhile: it withdraws the node's services, which takes at most a
// second whatever ctx says, takes no further streams for them or at local
// ports, and waits for those under way. What is left when ctx ends is cut. The
// node dials until Close.
func (n *Node) Drain(ctx context.Context) {
	withdraw, cancel := context.WithTimeout(context.WithoutCancel(ctx), withdrawWait)
	defer cancel()
	n.offers.stop()
	if err := errors.Join(n.registry.Close(withdraw), n.blobs.seeds.Close(withdraw)); err != nil {
		n.log.Debug("leases left to lapse", zapErr(err))
	}
	if err := n.entrances.Drain(ctx); err != nil {
		n.log.Debug("forwarded connections cut", zapErr(err))
	}
	n.offers.drain(ctx)
}

// Done is closed when the node has been closed.
func (n *Node) Done() <-chan struct{} { return n.life.closed }

// alive returns ErrClosed once Close has begun.
func (n *Node) alive() error {
	if n.life.ctx.Err() != nil {
		return ErrClosed
	}
	return nil
}

// WhoIs returns the verified identity at the other end of a connection that
// came from this package: one accepted from ListenService or Listen, or one
// dialed. It is false for any other connection.
func (n *Node) WhoIs(conn net.Conn) (*identity.Peer, bool) {
	if p, ok := conn.(interface{ Peer() *identity.Peer }); ok {
		return p.Peer(), p.Peer() != nil
	}
	return nil, false
}

// publicError turns the errors of the rooms below into the sentinels of this
// package, keeping the text.
func publicError(err error) error {
	var refused *transport.RefusedError
	switch sentinel := dataSentinel(err); {
	case err == nil:
		return nil
	case sentinel != nil:
		return fmt.Errorf("%w: %w", sentinel, err)
	case errors.As(err, &refused):
		return fmt.Errorf("%w: %w", refusalSentinel(refused.Reason), err)
	case errors.Is(err, transport.ErrClosed):
		return fmt.Errorf("%w: %w", ErrClosed, err)
	case errors.Is(err, transport.ErrUntrusted):
		return fmt.Errorf("%w: %w", ErrDenied, err)
	case errors.Is(err, transport.ErrNoAnswer), errors.Is(err, transport.ErrPathLost), errors.Is(err, transport.ErrPeerMismatch):
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return err
}

func refusalSentinel(r transport.Reason) error {
	switch r {
	case transport.ReasonNotFound:
		return ErrNotFound
	case transport.ReasonDenied:
		return ErrDenied
	case transport.ReasonBusy:
		return ErrBusy
	}
	return ErrUnreachable
}

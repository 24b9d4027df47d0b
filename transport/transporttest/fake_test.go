package transporttest

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/transport"
)

// fakeMesh joins fakes: the smallest transport that keeps the contract. There
// is no wire; a call is a channel send.
type fakeMesh struct {
	limit time.Duration // of calls and offers

	mu    sync.Mutex
	nodes map[netip.AddrPort]*fake
	ports uint16
}

func newFakeMesh(limit time.Duration) *fakeMesh {
	return &fakeMesh{limit: limit, nodes: make(map[netip.AddrPort]*fake)}
}

func (m *fakeMesh) new(cfg transport.Config) (transport.Transport, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ports++
	f := &fake{
		mesh: m, cfg: cfg,
		at:      transport.Contact{ID: cfg.Identity.ID(), Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), m.ports)},
		calls:   make(chan *fakeCall, 128),
		offers:  make(chan *fakeOffer, 64),
		done:    make(chan struct{}),
		streams: make(map[*fakeStream]bool),
		peers:   make(map[identity.ID]transport.PeerState),
	}
	m.nodes[f.at.Addr] = f
	return f, nil
}

func (m *fakeMesh) find(at netip.AddrPort) *fake {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.nodes[at]
}

type fake struct {
	mesh   *fakeMesh
	cfg    transport.Config
	at     transport.Contact
	calls  chan *fakeCall
	offers chan *fakeOffer
	done   chan struct{}

	mu      sync.Mutex
	closed  bool
	sent    uint64
	streams map[*fakeStream]bool
	peers   map[identity.ID]transport.PeerState
}

// meet finds who is at a contact and lets both ends check the other.
func (f *fake) meet(to transport.Contact) (there *fake, me, you *identity.Peer) {
	there = f.mesh.find(to.Addr)
	if there == nil || there.isClosed() || !to.ID.IsZero() && to.ID != there.at.ID {
		return nil, nil, nil
	}
	me, err := there.cfg.Trust.Verify(f.cfg.Identity.Certificate(), time.Now())
	if err != nil {
		return nil, nil, nil
	}
	you, err = f.cfg.Trust.Verify(there.cfg.Identity.Certificate(), time.Now())
	if err != nil {
		return nil, nil, nil
	}
	return there, me, you
}

// note makes or refreshes the session with a peer and reports whether it is new.
func (f *fake) note(p *identity.Peer, at netip.AddrPort) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, known := f.peers[p.ID]
	f.peers[p.ID] = transport.PeerState{Peer: p, Addr: at, Path: "quic", LastSeen: time.Now()}
	return !known
}

func (f *fake) isClosed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.closed
}

func (f *fake) ready(ctx context.Context) error {
	if f.isClosed() {
		return transport.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("fake: %w", err)
	}
	return nil
}

func (f *fake) Call(ctx context.Context, to transport.Contact, req transport.Request) (transport.Answer, error) {
	if len(req.Data) > transport.MaxRequest {
		return transport.Answer{}, transport.ErrTooLong
	}
	if err := f.ready(ctx); err != nil {
		return transport.Answer{}, err
	}
	start := time.Now()
	call := &fakeCall{from: f.at.Addr, data: bytes.Clone(req.Data), limit: transport.MaxAnswer, answer: make(chan []byte, 1)}
	there, me, you := f.meet(to)
	if there != nil {
		fresh := there.note(me, f.at.Addr)
		f.note(you, there.at.Addr)
		call.peer = me
		if fresh && req.Idempotent && len(req.Data) <= transport.MaxEarlyRequest {
			call.early, call.limit = true, 300
		}
		select {
		case there.calls <- call:
		default:
		}
	}
	f.mu.Lock()
	f.sent++
	f.mu.Unlock()
	data, err := waitEither(ctx, f, call.answer, nil, transport.ErrNoAnswer)
	if err != nil {
		return transport.Answer{}, err
	}
	return transport.Answer{Peer: you, Data: data, Observed: f.at.Addr, RTT: time.Since(start)}, nil
}

// waitEither waits for a result, the end of ctx or of the transport, the loss
// of the peer, or the mesh's limit.
func waitEither[T any](ctx context.Context, f *fake, ch <-chan T, lost <-chan struct{}, late error) (result T, err error) {
	timer := time.NewTimer(f.mesh.limit)
	defer timer.Stop()
	select {
	case result = <-ch:
		return result, nil
	case <-ctx.Done():
		return result, fmt.Errorf("fake: %w", ctx.Err())
	case <-f.done:
		return result, transport.ErrClosed
	case <-lost:
		return result, transport.ErrNoAnswer
	case <-timer.C:
		return result, late
	}
}

func (f *fake) AcceptCall(ctx context.Context) (transport.IncomingCall, error) {
	return acceptFrom(ctx, f, f.calls)
}

func (f *fake) Accept(ctx context.Context) (transport.Offer, error) {
	return acceptFrom(ctx, f, f.offers)
}

func acceptFrom[T any](ctx context.Context, f *fake, queue <-chan T) (item T, err error) {
	if err := f.ready(ctx); err != nil {
		return item, err
	}
	select {
	case item = <-queue:
		return item, nil
	case <-ctx.Done():
		return item, fmt.Errorf("fake: %w", ctx.Err())
	case <-f.done:
		return item, transport.ErrClosed
	}
}

func (f *fake) Local() transport.Contact { return f.at }

func (f *fake) Peers() (peers []transport.PeerState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.peers {
		peers = append(peers, p)
	}
	return peers
}

func (f *fake) Counters() []transport.Counter {
	f.mu.Lock()
	defer f.mu.Unlock()
	return []transport.Counter{{Name: "calls_sent", Value: f.sent}, {Name: "peers", Value: uint64(len(f.peers))}}
}

func (f *fake) Close() error {
	f.mu.Lock()
	var open []*fakeStream
	if !f.closed {
		f.closed = true
		close(f.done)
		for s := range f.streams {
			open = append(open, s)
		}
	}
	f.mu.Unlock()
	for _, s := range open {
		s.Reset()
	}
	return nil
}

// adopt puts a stream under the node that Close ends it with.
func (f *fake) adopt(s *fakeStream) {
	f.mu.Lock()
	f.streams[s] = true
	closed := f.closed
	f.mu.Unlock()
	if closed {
		s.Reset()
	}
}

type fakeCall struct {
	peer   *identity.Peer
	from   netip.AddrPort
	data   []byte
	early  bool
	limit  int
	answer chan []byte
}

func (c *fakeCall) Peer() *identity.Peer { return c.peer }
func (c *fakeCall) From() netip.AddrPort { return c.from }
func (c *fakeCall) Data() []byte         { return c.data }
func (c *fakeCall) Early() bool          { return c.early }
func (c *fakeCall) MaxAnswer() int       { return c.limit }
func (c *fakeCall) Answer(data []byte) error {
	if len(data) > c.limit {
		return transport.ErrTooLong
	}
	select {
	case c.answer <- bytes.Clone(data):
	default: // not the first
	}
	return nil
}

func fakeFixture(limit time.Duration) Fixture {
	return Fixture{Factory: func(testing.TB) transport.Factory { return newFakeMesh(limit).new }}
}

func TestFake(t *testing.T) { Run(t, fakeFixture(2*time.Second)) }

func TestFakeVirtual(t *testing.T) {
	f := fakeFixture(2 * time.Second)
	f.Virtual = true
	Run(t, f)
}

func TestFakeConn(t *testing.T) { TestConn(t, fakeFixture(2*time.Second)) }

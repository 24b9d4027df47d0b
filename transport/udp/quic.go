package udp

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"go.uber.org/zap"

	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/transport"
)

// Times of a QUIC connection (spec 4.2).
const (
	handshakeIdle = 5 * time.Second // silence that ends a handshake
	connIdle      = 6 * time.Second // silence that ends a connection
	keepAlive     = 2 * time.Second
	sweepEvery    = 15 * time.Second // look for unused connections
)

// Flow-control windows (RFC 9000 section 4): how many bytes a peer may send that
// nobody has read yet. They bound the memory for received data to connWindow for
// a connection and maxPerPeer times that, 128 MiB, for a peer.
//
// A stream begins with streamFirst and grows to streamWindow while it is read
// quickly, so one stream carries at most streamWindow per round trip: 20 MiB/s
// at 100 ms. Streams that stall keep what they hold: 64 that nobody ever read, or 16
// that had grown, fill a connection. See clog.go for what happens then. The
// window of a connection does not begin smaller, for only reading makes it grow.
const (
	streamFirst  = 512 << 10
	streamWindow = 2 << 20
	connWindow   = 32 << 20
)

// connectionIDLength keeps accidental collisions among 4,096 connections with 4
// ids each far off; 4 bytes, quic-go's default, would not.
const connectionIDLength = 8

// resetContext is what the identity signs to derive the stateless reset key.
// The signature is a secret: no other code may sign this text.
const resetContext = "mcc udp 1: stateless reset key, never published"

// resetKey derives the key of stateless resets, so that a restarted node can
// tell its peers that their connections are gone (RFC 9000 section 10.3). An
// identity has no getter for its key, but an Ed25519 signature is deterministic
// and known to nobody else.
func resetKey(id identity.Identity) (*quic.StatelessResetKey, error) {
	sig, err := id.Sign([]byte(resetContext))
	if err != nil {
		return nil, fmt.Errorf("derive the stateless reset key: %w", err)
	}
	key, err := hkdf.Key(sha256.New, sig, nil, resetContext, len(quic.StatelessResetKey{}))
	if err != nil {
		return nil, fmt.Errorf("derive the stateless reset key: %w", err)
	}
	return (*quic.StatelessResetKey)(key), nil
}

func (t *Transport) quicConfig() *quic.Config {
	return &quic.Config{
		Versions:              []quic.Version{quic.Version1},
		HandshakeIdleTimeout:  handshakeIdle,
		MaxIdleTimeout:        connIdle,
		KeepAlivePeriod:       keepAlive,
		MaxIncomingStreams:    int64(t.opts.MaxIncomingStreams),
		MaxIncomingUniStreams: -1,

		InitialStreamReceiveWindow:     streamFirst,
		MaxStreamReceiveWindow:         streamWindow,
		InitialConnectionReceiveWindow: connWindow,
		MaxConnectionReceiveWindow:     connWindow,
	}
}

// startQUIC makes quic-go the reader of the socket.
func (t *Transport) startQUIC(id identity.Identity) error {
	key, err := resetKey(id)
	if err != nil {
		return err
	}
	gate := newGate(handshakeRate)
	t.quic = &quic.Transport{
		Conn:               t.mux.Front(),
		ConnectionIDLength: connectionIDLength,
		StatelessResetKey:  key,
		ConnContext:        withHandshake,
		VerifySourceAddress: func(net.Addr) bool {
			if gate.pass(time.Now()) {
				return false
			}
			t.counts.retries.Add(1)
			return true
		},
	}
	if t.listener, err = t.quic.Listen(t.auth.server(), t.quicConfig()); err != nil {
		_ = t.quic.Close()
		return fmt.Errorf("listen for QUIC: %w", err)
	}
	return nil
}

// acceptConns enters the connections of peers into the table. When quic-go's
// reader fails, so does the transport.
func (t *Transport) acceptConns() {
	for {
		qc, err := t.listener.Accept(t.ctx)
		if err != nil {
			if t.ctx.Err() == nil {
				t.log.Error("socket failed, transport stops", zap.Error(err))
				t.cancel()
			}
			return
		}
		hs, ok := qc.Context().Value(handshakeKey{}).(*handshake)
		if !ok || hs.peer.Load() == nil {
			_ = qc.CloseWithError(closeUntrusted, "")
			continue
		}
		t.counts.connsAccepted.Add(1)
		if c, err := t.enter(qc, hs.peer.Load()); err == nil {
			t.conns.release(c, time.Now(), false)
		}
	}
}

// enter takes a connection into the table and starts serving it. The caller
// gets it with one stream counted.
func (t *Transport) enter(qc *quic.Conn, peer *identity.Peer) (*conn, error) {
	c := &conn{qc: qc, peer: peer}
	evicted, err := t.conns.add(c, time.Now())
	if err != nil {
		t.counts.connsRefused.Add(1)
		_ = qc.CloseWithError(closeBusy, "")
		return nil, err
	}
	t.tasks.Go(func() { t.serveConn(c) })
	if evicted != nil {
		_ = evicted.qc.CloseWithError(closeIdle, "")
	}
	return c, nil
}

// sweep closes connections that nobody uses, or whose peer is not trusted any
// more.
func (t *Transport) sweep() {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-t.ctx.Done():
			return
		}
		unused, untrusted := t.conns.expired(time.Now(), t.opts.IdleTimeout)
		for _, c := range unused {
			_ = c.qc.CloseWithError(closeIdle, "")
		}
		for _, c := range untrusted {
			_ = c.qc.CloseWithError(closeUntrusted, "")
			t.log.Info("certificate of a peer ran out", zap.Stringer("peer", c.peer.ID))
		}
	}
}

// dialQUIC makes a connection to the very peer of the contact.
func (t *Transport) dialQUIC(ctx context.Context, to transport.Contact) (*quic.Conn, *identity.Peer, error) {
	t.counts.dials.Add(1)
	hs := &handshake{}
	qc, err := t.quic.Dial(ctx, net.UDPAddrFromAddrPort(to.Addr), t.auth.client(to.ID, hs), t.quicConfig())
	switch {
	case err == nil:
		return qc, hs.peer.Load(), nil
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return nil, nil, fmt.Errorf("%w to the handshake", transport.ErrNoAnswer)
	}
	return nil, nil, dialFailed(err)
}

// handshakeRate is how many handshakes a second may begin before dialers are
// asked to prove their address with a Retry, which costs them a round trip.
const handshakeRate = 200

// gate is a token bucket that holds one second of its rate.
type gate struct {
	rate float64

	mu     sync.Mutex
	tokens float64
	last   time.Time
}

func newGate(rate float64) *gate { return &gate{rate: rate, tokens: rate} }

// pass takes a token, if there is one.
func (g *gate) pass(now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.last.IsZero() {
		g.tokens = min(g.rate, g.tokens+g.rate*now.Sub(g.last).Seconds())
	}
	g.last = now
	if g.tokens < 1 {
		return false
	}
	g.tokens--
	return true
}

// Local implements transport.Transport.
func (t *Transport) Local() transport.Contact {
	return transport.Contact{ID: t.id, Addr: t.local}
}

func (t *Transport) addrOf(c *conn) transport.Addr {
	return transport.Addr{ID: c.peer.ID, Addr: c.addr()}
}

func (t *Transport) stream(c *conn, qs *quic.Stream) *stream {
	return newStream(qs, c.peer, transport.Addr(t.Local()), t.addrOf(c), func() {
		t.conns.release(c, time.Now(), true)
	})
}

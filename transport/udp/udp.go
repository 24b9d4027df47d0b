// Package udp is the default transport: calls and streams on one UDP socket.
//
// Calls are sealed datagrams (package sealed), streams are QUIC (quic-go); the
// first byte of a packet tells which (package mux). [New] starts one, [Listen] makes the
// factory that a node takes. The wire protocol of streams stands in
// docs/spec.md, section 4.
//
// Follow a packet from package mux, a call from calls.go, an outgoing stream
// from dial.go and an incoming one from offers.go.
package udp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"go.uber.org/zap"

	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/transport"
	"github.com/staex-mcc/mcc/transport/udp/mux"
)

// Options of the UDP transport. The zero value listens on the loopback
// interface at a free port.
type Options struct {
	// Listen is the host:port of the socket; empty is 127.0.0.1:0, port 0 is
	// any free one. Ignored with Socket.
	Listen string
	// Socket is used instead of an own one: a socket of transport/simnet, or
	// any other net.PacketConn whose addresses are *net.UDPAddr. Close closes
	// it. Nil opens a UDP socket.
	Socket net.PacketConn
	// MaxIncomingStreams is how many streams one peer may have open on one
	// connection; 0 is 4096.
	MaxIncomingStreams int
	// MaxConnections is how many QUIC connections there may be; the one unused
	// for longest makes room for a new one. 0 is 4096.
	MaxConnections int
	// DialTimeout bounds a Dial, handshake and answer together; 0 is 15 s,
	// longer than a peer takes to decide.
	DialTimeout time.Duration
	// IdleTimeout is how long a connection without streams is kept for the
	// next one; 0 is 2 min.
	IdleTimeout time.Duration
}

func (o Options) withDefaults() (Options, error) {
	if o.MaxIncomingStreams < 0 || o.MaxConnections < 0 || o.DialTimeout < 0 || o.IdleTimeout < 0 {
		return o, errors.New("negative option")
	}
	o.Listen = cmp.Or(o.Listen, "127.0.0.1:0")
	o.MaxIncomingStreams = cmp.Or(o.MaxIncomingStreams, 4096)
	o.MaxConnections = cmp.Or(o.MaxConnections, 4096)
	o.DialTimeout = cmp.Or(o.DialTimeout, 15*time.Second)
	o.IdleTimeout = cmp.Or(o.IdleTimeout, 2*time.Minute)
	return o, nil
}

// Transport is a transport.Transport on a UDP socket. It is also a
// transport.PeerLister and transport.Counters.
type Transport struct {
	opts  Options
	log   *zap.Logger
	id    identity.ID
	local netip.AddrPort
	auth  *authenticator

	counts   counts
	refusals *refusals
	mux      *mux.Mux
	calls    *calls

	quic     *quic.Transport
	listener *quic.Listener
	socket   net.PacketConn
	conns    *table
	dials    *dials
	turns    *turns
	offers   chan *offer

	ctx    context.Context // ends when Close begins, or the socket fails
	cancel context.CancelFunc
	tasks  tasks // every goroutine

	closing atomic.Bool
	closed  chan struct{} // Close is done
}

var (
	_ transport.Transport  = (*Transport)(nil)
	_ transport.PeerLister = (*Transport)(nil)
	_ transport.Counters   = (*Transport)(nil)
)

// Listen returns a factory of transports with these options.
func Listen(opts Options) transport.Factory {
	return func(cfg transport.Config) (transport.Transport, error) { return New(opts, cfg) }
}

// New opens the socket and starts a transport. On failure nothing is left
// behind, and a given Socket stays open and the caller's. An address that is
// taken is syscall.EADDRINUSE.
func New(opts Options, cfg transport.Config) (*Transport, error) {
	t, err := open(opts, cfg)
	if err != nil {
		return nil, fmt.Errorf("udp transport: %w", err)
	}
	return t, nil
}

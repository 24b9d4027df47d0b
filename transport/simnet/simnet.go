// Package simnet is a packet network in memory: hosts, sockets that are
// net.PacketConns, and links with latency, loss, duplication and reordering.
//
// The real transport runs over it, in real time or in the virtual time of a
// testing/synctest bubble (make the Network inside the bubble):
//
//	network := simnet.New(simnet.Options{Seed: 1, Latency: 20 * time.Millisecond})
//	defer network.Close()
//	socket, err := network.Listen(netip.MustParseAddrPort("10.0.0.1:9376"))
//
// What happens to a packet is drawn from a hash of the seed, its two addresses
// and its number between them, so goroutine order does not change it and a
// failing test repeats with its seed.
//
// A packet meets the network at two places only: [Network.depart], where it
// leaves its host, and [Network.arrive], where the host of its destination
// address gets it. A router that rewrites addresses (NAT) belongs there.
package simnet

import (
	"container/heap"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// Defaults and bounds of a Network.
const (
	// DefaultMTU is that of Ethernet: 1,472 bytes of payload over IPv4.
	DefaultMTU = 1500
	// DefaultQueueLen is how many packets wait for a socket's reader.
	DefaultQueueLen = 1024
	// DefaultReorderDelay is the detour of a reordered packet.
	DefaultReorderDelay = 10 * time.Millisecond
	// maxInFlight bounds the packets on their way; more are dropped and counted
	// as Overflowed.
	maxInFlight = 1 << 17
	// maxFlows bounds the packet counters; the address pairs past it share one,
	// and jitter may change the order of their packets.
	maxFlows = 1 << 17
	// firstEphemeral is where port 0 starts to look (RFC 6335 section 6).
	firstEphemeral = 49152
)

// Options describe a Network. The zero value is a perfect one: no latency, no
// loss.
type Options struct {
	// Seed chooses the fates of packets.
	Seed uint64
	// Latency is the one-way delay of every packet between two hosts. A host
	// reaches itself at once.
	Latency time.Duration
	// Jitter is added to Latency, evenly from zero up to it, without changing
	// the order of packets.
	Jitter time.Duration
	// Loss, Duplicate and Reorder are the shares of packets, 0 to 1, that
	// vanish, arrive twice, and arrive ReorderDelay late with the packets
	// behind them going past.
	Loss, Duplicate, Reorder float64
	// ReorderDelay is how late a reordered packet is; zero is
	// DefaultReorderDelay.
	ReorderDelay time.Duration
	// MTU is the longest IP packet a host can send; a longer one fails with
	// EMSGSIZE. Its headers take 28 bytes over IPv4 and 48 over IPv6. Zero is
	// DefaultMTU.
	MTU int
	// QueueLen is how many packets wait for the reader of a socket; a newer one
	// is dropped and counted. Zero is DefaultQueueLen.
	QueueLen int
	// Trace records packets; nil records nothing.
	Trace *Trace
}

// Network connects sockets. All methods are safe for concurrent use, and none
// blocks but Close.
type Network struct {
	opts    Options
	usual   Link
	counts  counters
	wake    chan struct{} // holds one: the earliest packet may have changed
	closing chan struct{}
	done    sync.WaitGroup

	mu        sync.Mutex
	closed    bool
	sockets   map[netip.AddrPort]*Socket
	ephemeral map[netip.Addr]uint16
	links     map[pair]Link
	down      map[netip.Addr]bool
	groups    map[netip.Addr]int // nil: not partitioned
	flows     map[route]*flow
	spill     *flow // shared by the pairs past maxFlows
	air       airborne
}

// New starts a network. Close it after use.
func New(opts Options) *Network {
	if opts.MTU == 0 {
		opts.MTU = DefaultMTU
	}
	if opts.QueueLen == 0 {
		opts.QueueLen = DefaultQueueLen
	}
	n := &Network{
		opts: opts,
		usual: Link{
			Latency: opts.Latency, Jitter: opts.Jitter,
			Loss: opts.Loss, Duplicate: opts.Duplicate,
			Reorder: opts.Reorder, ReorderDelay: opts.ReorderDelay,
		},
		wake:      make(chan struct{}, 1),
		closing:   make(chan struct{}),
		sockets:   make(map[netip.AddrPort]*Socket),
		ephemeral: make(map[netip.Addr]uint16),
		links:     make(map[pair]Link),
		down:      make(map[netip.Addr]bool),
		flows:     make(map[route]*flow),
		spill:     &flow{seed: opts.Seed},
	}
	n.done.Go(n.run)
	return n
}

// Listen opens a socket on a host, which needs no set-up. Port 0 takes the next
// free one from 49152 up. A taken address is syscall.EADDRINUSE, one that is no
// single host's syscall.EADDRNOTAVAIL, a closed network net.ErrClosed.
func (n *Network) Listen(addr netip.AddrPort) (*Socket, error) {
	s, err := n.bind(canonical(addr))
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "udp", Source: udpAddr(addr), Err: err}
	}
	return s, nil
}

func (n *Network) bind(addr netip.AddrPort) (*Socket, error) {
	if ip := addr.Addr(); !ip.IsValid() || ip.IsUnspecified() || ip.IsMulticast() {
		return nil, fmt.Errorf("a socket belongs to one host: %w", syscall.EADDRNOTAVAIL)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, net.ErrClosed
	}
	if addr.Port() == 0 {
		port, ok := n.freePort(addr.Addr())
		if !ok {
			return nil, syscall.EADDRINUSE
		}
		addr = netip.AddrPortFrom(addr.Addr(), port)
	}
	if n.sockets[addr] != nil {
		return nil, syscall.EADDRINUSE
	}
	s := newSocket(n, addr)
	n.sockets[addr] = s
	return s, nil
}

// freePort hands out ports in turn, as systems do, so that a closed socket's
// late packets do not reach its successor. n.mu is held.
func (n *Network) freePort(host netip.Addr) (uint16, bool) {
	const span = 1<<16 - firstEphemeral
	for range span {
		port := firstEphemeral + n.ephemeral[host]
		n.ephemeral[host] = (n.ephemeral[host] + 1) % span
		if n.sockets[netip.AddrPortFrom(host, port)] == nil {
			return port, true
		}
	}
	return 0, false
}

func (n *Network) unbind(s *Socket) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.sockets[s.addr] == s {
		delete(n.sockets, s.addr)
	}
}

// Close closes every socket, drops the packets on their way and waits for the
// delivery goroutine. It is idempotent and returns nil.
func (n *Network) Close() error {
	for _, s := range n.shut() {
		s.Close()
	}
	n.done.Wait()
	return nil
}

// shut marks the network closed and returns the sockets that were open.
func (n *Network) shut() []*Socket {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil
	}
	n.closed = true
	close(n.closing)
	open := make([]*Socket, 0, len(n.sockets))
	for _, s := range n.sockets {
		open = append(open, s)
	}
	n.counts.dropped.Add(uint64(len(n.air)))
	n.air = nil
	return open
}

// canonical gives an address one spelling, so that it can key a map.
func canonical(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

func udpAddr(a netip.AddrPort) *net.UDPAddr { return net.UDPAddrFromAddrPort(a) }

// payloadLimit is the longest UDP payload in an IP packet of size mtu: 20 or 40
// bytes of IP and 8 of UDP header go off (RFC 791, 8200, 768).
func payloadLimit(mtu int, ip netip.Addr) int {
	if ip.Is4() {
		return mtu - 28
	}
	return mtu - 48
}

var _ heap.Interface = (*airborne)(nil)

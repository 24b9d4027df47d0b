package simnet

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// Socket is one host's UDP socket on a Network. It is a net.PacketConn that
// behaves like a *net.UDPConn: its addresses are *net.UDPAddrs, its errors
// *net.OpErrors, and a packet longer than the reader's buffer is cut. All
// methods are safe for concurrent use.
type Socket struct {
	network *Network
	addr    netip.AddrPort
	queue   chan *packet
	closed  chan struct{}
	close   func()
	read    *deadline
	write   *deadline
}

var _ net.PacketConn = (*Socket)(nil)

func newSocket(n *Network, addr netip.AddrPort) *Socket {
	closed := make(chan struct{})
	return &Socket{
		network: n,
		addr:    addr,
		queue:   make(chan *packet, n.opts.QueueLen),
		closed:  closed,
		close:   sync.OnceFunc(func() { close(closed) }),
		read:    newDeadline(),
		write:   newDeadline(),
	}
}

// push queues a packet for the reader, or drops it when the queue is full.
func (s *Socket) push(p *packet) Fate {
	if s.isClosed() {
		return Unreachable
	}
	select {
	case s.queue <- p:
		return Delivered
	default:
		return Overflowed
	}
}

func (s *Socket) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// ReadFromUDPAddrPort blocks for the next packet, until the read deadline
// (os.ErrDeadlineExceeded) or Close (net.ErrClosed).
func (s *Socket) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	p, err := s.next()
	if err != nil {
		return 0, netip.AddrPort{}, &net.OpError{Op: "read", Net: "udp", Source: s.LocalAddr(), Err: err}
	}
	return copy(b, p.data), p.route.src, nil
}

// ReadFrom is ReadFromUDPAddrPort with a *net.UDPAddr, which belongs to the
// caller.
func (s *Socket) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := s.ReadFromUDPAddrPort(b)
	if err != nil {
		return 0, nil, err
	}
	return n, udpAddr(from), nil
}

func (s *Socket) next() (*packet, error) {
	// Closed and late come before a packet that waits, whatever select would
	// pick.
	if s.isClosed() {
		return nil, net.ErrClosed
	}
	if s.read.over() {
		return nil, os.ErrDeadlineExceeded
	}
	select {
	case p := <-s.queue:
		return p, nil
	case <-s.closed:
		return nil, net.ErrClosed
	case <-s.read.done():
		return nil, os.ErrDeadlineExceeded
	}
}

// WriteToUDPAddrPort sends a packet. It does not block and does not keep b. A
// packet over the MTU is syscall.EMSGSIZE, a destination that cannot be one
// syscall.EINVAL; what becomes of a packet on its way nobody is told.
func (s *Socket) WriteToUDPAddrPort(b []byte, addr netip.AddrPort) (int, error) {
	to := canonical(addr)
	if err := s.checkWrite(b, to); err != nil {
		return 0, &net.OpError{Op: "write", Net: "udp", Source: s.LocalAddr(), Addr: udpAddr(addr), Err: err}
	}
	s.network.depart(route{s.addr, to}, b)
	return len(b), nil
}

// WriteTo is WriteToUDPAddrPort with a *net.UDPAddr; any other address is
// syscall.EINVAL.
func (s *Socket) WriteTo(b []byte, addr net.Addr) (int, error) {
	to, ok := addr.(*net.UDPAddr)
	if !ok || to == nil {
		return 0, &net.OpError{Op: "write", Net: "udp", Source: s.LocalAddr(), Addr: addr, Err: syscall.EINVAL}
	}
	return s.WriteToUDPAddrPort(b, to.AddrPort())
}

func (s *Socket) checkWrite(b []byte, to netip.AddrPort) error {
	switch {
	case s.isClosed():
		return net.ErrClosed
	case s.write.over():
		return os.ErrDeadlineExceeded
	case !to.IsValid() || to.Port() == 0 || to.Addr().Is4() != s.addr.Addr().Is4():
		return os.NewSyscallError("sendto", syscall.EINVAL)
	case len(b) > payloadLimit(s.network.opts.MTU, to.Addr()):
		return os.NewSyscallError("sendto", syscall.EMSGSIZE)
	}
	return nil
}

// Close frees the address; pending and later reads and writes fail with
// net.ErrClosed. It is idempotent and returns nil. Packets already sent arrive.
func (s *Socket) Close() error {
	s.network.unbind(s)
	s.close()
	s.read.set(time.Time{}) // stops the timers
	s.write.set(time.Time{})
	return nil
}

// AddrPort is where the socket listens.
func (s *Socket) AddrPort() netip.AddrPort { return s.addr }

// LocalAddr is AddrPort as a *net.UDPAddr, which belongs to the caller.
func (s *Socket) LocalAddr() net.Addr { return udpAddr(s.addr) }

// SetDeadline sets both deadlines; the zero time is none.
func (s *Socket) SetDeadline(t time.Time) error {
	if err := s.SetReadDeadline(t); err != nil {
		return err
	}
	return s.SetWriteDeadline(t)
}

// SetReadDeadline ends pending and later reads at t.
func (s *Socket) SetReadDeadline(t time.Time) error { return s.setDeadline(s.read, t) }

// SetWriteDeadline fails writes after t; none ever blocks.
func (s *Socket) SetWriteDeadline(t time.Time) error { return s.setDeadline(s.write, t) }

func (s *Socket) setDeadline(d *deadline, t time.Time) error {
	if s.isClosed() {
		return &net.OpError{Op: "set", Net: "udp", Source: s.LocalAddr(), Err: net.ErrClosed}
	}
	d.set(t)
	return nil
}

// SetReadBuffer does nothing: Options.QueueLen is the buffer. It is here
// because QUIC asks for it.
func (s *Socket) SetReadBuffer(int) error { return nil }

// SetWriteBuffer does nothing; see SetReadBuffer.
func (s *Socket) SetWriteBuffer(int) error { return nil }

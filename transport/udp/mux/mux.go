// Package mux shares one UDP socket between sealed packets of calls and QUIC.
//
// quic-go believes to own the socket and is its only reader; a [Mux] stands in
// between and peels off the packets of calls. [New] makes one, [Mux.Front] is
// what quic-go gets, [Mux.Packets] what it does not, [Mux.Send] the way out for
// calls. A Mux has no goroutine: nothing arrives unless quic-go reads.
package mux

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/staex-mcc/mcc/transport"
	"github.com/staex-mcc/mcc/transport/udp/sealed"
)

// One socket carries two protocols; the first byte tells them apart (spec,
// "Streams" 1):
//
//	0x40 - 0xff   QUIC v1, as in RFC 9443
//	0x04 - 0x0f   sealed packets of calls
//	others        nobody's
const firstQUIC = 0x40

const (
	// inboxSize bounds the sealed packets that nobody has taken yet; past it
	// the newest is dropped and counted.
	inboxSize = 1024
	// maxSealed is the longest sealed packet.
	maxSealed = 1200
)

// Packet is a sealed packet.
type Packet struct {
	From netip.AddrPort
	// Data is valid until Free.
	Data []byte
	buf  *[maxSealed]byte
}

var buffers = sync.Pool{New: func() any { return new([maxSealed]byte) }}

// keep copies a packet out of the reader's buffer.
func keep(from netip.AddrPort, data []byte) Packet {
	buf := buffers.Get().(*[maxSealed]byte)
	return Packet{From: from, Data: buf[:copy(buf[:], data)], buf: buf}
}

// Free gives the packet's memory back, once.
func (p Packet) Free() { buffers.Put(p.buf) }

// Mux shares a socket.
type Mux struct {
	conn   net.PacketConn
	inbox  chan Packet
	counts counts

	failed int // reads that failed in a row; owned by the reader
}

type counts struct {
	sealed, dropped, junk, readErrors, sendErrors, batches atomic.Uint64
}

// New shares conn, which stays the caller's to close.
func New(conn net.PacketConn) *Mux {
	return &Mux{conn: conn, inbox: make(chan Packet, inboxSize)}
}

// Front is the socket as quic-go may see it: with batches and segmentation
// offload for a *net.UDPConn, packet by packet for any other.
func (m *Mux) Front() net.PacketConn {
	if udp, ok := m.conn.(*net.UDPConn); ok {
		return newBatched(m, udp)
	}
	return single{PacketConn: m.conn, m: m}
}

// Packets are the sealed packets that came.
func (m *Mux) Packets() <-chan Packet { return m.inbox }

// Send sends one sealed packet. It never fails: a packet that the kernel
// refuses counts as lost.
func (m *Mux) Send(to netip.AddrPort, data []byte) {
	var err error
	if udp, ok := m.conn.(*net.UDPConn); ok {
		_, err = udp.WriteToUDPAddrPort(data, to)
	} else {
		_, err = m.conn.WriteTo(data, net.UDPAddrFromAddrPort(to))
	}
	if err != nil && !errors.Is(err, net.ErrClosed) {
		m.counts.sendErrors.Add(1)
	}
}

// Counters are the counts since New, always the same names in the same order.
func (m *Mux) Counters() []transport.Counter {
	return []transport.Counter{
		{Name: "packets_sealed", Value: m.counts.sealed.Load()},
		{Name: "packets_dropped", Value: m.counts.dropped.Load()},
		{Name: "packets_junk", Value: m.counts.junk.Load()},
		{Name: "read_errors", Value: m.counts.readErrors.Load()},
		{Name: "send_errors", Value: m.counts.sendErrors.Load()},
		{Name: "quic_batches", Value: m.counts.batches.Load()},
	}
}

// peel takes a packet that is not QUIC's. It copies what it keeps.
func (m *Mux) peel(data []byte, from net.Addr) bool {
	if len(data) > 0 && data[0] >= firstQUIC {
		return false
	}
	addr := AddrPort(from)
	if !sealed.IsOurs(data) || len(data) > maxSealed || !addr.IsValid() {
		m.counts.junk.Add(1)
		return true
	}
	m.counts.sealed.Add(1)
	p := keep(addr, data)
	select {
	case m.inbox <- p:
	default:
		p.Free()
		m.counts.dropped.Add(1)
	}
	return true
}

// Reads fail softly too: Windows reports an ICMP error or a packet that was too
// long on the next read. A socket that only fails is given time, not CPU.
const (
	patience  = 16
	readPause = 10 * time.Millisecond
)

// giveUp notes how a read went and reports whether reading is over. A deadline
// is only ever set by quic-go, to end its reader.
func (m *Mux) giveUp(err error) bool {
	if err == nil {
		m.failed = 0
		return false
	}
	if errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) {
		return true
	}
	m.counts.readErrors.Add(1)
	if m.failed++; m.failed > patience {
		time.Sleep(readPause)
	}
	return false
}

// errTooLong also has Windows' own number; package syscall's is invented there,
// and nobody else uses numbers that high.
var errTooLong = []error{syscall.EMSGSIZE, syscall.Errno(10040)}

// survive decides what quic-go sees of a failed send: only what it can act on.
// Any other error would end the connection because of, say, one full neighbour
// table; QUIC repeats what matters.
func (m *Mux) survive(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return err
	}
	m.counts.sendErrors.Add(1)
	for _, long := range errTooLong {
		if errors.Is(err, long) {
			return err // path MTU discovery waits for it
		}
	}
	return nil
}

// AddrPort is a *net.UDPAddr in the form that contacts use: an IPv4 address is
// one even when it came through an IPv6 socket. For any other address it is
// invalid.
func AddrPort(a net.Addr) netip.AddrPort {
	udp, ok := a.(*net.UDPAddr)
	if !ok || udp == nil {
		return netip.AddrPort{}
	}
	return Unmapped(udp.AddrPort())
}

// Unmapped is the address with an IPv4-mapped one as IPv4.
func Unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

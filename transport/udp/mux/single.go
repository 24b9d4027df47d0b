package mux

import "net"

// single is the front of any net.PacketConn, one packet at a time.
type single struct {
	net.PacketConn
	m *Mux
}

// ReadFrom returns the next QUIC packet.
func (s single) ReadFrom(b []byte) (int, net.Addr, error) { return s.m.readFrom(s.PacketConn, b) }

// WriteTo sends one QUIC packet.
func (s single) WriteTo(b []byte, to net.Addr) (int, error) { return s.m.writeTo(s.PacketConn, b, to) }

// SetReadBuffer exists because quic-go complains on the global logger about a
// connection without it. An arbitrary PacketConn has no buffer to set.
func (single) SetReadBuffer(int) error { return nil }

// SetWriteBuffer does nothing; see SetReadBuffer.
func (single) SetWriteBuffer(int) error { return nil }

func (m *Mux) readFrom(conn net.PacketConn, b []byte) (int, net.Addr, error) {
	for {
		n, from, err := conn.ReadFrom(b)
		if m.giveUp(err) {
			return 0, nil, err
		}
		if err == nil && !m.peel(b[:n], from) {
			return n, from, nil
		}
	}
}

func (m *Mux) writeTo(conn net.PacketConn, b []byte, to net.Addr) (int, error) {
	n, err := conn.WriteTo(b, to)
	if err == nil {
		return n, nil
	}
	return len(b), m.survive(err)
}

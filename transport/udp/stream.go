package udp

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/transport"
)

// past is a deadline that ends what is blocked.
var past = time.Unix(1, 0)

// stream is a transport.Stream on a QUIC stream.
//
// quic-go forbids Close during Write, so writes and the end of writing take
// turns; what net.Conn promises, that Close ends a blocked Write, is done with a
// deadline that the user can no longer move.
type stream struct {
	qs            *quic.Stream
	peer          *identity.Peer
	local, remote transport.Addr
	done          func() // tells the connection, once

	turn      chan struct{} // holds a token while somebody writes or ends writing
	noRead    atomic.Bool   // Close or Reset was called
	noWrite   atomic.Bool   // and CloseWrite
	once      sync.Once     // for done
	deadlines sync.Mutex    // noWrite is set, and write deadlines move, under it
}

var _ transport.Stream = (*stream)(nil)

func newStream(qs *quic.Stream, peer *identity.Peer, local, remote transport.Addr, done func()) *stream {
	return &stream{qs: qs, peer: peer, local: local, remote: remote, done: done, turn: make(chan struct{}, 1)}
}

// Read implements net.Conn.
func (s *stream) Read(b []byte) (int, error) {
	if s.noRead.Load() {
		return 0, s.opError("read", net.ErrClosed)
	}
	n, err := s.qs.Read(b)
	return n, s.opError("read", streamError(err, s.noRead.Load()))
}

// Write implements net.Conn.
func (s *stream) Write(b []byte) (int, error) {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	if s.noWrite.Load() {
		return 0, s.opError("write", net.ErrClosed)
	}
	n, err := s.qs.Write(b)
	return n, s.opError("write", streamError(err, s.noWrite.Load()))
}

// CloseWrite implements transport.Stream.
func (s *stream) CloseWrite() error {
	if s.noRead.Load() || !s.endWriting() {
		return s.opError("close", net.ErrClosed)
	}
	return nil
}

// Close implements net.Conn. What was written is still delivered; the peer is
// told to write no more.
func (s *stream) Close() error {
	if s.noRead.Swap(true) {
		return s.opError("close", net.ErrClosed)
	}
	s.endWriting()
	s.qs.CancelRead(streamClosed)
	s.once.Do(s.done)
	return nil
}

// Reset implements transport.Stream.
func (s *stream) Reset() {
	s.noRead.Store(true)
	s.stopWriting()
	s.qs.CancelWrite(streamReset)
	s.qs.CancelRead(streamReset)
	s.once.Do(s.done)
}

// stopWriting forbids further writes and reports whether it was the first to.
func (s *stream) stopWriting() bool {
	s.deadlines.Lock()
	defer s.deadlines.Unlock()
	if s.noWrite.Swap(true) {
		return false
	}
	return s.qs.SetWriteDeadline(past) == nil // never fails; ends a blocked Write
}

// endWriting sends FIN behind what was written.
func (s *stream) endWriting() bool {
	if !s.stopWriting() {
		return false
	}
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	_ = s.qs.Close() // fails only if the peer ended this direction before
	return true
}

// SetDeadline implements net.Conn.
func (s *stream) SetDeadline(t time.Time) error {
	if err := s.SetReadDeadline(t); err != nil {
		return err
	}
	if err := s.SetWriteDeadline(t); err != nil && s.noRead.Load() {
		return err
	}
	return nil // after CloseWrite it is the deadline of reads
}

// SetReadDeadline implements net.Conn.
func (s *stream) SetReadDeadline(t time.Time) error {
	if s.noRead.Load() {
		return s.opError("set", net.ErrClosed)
	}
	return s.qs.SetReadDeadline(t)
}

// SetWriteDeadline implements net.Conn.
func (s *stream) SetWriteDeadline(t time.Time) error {
	s.deadlines.Lock()
	defer s.deadlines.Unlock()
	if s.noWrite.Load() {
		return s.opError("set", net.ErrClosed)
	}
	return s.qs.SetWriteDeadline(t)
}

// LocalAddr implements net.Conn.
func (s *stream) LocalAddr() net.Addr { return s.local }

// RemoteAddr implements net.Conn.
func (s *stream) RemoteAddr() net.Addr { return s.remote }

// Peer implements transport.Stream.
func (s *stream) Peer() *identity.Peer { return s.peer }

// opError names the stream in an error. io.EOF must stay bare, and a deadline
// keeps being a net.Error.
func (s *stream) opError(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: s.remote.Network(), Source: s.local, Addr: s.remote, Err: err}
}

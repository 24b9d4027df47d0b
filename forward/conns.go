package forward

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
)

// closeWrite ends the sending direction, or both if conn cannot do less.
func closeWrite(conn net.Conn) error {
	if c, ok := conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return conn.Close()
}

// reset closes conn so that the other end sees a failure, if conn can do that.
func reset(conn net.Conn) {
	switch c := conn.(type) {
	case interface{ Reset() }:
		c.Reset()
	case interface{ SetLinger(sec int) error }:
		_ = c.SetLinger(0)
		conn.Close()
	default:
		conn.Close()
	}
}

// connSet keeps the open connections of one owner, so that it can wait for them
// or close them.
type connSet struct {
	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
	empty  chan struct{} // closed when the last is removed; nil if nobody waits
}

// add reports false when the set takes no more; the connection is the caller's
// to close then.
func (s *connSet) add(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if s.conns == nil {
		s.conns = make(map[net.Conn]struct{})
	}
	s.conns[c] = struct{}{}
	return true
}

func (s *connSet) remove(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if len(s.conns) == 0 && s.empty != nil {
		close(s.empty)
		s.empty = nil
	}
}

// wait blocks until the set is empty or ctx ends.
func (s *connSet) wait(ctx context.Context) error {
	s.mu.Lock()
	if len(s.conns) == 0 {
		s.mu.Unlock()
		return nil
	}
	if s.empty == nil {
		s.empty = make(chan struct{})
	}
	empty := s.empty
	s.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// closeAll resets what is open and lets nothing new in. Their users remove
// them.
func (s *connSet) closeAll() {
	s.mu.Lock()
	s.closed = true
	conns := make([]net.Conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	for _, c := range conns {
		reset(c)
	}
}

// heldConn is a connection that counts its bytes and tells once when it is
// closed, for where others than this package close it. Counters may be nil.
type heldConn struct {
	net.Conn
	read, written *atomic.Uint64
	once          sync.Once
	closed        func()
}

func (c *heldConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.read != nil {
		c.read.Add(uint64(n))
	}
	return n, err
}

func (c *heldConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if c.written != nil {
		c.written.Add(uint64(n))
	}
	return n, err
}

func (c *heldConn) CloseWrite() error { return closeWrite(c.Conn) }

func (c *heldConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.closed)
	return err
}

func (c *heldConn) Reset() {
	reset(c.Conn)
	c.once.Do(c.closed)
}

// replayConn yields what was read from the connection before, then err if there
// was one, then goes on reading.
type replayConn struct {
	net.Conn
	data []byte
	err  error
}

func (c *replayConn) Read(p []byte) (int, error) {
	if len(c.data) > 0 {
		n := copy(p, c.data)
		if c.data = c.data[n:]; len(c.data) == 0 {
			c.data = nil
		}
		return n, nil
	}
	if c.err != nil {
		return 0, c.err
	}
	return c.Conn.Read(p)
}

func (c *replayConn) CloseWrite() error { return closeWrite(c.Conn) }

func (c *replayConn) Reset() { reset(c.Conn) }

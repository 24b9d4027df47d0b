package forward

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// defaultStall is how long a write may wait for its receiver by default.
const defaultStall = 2 * time.Minute

// errStalled is a write whose receiver took nothing for too long. It is a
// timeout as os.ErrDeadlineExceeded is.
var errStalled = stalledError{}

type stalledError struct{}

func (stalledError) Error() string   { return "the receiver took nothing for too long" }
func (stalledError) Timeout() bool   { return true }
func (stalledError) Temporary() bool { return false }
func (stalledError) Is(t error) bool { return t == os.ErrDeadlineExceeded }

// pace is how writes are watched. The zero pace does not watch.
type pace struct {
	limit   time.Duration
	stalled *atomic.Uint64
}

// watch returns conn with the pace applied to its writes.
func (p pace) watch(conn net.Conn) net.Conn {
	if p.limit <= 0 {
		return conn
	}
	return &pacedConn{Conn: conn, pace: p}
}

// pacedConn resets the connection when a write makes no progress for the limit.
// A connection with nothing to write is left alone.
type pacedConn struct {
	net.Conn
	pace

	mu    sync.Mutex
	fixed bool      // somebody has set a deadline of his own
	until time.Time // the deadline set here
}

func (c *pacedConn) Write(p []byte) (n int, err error) {
	for {
		c.allow()
		m, err := c.Conn.Write(p[n:])
		n += m
		switch {
		case err == nil || !errors.Is(err, os.ErrDeadlineExceeded) || c.isFixed():
			return n, err
		case m == 0:
			c.stalled.Add(1)
			reset(c.Conn)
			return n, errStalled
		}
	}
}

// allow gives the next write its time. The deadline is set a bit further off
// than needed, since setting it for every write costs more than small writes do.
func (c *pacedConn) allow() {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fixed || c.until.Sub(now) >= c.limit {
		return
	}
	c.until = now.Add(c.limit + c.limit/8)
	_ = c.Conn.SetWriteDeadline(c.until) // a connection without deadlines is not watched
}

func (c *pacedConn) isFixed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fixed
}

// SetDeadline sets both deadlines, and in place of the watch if t is not zero.
func (c *pacedConn) SetDeadline(t time.Time) error {
	return errors.Join(c.Conn.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetWriteDeadline sets a deadline in place of the watch, or the watch again.
func (c *pacedConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fixed, c.until = !t.IsZero(), time.Time{}
	return c.Conn.SetWriteDeadline(t)
}

func (c *pacedConn) CloseWrite() error { return closeWrite(c.Conn) }

func (c *pacedConn) Reset() { reset(c.Conn) }

// answerPiece is how much of an answer must be taken within the limit.
const answerPiece = 16 << 10

// clientPace watches what is written to the client of a request, whose
// connection is the server's.
type clientPace struct {
	pace
	rc *http.ResponseController
	// hijacked is given a connection that was taken over.
	hijacked func(net.Conn) net.Conn

	mu    sync.Mutex
	cut   bool
	until time.Time
}

func (p *clientPace) allow() {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut || p.until.Sub(now) >= p.limit {
		return
	}
	p.until = now.Add(p.limit + p.limit/8)
	_ = p.rc.SetWriteDeadline(p.until) // not every server has them
}

// write writes in pieces, each with its own time.
func (p *clientPace) write(w io.Writer, b []byte) (n int, err error) {
	for err == nil && n < len(b) {
		p.allow()
		var m int
		m, err = w.Write(b[n:min(n+answerPiece, len(b))])
		n += m
	}
	return n, p.note(err)
}

func (p *clientPace) flush() error {
	p.allow()
	return p.note(p.rc.Flush())
}

// note counts a stall.
func (p *clientPace) note(err error) error {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut {
		return err
	}
	p.stalled.Add(1)
	return errStalled
}

// interrupt ends what waits for the client, now and later.
func (p *clientPace) interrupt() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
	_ = p.rc.SetReadDeadline(time.Unix(1, 0))
	_ = p.rc.SetWriteDeadline(time.Unix(1, 0))
}

// end leaves the connection to the next request as it was.
func (p *clientPace) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.cut && !p.until.IsZero() {
		_ = p.rc.SetWriteDeadline(time.Time{})
	}
}

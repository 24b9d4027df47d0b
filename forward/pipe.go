package forward

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// pipeSize bounds what one direction of a pipe holds.
const pipeSize = 64 << 10

// PipeConn is one end of a [Pipe].
type PipeConn struct{ in, out *pipeHalf }

// Pipe returns the two ends of an in-memory connection. Unlike net.Pipe it
// buffers, up to 64 KiB each way, after which writes wait. The ends are
// net.Conns in every respect, and as on TCP one direction can be ended alone.
func Pipe() (*PipeConn, *PipeConn) {
	x, y := newPipeHalf(), newPipeHalf()
	return &PipeConn{in: x, out: y}, &PipeConn{in: y, out: x}
}

// Read returns what the other end wrote, io.EOF once that ended its direction,
// and syscall.ECONNRESET after a Reset.
func (c *PipeConn) Read(p []byte) (int, error) { return c.in.read(p) }

// Write blocks while the buffer is full. It fails with syscall.EPIPE when the
// other end is closed and with net.ErrClosed when this one is.
func (c *PipeConn) Write(p []byte) (int, error) { return c.out.write(p) }

// CloseWrite ends this direction: the other end reads io.EOF after the last
// byte and may go on writing.
func (c *PipeConn) CloseWrite() error {
	c.out.finish(func(h *pipeHalf) { h.ended = true })
	return nil
}

// Close ends both directions. What was written before can still be read.
func (c *PipeConn) Close() error {
	c.out.finish(func(h *pipeHalf) { h.ended = true })
	c.in.finish(func(h *pipeHalf) { h.unread, h.count, h.ring = true, 0, nil })
	return nil
}

// Reset ends both directions and drops what was not read yet.
func (c *PipeConn) Reset() {
	c.in.finish(func(h *pipeHalf) { h.unread, h.count, h.ring = true, 0, nil })
	c.out.finish(func(h *pipeHalf) {
		if !h.ended {
			h.wasReset = true
		}
		h.ended, h.count, h.ring = true, 0, nil
	})
}

// LocalAddr is the same for all pipes.
func (c *PipeConn) LocalAddr() net.Addr { return pipeAddr{} }

// RemoteAddr is the same for all pipes.
func (c *PipeConn) RemoteAddr() net.Addr { return pipeAddr{} }

// SetDeadline sets both deadlines.
func (c *PipeConn) SetDeadline(t time.Time) error {
	c.in.setDeadline(&c.in.readBy, t)
	c.out.setDeadline(&c.out.writeBy, t)
	return nil
}

// SetReadDeadline bounds Read, also one that waits already.
func (c *PipeConn) SetReadDeadline(t time.Time) error {
	c.in.setDeadline(&c.in.readBy, t)
	return nil
}

// SetWriteDeadline bounds Write, also one that waits already.
func (c *PipeConn) SetWriteDeadline(t time.Time) error {
	c.out.setDeadline(&c.out.writeBy, t)
	return nil
}

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

// pipeHalf is one direction: a ring that grows up to pipeSize.
type pipeHalf struct {
	mu      sync.Mutex
	changed sync.Cond

	ring         []byte
	start, count int

	ended    bool // the writer is done
	unread   bool // the reader is gone
	wasReset bool

	readBy, writeBy pipeDeadline
}

// pipeDeadline is over once its timer has fired.
type pipeDeadline struct {
	timer *time.Timer
	over  bool
}

func newPipeHalf() *pipeHalf {
	h := new(pipeHalf)
	h.changed.L = &h.mu
	return h
}

func (h *pipeHalf) finish(change func(*pipeHalf)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change(h)
	h.changed.Broadcast()
}

func (h *pipeHalf) read(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.unread:
			return 0, net.ErrClosed
		case h.readBy.over:
			return 0, os.ErrDeadlineExceeded
		case h.wasReset:
			return 0, syscall.ECONNRESET
		case len(p) == 0:
			return 0, nil
		case h.count > 0:
			n := h.pop(p)
			h.changed.Broadcast()
			return n, nil
		case h.ended:
			return 0, io.EOF
		}
		h.changed.Wait()
	}
}

func (h *pipeHalf) write(p []byte) (n int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.ended:
			return n, net.ErrClosed
		case h.writeBy.over:
			return n, os.ErrDeadlineExceeded
		case h.unread:
			return n, syscall.EPIPE
		case n == len(p):
			return n, nil
		case h.count < pipeSize:
			n += h.push(p[n:])
			h.changed.Broadcast()
			continue
		}
		h.changed.Wait()
	}
}

func (h *pipeHalf) pop(p []byte) int {
	first := h.ring[h.start:min(h.start+h.count, len(h.ring))]
	n := copy(p, first)
	if n == len(first) {
		n += copy(p[n:], h.ring[:h.count-n])
	}
	h.start = (h.start + n) % len(h.ring)
	if h.count -= n; h.count == 0 {
		h.start = 0
	}
	return n
}

func (h *pipeHalf) push(p []byte) int {
	h.grow(h.count + len(p))
	p = p[:min(len(p), len(h.ring)-h.count)]
	end := (h.start + h.count) % len(h.ring)
	n := copy(h.ring[end:], p)
	copy(h.ring, p[n:])
	h.count += len(p)
	return len(p)
}

// grow makes room for want bytes, as far as the bound allows.
func (h *pipeHalf) grow(want int) {
	size := max(len(h.ring), 512)
	for size < want && size < pipeSize {
		size *= 2
	}
	if size == len(h.ring) {
		return
	}
	ring := make([]byte, size)
	if h.count > 0 {
		count := h.count
		h.pop(ring[:count])
		h.count = count
	}
	h.ring, h.start = ring, 0
}

func (h *pipeHalf) setDeadline(d *pipeDeadline, t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	wait := time.Until(t)
	d.over = !t.IsZero() && wait <= 0
	if !t.IsZero() && wait > 0 {
		var timer *time.Timer
		timer = time.AfterFunc(wait, func() { h.expire(d, &timer) })
		d.timer = timer
	}
	h.changed.Broadcast()
}

// expire is run by a timer, which may have been replaced in the meantime.
func (h *pipeHalf) expire(d *pipeDeadline, timer **time.Timer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if d.timer == *timer {
		d.over = true
		h.changed.Broadcast()
	}
}

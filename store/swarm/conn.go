package swarm

import (
	"context"
	"net"
	"time"
)

// reset ends both directions at once, dropping what is on its way.
func reset(c net.Conn) {
	if r, ok := c.(interface{ Reset() }); ok {
		r.Reset()
		return
	}
	c.Close()
}

// closeWrite ends the sending direction of c, or all of it.
func closeWrite(c net.Conn) error {
	if w, ok := c.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return c.Close()
}

// resetWith resets c when ctx ends; stop undoes that.
func resetWith(ctx context.Context, c net.Conn) (stop func() bool) {
	return context.AfterFunc(ctx, func() { reset(c) })
}

// interruptWith ends what conn does when ctx ends, so that its goroutine can say
// goodbye; stop undoes that. It works together with timedReader and timedWriter,
// which do not move the deadline once ctx has ended.
func interruptWith(ctx context.Context, c net.Conn) (stop func() bool) {
	return context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
}

// timedWriter fails a write that takes longer than the limit.
type timedWriter struct {
	ctx   context.Context
	conn  net.Conn
	limit time.Duration
}

func (w timedWriter) Write(b []byte) (int, error) {
	if err := w.conn.SetWriteDeadline(time.Now().Add(w.limit)); err != nil {
		return 0, err
	}
	if w.ctx.Err() != nil {
		return 0, context.Cause(w.ctx)
	}
	return w.conn.Write(b)
}

// timedReader fails a read that brings nothing for longer than the limit, or
// that would go past the end, if there is one.
type timedReader struct {
	ctx   context.Context
	conn  net.Conn
	limit time.Duration
	until func() time.Time
}

func (r timedReader) Read(b []byte) (int, error) {
	deadline := time.Now().Add(r.limit)
	if r.until != nil {
		if end := r.until(); end.Before(deadline) {
			deadline = end
		}
	}
	if err := r.conn.SetReadDeadline(deadline); err != nil {
		return 0, err
	}
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.conn.Read(b)
}

package forward

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"
)

const (
	// maxEarly bounds what is read from a client that is not connected yet.
	maxEarly = 64 << 10
	// endedGrace is how long a dial goes on after the client has ended its
	// direction. A client that has gone looks the same as one that only has
	// nothing to say, and dialling takes much less than this.
	endedGrace = 2 * time.Second
)

// early reads from a client while its service is being dialled, since there is
// no other way to see that the client has gone.
type early struct {
	conn    net.Conn
	giveUp  context.CancelFunc
	ended   atomic.Pointer[time.Timer]
	stopped atomic.Bool
	done    chan struct{}

	// Owned by watch until done is closed.
	data []byte
	err  error
}

// watchEarly starts reading from conn and calls giveUp when the client is gone.
func watchEarly(conn net.Conn, giveUp context.CancelFunc) *early {
	e := &early{conn: conn, giveUp: giveUp, done: make(chan struct{})}
	go e.watch()
	return e
}

func (e *early) watch() {
	defer close(e.done)
	var b buffer
	defer b.release()
	for e.err == nil && len(e.data) < maxEarly {
		buf := b.take()
		n, err := e.conn.Read(buf[:min(len(buf), maxEarly-len(e.data))])
		e.data = append(e.data, buf[:n]...)
		e.err = err
	}
	switch {
	case e.err == nil || e.stopped.Load() && errors.Is(e.err, os.ErrDeadlineExceeded):
		e.err = nil
	case errors.Is(e.err, io.EOF):
		e.ended.Store(time.AfterFunc(endedGrace, e.giveUp))
	default:
		e.giveUp()
	}
}

// stop ends the reading and returns the connection with what was read put back.
func (e *early) stop() net.Conn {
	e.stopped.Store(true)
	// The past interrupts a read that waits.
	_ = e.conn.SetReadDeadline(time.Unix(1, 0))
	<-e.done
	_ = e.conn.SetReadDeadline(time.Time{})
	if t := e.ended.Load(); t != nil {
		t.Stop()
	}
	if len(e.data) == 0 && e.err == nil {
		return e.conn
	}
	return &replayConn{Conn: e.conn, data: e.data, err: e.err}
}

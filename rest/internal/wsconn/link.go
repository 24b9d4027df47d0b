package wsconn

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"
)

const (
	// outboxData is how many unsent bytes make Write wait, outboxSize how many
	// there may be with the control frames in between. More of those can only
	// come from a side that asks without taking the answers; it is cut.
	outboxData = 256<<10 - 2*chunk
	outboxSize = 256 << 10
	// lingerTime is how long unsent bytes are still sent after Close.
	lingerTime = 30 * time.Second
)

var errFlood = errors.New("websocket: the other side asks and does not take the answers")

// link is what the WebSocket library takes for its connection. Writes go to an
// outbox and never wait, where the library would give a connection up, after
// five seconds, whose other side takes nothing: that is mere backpressure. A
// goroutine carries the outbox to the network.
type link struct {
	gate
	rwc  io.ReadWriteCloser
	conn net.Conn // the one below rwc, for deadlines and addresses; may be nil

	outbox  []byte
	busy    int   // bytes that are being sent
	half    bool  // CloseWrite was called
	failed  error // why the program can write no more
	broken  error // why the network takes no more
	ended   bool  // the library has closed it: send the rest and go
	abrupt  bool  // on a reset nobody waits for the rest
	carried chan struct{}

	sent atomic.Uint64 // bytes of data given to the outbox, for keepAlive
}

func newLink(rwc io.ReadWriteCloser, conn net.Conn) *link {
	l := &link{rwc: rwc, conn: conn, carried: make(chan struct{})}
	l.init()
	go l.carry()
	return l
}

// Read implements io.Reader for the library.
func (l *link) Read(p []byte) (int, error) { return l.rwc.Read(p) }

// Write implements io.Writer for the library.
func (l *link) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.broken != nil:
		return 0, l.broken
	case l.ended:
		return 0, net.ErrClosed
	case len(l.outbox)+l.busy+len(p) > outboxSize:
		return 0, errFlood
	}
	l.outbox = append(l.outbox, p...)
	l.changed.Broadcast()
	return len(p), nil
}

// Close implements io.Closer for the library: what is in the outbox is still
// sent, for a while.
func (l *link) Close() error {
	l.update(func() { l.ended = true })
	if l.isAbortive() {
		return l.rwc.Close()
	}
	timer := time.AfterFunc(lingerTime, func() { _ = l.rwc.Close() })
	go func() {
		<-l.carried
		timer.Stop()
	}()
	if l.conn != nil {
		// The library waits for its reader, which nothing else would wake.
		_ = l.conn.SetReadDeadline(time.Unix(1, 0))
	}
	return nil
}

// carry sends the outbox until there is no more, or no way.
func (l *link) carry() {
	defer close(l.carried)
	var spare []byte
	for {
		batch, ok := l.next(spare)
		if !ok {
			_ = l.rwc.Close()
			return
		}
		if err := l.transmit(batch); err != nil {
			l.update(func() { l.broken = err })
			l.fail(err)
			_ = l.rwc.Close()
			return
		}
		if spare = batch[:0]; cap(spare) > keepSize {
			spare = nil
		}
	}
}

// next waits for bytes to send and leaves spare as the empty outbox.
func (l *link) next(spare []byte) (batch []byte, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.outbox) == 0 && !l.ended {
		l.changed.Wait()
	}
	if len(l.outbox) == 0 {
		return nil, false
	}
	batch, l.outbox = l.outbox, spare
	l.busy = len(batch)
	return batch, true
}

// transmit writes a batch in pieces, each of which makes room when it is gone.
func (l *link) transmit(batch []byte) error {
	for len(batch) > 0 {
		n, err := l.rwc.Write(batch[:min(len(batch), 2*chunk)])
		if err != nil {
			return err
		}
		batch = batch[n:]
		l.update(func() { l.busy -= n })
	}
	return nil
}

// room waits until a message of want bytes, or a chunk of it, may be written.
func (l *link) room(want int) (int, error) {
	want = min(want, chunk)
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		switch {
		case l.closed, l.half:
			return 0, net.ErrClosed
		case l.over:
			return 0, os.ErrDeadlineExceeded
		case l.failed != nil:
			return 0, l.failed
		case want == 0 || len(l.outbox)+l.busy+want <= outboxData:
			return want, nil
		}
		l.changed.Wait()
	}
}

// reason is why a message could not be written.
func (l *link) reason() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed != nil && !l.closed {
		return l.failed
	}
	return net.ErrClosed
}

// shut ends writing; false says that it has ended before.
func (l *link) shut() (first bool) {
	l.update(func() {
		first = !l.half && !l.closed && l.failed == nil
		l.half = true
	})
	return first
}

// fail ends writing with an error; the first holds.
func (l *link) fail(err error) {
	l.update(func() {
		if l.failed == nil {
			l.failed = err
		}
	})
}

// close ends writing for the program; the library goes on.
func (l *link) close() {
	l.update(func() {
		l.closed = true
		l.stopTimer()
	})
}

// abortive makes the end one that does not wait for the outbox, also when it
// has begun.
func (l *link) abortive() {
	var ended bool
	l.update(func() { l.abrupt, ended = true, l.ended })
	if ended {
		_ = l.rwc.Close()
	}
}

func (l *link) isAbortive() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.abrupt
}

// addr asks the connection below.
func (l *link) addr(of func(net.Conn) net.Addr) net.Addr {
	if l.conn == nil {
		return noAddr{}
	}
	return of(l.conn)
}

// noAddr is the address of a connection that does not tell.
type noAddr struct{}

func (noAddr) Network() string { return "websocket" }
func (noAddr) String() string  { return "websocket" }

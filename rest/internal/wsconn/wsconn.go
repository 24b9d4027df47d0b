// Package wsconn makes a net.Conn of a WebSocket (RFC 6455).
//
// Binary messages are bytes and their boundaries mean nothing. An empty message
// ends one direction, as CloseWrite does. The close code 1000, or none, is the
// end of both; 1011 is a reset, and so is any other. A text message is an error.
//
// Each [Conn] keeps at most 256 KiB that were received and not read, and as much
// that was written and not sent; after that the receiving stops, and Write
// waits. Control frames never wait behind data that the other side does not
// take, so a reader that pauses costs nothing but the pause.
package wsconn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/coder/websocket"
)

// chunk is how many bytes a message that is sent has at most, and how many are
// received at once.
const chunk = 16 << 10

// Conn is a net.Conn over a WebSocket. Besides it has CloseWrite and Reset.
type Conn struct {
	ws  *websocket.Conn
	in  *inbox
	out *link

	writing  sync.Mutex // held by one Write, so that it stays whole
	ending   sync.Once
	finished chan struct{} // closed when the closing handshake is over
}

// newConn starts the goroutines of a WebSocket that speaks through out.
func newConn(ws *websocket.Conn, out *link) *Conn {
	// Messages are streamed, so their length costs no memory.
	ws.SetReadLimit(-1)
	c := &Conn{ws: ws, in: newInbox(), out: out, finished: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	go c.receive(cancel)
	go c.keepAlive(ctx)
	return c
}

// Read returns received bytes; io.EOF when the other side has ended its
// direction or the connection in order, syscall.ECONNRESET when it was reset,
// and another error when the connection broke.
func (c *Conn) Read(p []byte) (int, error) { return c.in.read(p) }

// Write sends p as binary messages. It waits while 256 KiB are waiting already.
func (c *Conn) Write(p []byte) (n int, err error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	for {
		room, err := c.out.room(len(p) - n)
		if err != nil {
			return n, err
		}
		if n == len(p) {
			return n, nil
		}
		if err := c.send(p[n : n+room]); err != nil {
			return n, err
		}
		n += room
	}
}

// send writes one message, which never waits.
func (c *Conn) send(p []byte) error {
	if err := c.ws.Write(context.Background(), websocket.MessageBinary, p); err != nil {
		return c.out.reason()
	}
	c.out.sent.Add(uint64(len(p)))
	return nil
}

// CloseWrite ends this direction with an empty message, after what was written.
// The other one goes on.
func (c *Conn) CloseWrite() error {
	if !c.out.shut() {
		return nil
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	return c.send(nil)
}

// Close ends both directions with code 1000, after what was written. It waits
// up to 5 s until the other side has taken it and said so; one that is slower
// gets 30 s more in the background.
func (c *Conn) Close() error {
	c.end(websocket.StatusNormalClosure)
	if !c.out.isAbortive() {
		<-c.finished
	}
	return nil
}

// Reset ends both directions with code 1011, so that the other side's Read
// fails. It does not wait.
func (c *Conn) Reset() {
	c.out.abortive()
	c.end(websocket.StatusInternalError)
}

// end says goodbye once, with the code that came first.
func (c *Conn) end(code websocket.StatusCode) {
	c.ending.Do(func() {
		c.in.close()
		c.out.close()
		go c.finish(code)
	})
}

func (c *Conn) finish(code websocket.StatusCode) {
	defer close(c.finished)
	// What can go wrong is that the other side is gone, which is no news now.
	_ = c.ws.Close(code, "")
}

// receive fills the inbox until the connection ends, and then ends the pings.
func (c *Conn) receive(done context.CancelFunc) {
	defer done()
	err := c.receiveAll()
	c.broken(readError(err))
	// Errors of closing say that it is closed, and that is all there is to it.
	switch {
	case errors.Is(err, errText):
		_ = c.ws.Close(websocket.StatusUnsupportedData, "binary messages only")
	case errors.Is(err, errAfter):
		_ = c.ws.Close(websocket.StatusProtocolError, "data after the end")
	}
	_ = c.ws.CloseNow()
}

// broken ends both directions for the program: io.EOF is an end in order.
func (c *Conn) broken(err error) {
	c.in.end(err)
	if errors.Is(err, io.EOF) {
		err = syscall.EPIPE
	}
	c.out.fail(err)
}

func (c *Conn) receiveAll() error {
	for {
		kind, message, err := c.ws.Reader(context.Background())
		if err != nil {
			return err
		}
		if kind != websocket.MessageBinary {
			return errText
		}
		n, err := c.in.fill(message)
		if err != nil {
			return err
		}
		if n == 0 {
			c.in.halfClose()
		}
	}
}

var (
	errText  = errors.New("websocket: a text message, where only binary ones are bytes")
	errAfter = errors.New("websocket: data after the end of the stream")
)

// readError is what reading ends with.
func readError(err error) error {
	switch code := websocket.CloseStatus(err); {
	case code == websocket.StatusNormalClosure, code == websocket.StatusNoStatusRcvd:
		return io.EOF
	case code >= 0:
		return fmt.Errorf("websocket closed with code %d: %w", code, syscall.ECONNRESET)
	case errors.Is(err, io.EOF):
		// A connection that just ends was cut: nobody may take it for the end.
		return io.ErrUnexpectedEOF
	}
	return fmt.Errorf("websocket: %w", err)
}

// LocalAddr is that of the connection below.
func (c *Conn) LocalAddr() net.Addr { return c.out.addr(net.Conn.LocalAddr) }

// RemoteAddr is that of the connection below, which may be a proxy's.
func (c *Conn) RemoteAddr() net.Addr { return c.out.addr(net.Conn.RemoteAddr) }

// SetDeadline sets both deadlines. A deadline that passes leaves the connection
// usable.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline bounds Read, also one that waits already.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.in.setDeadline(t) }

// SetWriteDeadline bounds Write, also one that waits already.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.out.setDeadline(t) }

package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"

	mcc "github.com/staex-mcc/mcc"
	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/rest/internal/wsconn"
)

const (
	// backlog bounds the channels that wait for Accept. The node resets what
	// comes on top.
	backlog = 128
	// claimTime bounds the taking over of one.
	claimTime = 30 * time.Second
)

// Listen implements mcc.Channels. The node listens as long as the net.Listener
// is open and connected to it. When the node goes, Accept fails.
func (c *Client) Listen(ctx context.Context, protocol string) (net.Listener, error) {
	if protocol == "" {
		return nil, fmt.Errorf("channel: %w: no protocol", mcc.ErrInvalid)
	}
	ctx, cancel, err := c.alive(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	header := http.Header{}
	c.authorize(header)
	ws, addr, err := wsconn.DialMessages(ctx, c.http, c.base+path("accept", protocol), header)
	if err != nil {
		return nil, c.dialError(ctx, err)
	}
	l := &channelListener{client: c, ws: ws, addr: addr, arrived: make(chan net.Conn, backlog), room: make(chan struct{}, backlog)}
	l.ctx, l.stop = context.WithCancelCause(c.ctx)
	l.running.Go(l.receive)
	l.running.Go(func() { wsconn.KeepAlive(l.ctx, ws, func() { l.stop(errGone) }) })
	return l, nil
}

var errGone = fmt.Errorf("%w: the node does not answer any more", mcc.ErrUnreachable)

// channelListener is a net.Listener for channels that arrive at the node.
type channelListener struct {
	client *Client
	ws     *websocket.Conn
	addr   net.Addr

	ctx     context.Context // ends with the listener; the cause says why
	stop    context.CancelCauseFunc
	running sync.WaitGroup
	room    chan struct{} // an element for each channel that waits or is on its way
	arrived chan net.Conn // never full: room is as large
}

// arrival is a message of the node.
type arrival struct {
	ID, Label string
	Node      identity.ID
}

// receive claims what the node tells of.
func (l *channelListener) receive() {
	defer l.ws.CloseNow()
	defer context.AfterFunc(l.ctx, func() { _ = l.ws.Close(websocket.StatusNormalClosure, "") })()
	for {
		_, text, err := l.ws.Read(context.Background())
		if err != nil {
			l.stop(endOf(err))
			return
		}
		var a arrival
		if err := json.Unmarshal(text, &a); err != nil {
			l.stop(fmt.Errorf("listen: the message is not the API's: %w", err))
			return
		}
		select {
		case l.room <- struct{}{}:
			l.running.Go(func() { l.claim(a) })
		default: // nobody accepts; the node resets it in a while
		}
	}
}

// endOf is why the node tells no more.
func endOf(err error) error {
	if websocket.CloseStatus(err) >= 0 {
		return fmt.Errorf("listen: the node has ended it: %w", mcc.ErrClosed)
	}
	return fmt.Errorf("listen: %w: %w", mcc.ErrUnreachable, err)
}

// claim takes one channel over.
func (l *channelListener) claim(a arrival) {
	ctx, cancel := context.WithTimeout(l.ctx, claimTime)
	defer cancel()
	conn, err := l.client.dial(ctx, path("accepted", a.ID), nil)
	if err != nil {
		<-l.room // it has gone already, or the node has; the next read will tell
		return
	}
	l.arrived <- &channel{Conn: conn, peer: &identity.Peer{ID: a.Node, Label: a.Label}}
	if l.ctx.Err() != nil {
		l.sweep() // it may have slipped in behind the last sweep
	}
}

// Accept implements net.Listener. After Close it is a net.ErrClosed.
func (l *channelListener) Accept() (net.Conn, error) {
	select {
	case <-l.ctx.Done():
		return nil, l.reason()
	default:
	}
	select {
	case conn := <-l.arrived:
		<-l.room
		return conn, nil
	case <-l.ctx.Done():
		return nil, l.reason()
	}
}

func (l *channelListener) reason() error {
	if err := context.Cause(l.ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return mcc.ErrClosed // the client was closed
}

// Close implements net.Listener: the node stops listening, and what nobody has
// accepted is reset. It may be called more than once.
func (l *channelListener) Close() error {
	l.stop(mcc.ErrClosed)
	l.running.Wait()
	l.sweep()
	return nil
}

func (l *channelListener) sweep() {
	for {
		select {
		case conn := <-l.arrived:
			<-l.room
			conn.(*channel).Reset()
		default:
			return
		}
	}
}

// Addr implements net.Listener: it is that of the connection to the node.
func (l *channelListener) Addr() net.Addr { return l.addr }

// channel is one that came in, with who is at its other end.
type channel struct {
	*wsconn.Conn
	peer *identity.Peer
}

// WhoIs returns who is at the other end of a channel that was accepted from
// Listen: the id, proven to the node, and the label; nothing else is known here.
// It is false for any other connection.
func (c *Client) WhoIs(conn net.Conn) (*identity.Peer, bool) {
	if ch, ok := conn.(*channel); ok {
		return ch.peer, true
	}
	return nil, false
}

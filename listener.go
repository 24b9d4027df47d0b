package mcc

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/staex-mcc/mcc/forward"
	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/transport"
)

// acceptBacklog is how many connections may wait for Accept. More wait for room
// themselves, and are refused as busy after backlogWait.
const (
	acceptBacklog = 128
	backlogWait   = 5 * time.Second
)

// listener hands streams of one name to a program as a net.Listener.
type listener struct {
	addr    net.Addr
	room    chan struct{} // an element for each connection that waits, or is about to
	waiting chan net.Conn // never full: room is as large
	stopped chan struct{}
	once    sync.Once
	onClose func() error
}

func newListener(addr net.Addr, onClose func() error) *listener {
	return &listener{
		addr: addr, room: make(chan struct{}, acceptBacklog), waiting: make(chan net.Conn, acceptBacklog),
		stopped: make(chan struct{}), onClose: onClose,
	}
}

func transportAddr(n *Node) net.Addr { return transport.Addr(n.parts.transport.Local()) }

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case <-l.stopped:
		return nil, ErrClosed
	default:
	}
	select {
	case conn := <-l.waiting:
		<-l.room
		return conn, nil
	case <-l.stopped:
		return nil, ErrClosed
	}
}

// Close implements net.Listener: it is idempotent and resets connections that
// nobody has accepted.
func (l *listener) Close() error {
	l.stop()
	return l.onClose()
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return l.addr }

// stop ends Accept.
func (l *listener) stop() {
	l.once.Do(func() { close(l.stopped) })
	for {
		select {
		case conn := <-l.waiting:
			<-l.room
			reset(conn)
		default:
			return
		}
	}
}

// offer accepts a stream into the backlog, waiting for room; false says that
// there was none.
func (l *listener) offer(ctx context.Context, a arrival) bool {
	if !l.reserve(ctx) {
		return false
	}
	stream, err := a.Accept()
	if err != nil {
		<-l.room
		return true // the peer has gone
	}
	l.push(stream)
	return true
}

// reserve takes a place in the backlog.
func (l *listener) reserve(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, backlogWait)
	defer cancel()
	select {
	case <-l.stopped:
		return false
	default:
	}
	select {
	case l.room <- struct{}{}:
		return true
	case <-l.stopped:
		return false
	case <-ctx.Done():
		return false
	}
}

// push queues a connection that has a place.
func (l *listener) push(conn net.Conn) {
	l.waiting <- conn
	if l.isStopped() {
		l.stop() // it may have slipped in behind the last sweep
	}
}

func (l *listener) isStopped() bool {
	select {
	case <-l.stopped:
		return true
	default:
		return false
	}
}

// dialPipe connects the HTTP dispatch of a service to the program behind the
// listener. Who the peer is stays known.
func (l *listener) dialPipe(ctx context.Context, caller forward.Caller) (net.Conn, error) {
	id, err := identity.ParseID(caller.ID)
	if err != nil {
		return nil, err
	}
	if !l.reserve(ctx) {
		return nil, forward.ErrBusy
	}
	here, there := forward.Pipe()
	peer := &identity.Peer{ID: id, Label: caller.Label, Consortium: caller.Consortium}
	l.push(&selfStream{PipeConn: there, peer: peer, addr: l.addr})
	return here, nil
}

// reset ends a connection without waiting for anybody.
func reset(conn net.Conn) {
	if r, ok := conn.(interface{ Reset() }); ok {
		r.Reset()
		return
	}
	_ = conn.Close()
}

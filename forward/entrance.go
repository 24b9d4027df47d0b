package forward

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// Failures to accept are mostly a lack of file descriptors, which others must
// give back first.
const (
	minAcceptPause = 5 * time.Millisecond
	maxAcceptPause = time.Second
)

// entrance is one listener that leads to one service.
type entrance struct {
	owner  *Entrances
	ln     net.Listener
	info   Info
	active atomic.Int64

	slots   chan struct{} // one token per open connection
	closing chan struct{}
	closed  atomic.Bool
	done    chan struct{} // closed when accept has returned
}

func newEntrance(owner *Entrances, spec Spec, addr ListenAddress, ln net.Listener) *entrance {
	address := actual(addr, ln)
	return &entrance{
		owner: owner,
		ln:    ln,
		info: Info{
			ID:      entranceID(spec.Service, address),
			Service: spec.Service,
			Address: address,
			Choice:  spec.Choice,
		},
		slots:   make(chan struct{}, owner.cfg.MaxConns),
		closing: make(chan struct{}),
		done:    make(chan struct{}),
	}
}

// close stops accepting and waits until that has happened.
func (e *entrance) close() {
	if e.closed.CompareAndSwap(false, true) {
		close(e.closing)
		e.ln.Close()
	}
	<-e.done
}

// accept is the goroutine of the listener.
func (e *entrance) accept() {
	defer close(e.done)
	pause := minAcceptPause
	for e.takeSlot() {
		conn, err := e.ln.Accept()
		if err == nil {
			pause = minAcceptPause
			e.begin(conn)
			continue
		}
		e.freeSlot()
		if !e.rest(err, pause) {
			return
		}
		pause = min(2*pause, maxAcceptPause)
	}
}

// takeSlot waits until one more connection may be open, and reports false when
// the entrance closes.
func (e *entrance) takeSlot() bool {
	select {
	case e.slots <- struct{}{}:
		return true
	default:
	}
	e.owner.count.waits.Add(1)
	select {
	case e.slots <- struct{}{}:
		return true
	case <-e.closing:
		return false
	}
}

func (e *entrance) freeSlot() { <-e.slots }

// rest waits after a failure to accept, and reports false if there is no reason
// to try again.
func (e *entrance) rest(err error, pause time.Duration) bool {
	if e.closed.Load() || errors.Is(err, net.ErrClosed) {
		return false
	}
	e.owner.count.acceptErr.Add(1)
	if pause == minAcceptPause {
		e.owner.log.Warn("cannot accept connections, trying again",
			zap.String("service", e.info.Service), zap.String("addr", e.info.Address), zap.Error(err))
	}
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-e.closing:
		return false
	}
}

// begin starts serving a connection. It is counted as open before accept goes
// on, so that Drain, which waits for accept first, overlooks none.
func (e *entrance) begin(conn net.Conn) {
	if !e.owner.conns.add(conn) {
		reset(conn)
		e.freeSlot()
		return
	}
	e.owner.wg.Go(func() { e.serve(conn) })
}

// serve is the goroutine of one connection.
func (e *entrance) serve(conn net.Conn) {
	defer e.freeSlot()
	defer e.owner.conns.remove(conn)
	defer e.owner.count.opened()()
	e.active.Add(1)
	defer e.active.Add(-1)

	client, stream, err := e.connect(conn)
	if err != nil {
		// A reset is the only way to say that nobody is there: a plain end
		// would look like an empty answer.
		reset(conn)
		e.owner.count.dialFailures.Add(1)
		e.owner.log.Debug("service not reached", zap.String("service", e.info.Service),
			zap.String("addr", e.info.Address), zap.Error(err))
		return
	}
	e.carry(client, stream)
}

func (e *entrance) connect(conn net.Conn) (client, stream net.Conn, err error) {
	ctx, cancel := context.WithTimeout(e.owner.ctx, e.owner.cfg.DialTimeout)
	defer cancel()
	choice := e.info.Choice
	if choice.Policy == Sticky && choice.Key == "" {
		choice.Key = clientIP(conn.RemoteAddr().String())
	}
	early := watchEarly(conn, cancel)
	stream, err = e.owner.cfg.Dial(ctx, e.info.Service, choice)
	client = early.stop()
	if err == nil && stream == nil {
		err = errNoConn
	}
	return client, stream, err
}

var errNoConn = errors.New("dialer returned no connection")

func (e *entrance) carry(client, stream net.Conn) {
	conns := &e.owner.conns
	if !conns.add(stream) {
		reset(client)
		reset(stream)
		return
	}
	defer conns.remove(stream)
	j := joiner{
		idle:     e.owner.cfg.Idle,
		pace:     pace{e.owner.cfg.Stall, &e.owner.count.stalled},
		sent:     &e.owner.count.toService,
		received: &e.owner.count.fromService,
	}
	if _, err := j.join(client, stream); err != nil {
		e.owner.log.Debug("connection ended early", zap.String("service", e.info.Service), zap.Error(err))
	}
}

// clientIP is the IP address in a RemoteAddr, empty if there is none as on unix
// sockets.
func clientIP(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil || net.ParseIP(host) == nil {
		return ""
	}
	return host
}

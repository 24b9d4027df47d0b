package forward

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// BackendOptions configure a [Backend]. The zero value works.
type BackendOptions struct {
	// Service is the name under which the service is offered. A service that is
	// not http or https is asked with Host {Service}.mcc.
	Service string
	// Logger gets what happens; nil is silent.
	Logger *zap.Logger
	// Dial connects to the service; nil is net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// DialTimeout bounds one dial; zero is 5 s.
	DialTimeout time.Duration
	// MaxStreams bounds the streams served at a time, past which Connect is
	// ErrBusy; zero is 4096.
	MaxStreams int
	// MaxConns bounds the connections to the service that HTTP uses, past which
	// requests wait; zero is 1024.
	MaxConns int
	// TLS is for https services; nil checks certificates against the system's
	// roots. Its ServerName, if empty, is the service's host.
	TLS *tls.Config
	// Stall is how long a write to the service or to a stream may make no
	// progress before it is reset; zero is 2 min.
	Stall time.Duration
}

// probeAge is how long a service that could be dialled counts as reachable.
const probeAge = time.Second

// Backend serves the streams of one service where the service runs. All methods
// are safe for concurrent use.
type Backend struct {
	opt    BackendOptions
	log    *zap.Logger
	target Target // zero for a func backend
	dial   func(context.Context, Caller) (net.Conn, error)
	probe  bool

	count   counters
	conns   connSet  // streams, and raw connections to the service
	links   inFlight // links that are not over
	reached atomic.Int64

	mu     sync.Mutex
	http   *dispatcher // nil until needed
	closed bool
}

// NewBackend returns the backend of a service that listens at target.
func NewBackend(target Target, opt BackendOptions) *Backend {
	b := newBackend(opt)
	b.target, b.probe = target, true
	b.dial = b.dialTarget
	return b
}

// NewFuncBackend returns the backend of a service inside this program. The
// function returns one end of a connection, such as of a [Pipe], whose other
// end the service accepts. HTTP requests of one caller may share a connection,
// those of different callers never do.
func NewFuncBackend(dial func(context.Context, Caller) (net.Conn, error), opt BackendOptions) *Backend {
	b := newBackend(opt)
	b.dial = dial
	return b
}

func newBackend(opt BackendOptions) *Backend {
	opt.DialTimeout = cmp.Or(max(opt.DialTimeout, 0), 5*time.Second)
	opt.MaxStreams = cmp.Or(max(opt.MaxStreams, 0), 4096)
	opt.MaxConns = cmp.Or(max(opt.MaxConns, 0), 1024)
	opt.Stall = cmp.Or(max(opt.Stall, 0), defaultStall)
	if opt.Dial == nil {
		opt.Dial = new(net.Dialer).DialContext
	}
	b := &Backend{opt: opt, log: orSilent(opt.Logger)}
	b.links.max = opt.MaxStreams
	return b
}

func (b *Backend) dialTarget(ctx context.Context, _ Caller) (net.Conn, error) {
	network, address := b.target.Network()
	return b.opt.Dial(ctx, network, address)
}

// reach dials the service, within the timeout.
func (b *Backend) reach(ctx context.Context, caller Caller) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, b.opt.DialTimeout)
	defer cancel()
	conn, err := b.dial(ctx, caller)
	if err == nil && conn == nil {
		err = errNoConn
	}
	if err != nil {
		b.count.dialFailures.Add(1)
		return nil, &unreachedError{err}
	}
	b.reached.Store(time.Now().UnixNano())
	return conn, nil
}

// unreachedError is a failed dial to the service.
type unreachedError struct{ err error }

func (e *unreachedError) Error() string { return "reach the service: " + e.err.Error() }
func (e *unreachedError) Unwrap() error { return e.err }

// Connect prepares to serve a stream before it is accepted, so that the caller
// can be sent to another provider. It fails if the service cannot be reached,
// with ErrBusy at the limit and ErrClosed after Drain or Close.
//
// Exactly one of the Link's Serve and Close must be called. With http the
// stream is treated as HTTP/1.1; with an http or https target it always is.
func (b *Backend) Connect(ctx context.Context, caller Caller, http bool) (*Link, error) {
	if err := b.links.enter(); err != nil {
		b.count.refused.Add(1)
		return nil, fmt.Errorf("service %q: %w", b.opt.Service, err)
	}
	l := &Link{b: b, caller: caller, http: http || b.target.HTTP()}
	if err := l.reach(ctx); err != nil {
		b.links.leave()
		return nil, err
	}
	return l, nil
}

// Serve is Connect and the Link's Serve in one. It always closes conn.
func (b *Backend) Serve(ctx context.Context, conn net.Conn, caller Caller, http bool) error {
	l, err := b.Connect(ctx, caller, http)
	if err != nil {
		reset(conn)
		return err
	}
	return l.Serve(ctx, conn)
}

// pace watches the writes of the backend.
func (b *Backend) pace() pace { return pace{b.opt.Stall, &b.count.stalled} }

// Stats returns what the backend counted.
func (b *Backend) Stats() Stats { return b.count.stats() }

// Drain takes no more streams, ends HTTP streams as they become idle, and waits
// until all have ended or ctx has; then it closes what is left. It returns
// ctx's error if streams were cut.
func (b *Backend) Drain(ctx context.Context) error {
	b.links.close()
	if d := b.shut(); d != nil {
		d.drain(ctx)
	}
	err := b.links.wait(ctx)
	return errors.Join(err, b.Close())
}

// Close ends all streams and waits until they are over. It is idempotent.
func (b *Backend) Close() error {
	b.links.close()
	d := b.shut()
	b.conns.closeAll()
	if d != nil {
		d.close()
	}
	return b.links.wait(context.Background())
}

// shut keeps a dispatcher from being made and returns the one there is.
func (b *Backend) shut() *dispatcher {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return b.http
}

func (b *Backend) dispatcher() (*dispatcher, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.http == nil && b.closed {
		return nil, ErrClosed
	}
	if b.http == nil {
		b.http = newDispatcher(b)
	}
	return b.http, nil
}

// Link is one stream's way to the service.
type Link struct {
	b      *Backend
	caller Caller
	http   bool
	up     net.Conn // nil with http
}

// reach makes sure that the service can be reached.
func (l *Link) reach(ctx context.Context) error {
	if l.http && (!l.b.probe || time.Since(time.Unix(0, l.b.reached.Load())) < probeAge) {
		return nil
	}
	conn, err := l.b.reach(ctx, l.caller)
	if err != nil {
		return err
	}
	if l.http {
		// Requests have connections of their own, which are kept and reused.
		return conn.Close()
	}
	l.up = conn
	return nil
}

// Close gives the link up without serving.
func (l *Link) Close() error {
	defer l.b.links.leave()
	if l.up == nil {
		return nil
	}
	return l.up.Close()
}

// Serve carries conn to the service and blocks until it has ended; when ctx
// ends before, both ends are reset. It always closes conn.
func (l *Link) Serve(ctx context.Context, conn net.Conn) error {
	defer l.b.links.leave()
	defer l.b.count.opened()()
	if l.http {
		return l.serveHTTP(ctx, conn)
	}
	return l.serveRaw(ctx, conn)
}

func (l *Link) serveRaw(ctx context.Context, conn net.Conn) error {
	for _, c := range []net.Conn{conn, l.up} {
		if !l.b.conns.add(c) {
			reset(conn)
			reset(l.up)
			return ErrClosed
		}
		defer l.b.conns.remove(c)
	}
	stop := context.AfterFunc(ctx, func() {
		reset(conn)
		reset(l.up)
	})
	defer stop()
	_, err := joiner{
		pace: l.b.pace(), sent: &l.b.count.toService, received: &l.b.count.fromService,
	}.join(conn, l.up)
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (l *Link) serveHTTP(ctx context.Context, conn net.Conn) error {
	d, err := l.b.dispatcher()
	if err != nil {
		reset(conn)
		return err
	}
	return d.serve(ctx, conn, l.caller)
}

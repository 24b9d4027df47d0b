package forward

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	// streamIdle is how long a stream may wait for its next request. It is
	// longer than gateways keep streams, so that they are the ones to end them.
	streamIdle = 3 * time.Minute
	// headerTimeout bounds how long the head of a request may take.
	headerTimeout = 30 * time.Second
	// connIdle is how long a connection to the service is kept. Services end
	// idle ones after 2 s and more, and a request that crosses with that end is
	// lost; connecting anew on the same machine costs little.
	connIdle = time.Second
)

// dispatcher speaks HTTP/1.1 on streams and passes each request to the service.
// It owns the goroutine of its server, which has one more for each stream.
type dispatcher struct {
	b         *Backend
	server    *http.Server
	listener  *streamListener
	transport *http.Transport
	proxy     *httputil.ReverseProxy
	requests  inFlight
	services  connSet         // connections to the service
	ctx       context.Context // of all requests
	stop      context.CancelFunc
	done      chan struct{} // closed when the server has ended
}

func newDispatcher(b *Backend) *dispatcher {
	d := &dispatcher{
		b: b,
		listener: &streamListener{
			streams: make(chan net.Conn), closed: make(chan struct{}),
		},
		requests: inFlight{max: b.opt.MaxStreams},
		done:     make(chan struct{}),
	}
	d.ctx, d.stop = context.WithCancel(context.Background())
	d.transport = &http.Transport{
		DialContext:            d.dial,
		TLSClientConfig:        b.opt.TLS,
		TLSHandshakeTimeout:    b.opt.DialTimeout,
		DisableCompression:     true,
		MaxIdleConns:           256,
		MaxIdleConnsPerHost:    64,
		MaxConnsPerHost:        b.opt.MaxConns,
		IdleConnTimeout:        connIdle,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: maxHeaderBytes,
	}
	d.proxy = newProxy(d.transport, d.rewrite, d.fail, b.log)
	d.server = &http.Server{
		Handler:                      d,
		ReadHeaderTimeout:            headerTimeout,
		IdleTimeout:                  streamIdle,
		MaxHeaderBytes:               maxHeaderBytes,
		DisableGeneralOptionsHandler: true,
		BaseContext:                  func(net.Listener) context.Context { return d.ctx },
		ConnContext:                  withCaller,
	}
	d.server.ErrorLog, _ = zap.NewStdLogAt(b.log, zap.DebugLevel) // fails for unknown levels only
	go d.run()
	return d
}

// run is the goroutine that takes streams.
func (d *dispatcher) run() {
	defer close(d.done)
	_ = d.server.Serve(d.listener) // always an error once it is closed
}

// serve blocks until the stream has ended.
func (d *dispatcher) serve(ctx context.Context, conn net.Conn, caller Caller) error {
	over := make(chan struct{})
	held := &heldConn{
		Conn: d.b.pace().watch(conn), closed: func() { close(over) },
		read: &d.b.count.toService, written: &d.b.count.fromService,
	}
	if !d.b.conns.add(held) {
		reset(conn)
		return ErrClosed
	}
	defer d.b.conns.remove(held)
	select {
	case d.listener.streams <- &callerConn{heldConn: held, caller: caller}:
	case <-d.listener.closed:
		reset(conn)
		return ErrClosed
	case <-ctx.Done():
		reset(conn)
		return context.Cause(ctx)
	}
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		held.Reset()
		return context.Cause(ctx)
	}
}

func (d *dispatcher) drain(ctx context.Context) {
	_ = d.server.Shutdown(ctx) // what is left when ctx ends is closed by close
}

func (d *dispatcher) close() {
	d.requests.close()
	_ = d.server.Close()
	// The server does not end the context of a request whose body is still
	// being read, nor would that end a write to a service that does not read.
	d.stop()
	d.services.closeAll()
	d.listener.Close()
	<-d.done
	_ = d.requests.wait(context.Background())
	d.transport.CloseIdleConnections()
}

// callerConn tells the server who is at the other end of a stream.
type callerConn struct {
	*heldConn
	caller Caller
}

type callerKey struct{}

func withCaller(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, callerKey{}, conn.(*callerConn).caller)
}

func callerOf(ctx context.Context) Caller {
	c, _ := ctx.Value(callerKey{}).(Caller)
	return c
}

// ServeHTTP answers one request of a stream.
func (d *dispatcher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.b.count.requests.Add(1)
	if err := d.requests.enter(); err != nil {
		d.b.count.refused.Add(1)
		writeProblem(w, http.StatusServiceUnavailable, "busy", "the service takes no more requests")
		return
	}
	defer d.requests.leave()
	if !answerable(w, r, RawPath(r)) {
		return
	}
	serveProxy(d.proxy, w, r.WithContext(withBodyState(r.Context())), nil)
}

// answerable answers requests that no service can be asked.
func answerable(w http.ResponseWriter, r *http.Request, path string) bool {
	switch {
	case r.Method == http.MethodConnect:
		endConn(w, r)
		writeProblem(w, http.StatusMethodNotAllowed, "not-allowed", "CONNECT leads to services by host name only")
	case !goodPath(r.Method, path):
		writeProblem(w, http.StatusBadRequest, "malformed", "the path does not begin with a slash")
	default:
		return true
	}
	return false
}

func (d *dispatcher) rewrite(pr *httputil.ProxyRequest) {
	caller := callerOf(pr.In.Context())
	pr.Out.URL.Scheme, pr.Out.URL.Host = "http", d.poolKey(caller)
	pr.Out.Host = d.b.opt.Service + ".mcc"
	base := ""
	if t := d.b.target; t.HTTP() {
		pr.Out.URL.Scheme, pr.Out.Host, base = t.Scheme, t.Host, t.Path
	}
	setTarget(pr.Out.URL, base, RawPath(pr.In), pr.In.URL)
	keepForwarded(pr.Out.Header, pr.In.Header)
	setPeerHeaders(pr.Out.Header, caller)
}

// poolKey is the host by which the transport tells which connections can be
// reused for a request. A service inside this program learns its caller from
// the connection.
func (d *dispatcher) poolKey(caller Caller) string {
	switch {
	case d.b.target.HTTP():
		return d.b.target.Host
	case d.b.probe:
		return "service"
	}
	sum := sha256.Sum256([]byte(caller.ID + "\x00" + caller.Label + "\x00" + caller.Consortium))
	return hex.EncodeToString(sum[:16])
}

func (d *dispatcher) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	conn, err := d.b.reach(ctx, callerOf(ctx))
	if err != nil {
		return nil, err
	}
	held := &heldConn{Conn: d.b.pace().watch(conn)}
	held.closed = func() { d.services.remove(held) }
	if !d.services.add(held) {
		held.Reset()
		return nil, ErrClosed
	}
	return held, nil
}

// fail answers a request that the service did not. The reason stays here: where
// the service listens is not the caller's business.
func (d *dispatcher) fail(w http.ResponseWriter, r *http.Request, err error) {
	if answerBadBody(w, r) {
		return
	}
	d.b.log.Debug("service did not answer", zap.String("service", d.b.opt.Service), zap.Error(err))
	detail := "the service broke off without a valid answer"
	if _, ok := errors.AsType[*unreachedError](err); ok {
		detail = "the service could not be reached from its node"
	}
	writeProblem(w, http.StatusBadGateway, "unreachable", detail)
}

// streamListener hands streams to the server.
type streamListener struct {
	streams chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func (l *streamListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.streams:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *streamListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *streamListener) Addr() net.Addr { return pipeAddr{} }

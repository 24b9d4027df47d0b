package forward

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"time"

	"go.uber.org/zap"
)

// GatewayConfig configures a [Gateway].
type GatewayConfig struct {
	// Dial reaches the services; required.
	Dial Dialer
	// Logger gets what happens; nil is silent.
	Logger *zap.Logger
	// Classify gives the HTTP status and the error code (what follows
	// "urn:mcc:error:") for an error of Dial, or a zero status if it does not
	// know it. Then, as with a nil Classify, it is 504 "deadline" for a
	// context.DeadlineExceeded and 502 "unreachable" for all others.
	Classify func(error) (status int, code string)
	// DialTimeout bounds how long a request waits for a provider; zero is 30 s.
	DialTimeout time.Duration
	// MaxRequests bounds the requests and tunnels at a time, past which they
	// are answered with 503; zero is 4096.
	MaxRequests int
	// PoolAge is how long a stream serves further requests before a new one is
	// made, so that a better provider gets its chance; zero is 30 s.
	PoolAge time.Duration
	// Stall is how long a write to a client or a provider may make no progress
	// before it is reset; zero is 2 min.
	Stall time.Duration
}

// Gateway is the HTTP entrance on the caller's node. It keeps streams for
// further requests, by service and choice, unless the policy chooses anew each
// time. A client's connection may carry requests to any mix of services.
//
// All methods are safe for concurrent use.
type Gateway struct {
	cfg      GatewayConfig
	log      *zap.Logger
	count    counters
	requests inFlight
	pool     *streamPool
	proxy    *httputil.ReverseProxy
}

// Call says which service a request is for.
type Call struct {
	Service string
	// RawPath is the path to ask for: as the client sent it, without the prefix
	// that led here and without the query. Empty is "/".
	RawPath string
	// Prefix is what was cut off the front of the path, for the service to know
	// its place; may be empty.
	Prefix string
	// Choice narrows the providers. Its HTTP is set by the gateway.
	Choice Choice
}

// NewGateway returns a Gateway. It panics without a Dialer.
func NewGateway(cfg GatewayConfig) *Gateway {
	if cfg.Dial == nil {
		panic("BUG: forward.GatewayConfig without Dial")
	}
	cfg.DialTimeout = cmp.Or(max(cfg.DialTimeout, 0), 30*time.Second)
	cfg.MaxRequests = cmp.Or(max(cfg.MaxRequests, 0), 4096)
	cfg.PoolAge = cmp.Or(max(cfg.PoolAge, 0), 30*time.Second)
	cfg.Stall = cmp.Or(max(cfg.Stall, 0), defaultStall)
	g := &Gateway{cfg: cfg, log: orSilent(cfg.Logger), requests: inFlight{max: cfg.MaxRequests}}
	g.pool = newStreamPool(cfg, &g.count)
	g.proxy = newProxy(g.pool, g.rewrite, g.fail, g.log)
	return g
}

// ServeService passes a request on to a provider of the service and its answer
// back, both as they come. Errors of its own are RFC 9457 problems. It returns
// when the answer is complete, or when an upgraded connection has ended, and
// like httputil.ReverseProxy panics with http.ErrAbortHandler, which net/http
// expects, when an answer breaks off.
func (g *Gateway) ServeService(w http.ResponseWriter, r *http.Request, call Call) {
	g.count.requests.Add(1)
	if !g.enter(w) {
		return
	}
	defer g.requests.leave()
	client, done := g.watchClient(w)
	defer done()
	if !answerable(w, r, call.RawPath) {
		return
	}
	call.Choice = stickTo(r, call.Choice)
	call.Choice.HTTP = true
	ctx := withCall(withBodyState(r.Context()), call)
	serveProxy(g.proxy, w, r.WithContext(ctx), client)
}

func (g *Gateway) enter(w http.ResponseWriter) bool {
	err := g.requests.enter()
	switch {
	case err == nil:
		return true
	case errors.Is(err, ErrBusy):
		g.count.refused.Add(1)
		writeProblem(w, http.StatusServiceUnavailable, "busy", "too many requests at a time")
	default:
		writeProblem(w, http.StatusServiceUnavailable, "closed", "the node is stopping")
	}
	return false
}

// watchClient makes a client that takes nothing lose its connection, and Close
// interrupt what waits for it, until done is called.
func (g *Gateway) watchClient(w http.ResponseWriter) (client *clientPace, done func()) {
	client = &clientPace{pace: g.pool.pace(), rc: http.NewResponseController(w)}
	var taken net.Conn
	client.hijacked = func(conn net.Conn) net.Conn {
		taken = client.watch(conn)
		if !g.pool.conns.add(taken) {
			reset(taken)
		}
		return taken
	}
	stop := context.AfterFunc(g.pool.ctx, client.interrupt)
	return client, func() {
		stop()
		if taken != nil {
			g.pool.conns.remove(taken)
			return
		}
		client.end()
	}
}

func stickTo(r *http.Request, c Choice) Choice {
	if c.Policy == Sticky && c.Key == "" {
		c.Key = stickyKey(r)
	}
	return c
}

func (g *Gateway) rewrite(pr *httputil.ProxyRequest) {
	call := callOf(pr.In.Context())
	pr.Out.URL.Scheme, pr.Out.URL.Host = "http", call.poolKey()
	pr.Out.Host = call.Service + ".mcc"
	setTarget(pr.Out.URL, "", call.RawPath, pr.In.URL)
	setForwarded(pr.Out, pr.In, call.Prefix)
	removePeerHeaders(pr.Out.Header)
	for _, name := range []string{HeaderPolicy, HeaderNode, HeaderTag} {
		pr.Out.Header.Del(name)
	}
}

// fail answers a request that no provider did.
func (g *Gateway) fail(w http.ResponseWriter, r *http.Request, err error) {
	if answerBadBody(w, r) {
		return
	}
	call := callOf(r.Context())
	g.log.Debug("request failed", zap.String("service", call.Service), zap.Error(err))
	g.answerError(w, err)
}

func (g *Gateway) answerError(w http.ResponseWriter, err error) {
	status, code := 0, ""
	if g.cfg.Classify != nil {
		status, code = g.cfg.Classify(err)
	}
	switch {
	case status != 0:
	case errors.Is(err, ErrClosed), errors.Is(err, context.Canceled):
		// The client has gone, or this node is about to.
		status, code = http.StatusServiceUnavailable, "closed"
	case errors.Is(err, context.DeadlineExceeded):
		status, code = http.StatusGatewayTimeout, "deadline"
	default:
		status, code = http.StatusBadGateway, "unreachable"
	}
	writeProblem(w, status, code, err.Error())
}

// Stats returns what the gateway counted.
func (g *Gateway) Stats() Stats { return g.count.stats() }

// Drain takes no more requests and waits until those under way have ended,
// upgraded connections and tunnels included, or ctx has; then it closes what is
// left. It returns ctx's error if anything was cut.
func (g *Gateway) Drain(ctx context.Context) error {
	g.requests.close()
	err := g.requests.wait(ctx)
	return errors.Join(err, g.Close())
}

// Close ends all requests and streams and waits for them. It is idempotent.
func (g *Gateway) Close() error {
	g.requests.close()
	g.pool.close()
	_ = g.requests.wait(context.Background())
	g.pool.closeIdle()
	return nil
}

type callKey struct{}

// callState is a Call with the context of its request.
type callState struct {
	Call
	ctx context.Context
}

func withCall(ctx context.Context, call Call) context.Context {
	return context.WithValue(ctx, callKey{}, &callState{Call: call, ctx: ctx})
}

// callOf panics for a request that did not come through ServeService.
func callOf(ctx context.Context) *callState { return ctx.Value(callKey{}).(*callState) }

package forward

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// gatewayIdle is how long a stream without requests is kept.
const gatewayIdle = 90 * time.Second

// streamPool is the http.RoundTripper that sends requests over streams.
type streamPool struct {
	cfg   GatewayConfig
	count *counters
	conns connSet
	ctx   context.Context // ends the dials
	stop  context.CancelFunc
	// single has a stream for each request.
	single *http.Transport

	mu       sync.Mutex
	kept     *http.Transport // keeps streams
	previous *http.Transport // what kept was before
	born     time.Time       // of kept
}

func newStreamPool(cfg GatewayConfig, count *counters) *streamPool {
	p := &streamPool{cfg: cfg, count: count, born: time.Now()}
	p.ctx, p.stop = context.WithCancel(context.Background())
	p.kept, p.single = p.newTransport(), p.newTransport()
	p.single.DisableKeepAlives = true
	return p
}

func (p *streamPool) newTransport() *http.Transport {
	return &http.Transport{
		DialContext:            p.dial,
		DisableCompression:     true,
		MaxIdleConns:           256,
		MaxIdleConnsPerHost:    64,
		IdleConnTimeout:        gatewayIdle,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: maxHeaderBytes,
	}
}

// RoundTrip sends one request. Its context must have a call.
func (p *streamPool) RoundTrip(r *http.Request) (*http.Response, error) {
	if everyTime(callOf(r.Context()).Choice.Policy) {
		return p.single.RoundTrip(r)
	}
	return p.transport(time.Now()).RoundTrip(r)
}

// transport returns the one that keeps streams. http.Transport cannot end a
// stream for its age, so the whole is replaced: the old one lets go of its
// streams as soon as they are idle.
func (p *streamPool) transport(now time.Time) *http.Transport {
	p.mu.Lock()
	if now.Sub(p.born) < p.cfg.PoolAge {
		defer p.mu.Unlock()
		return p.kept
	}
	older := p.previous
	p.previous, p.kept, p.born = p.kept, p.newTransport(), now
	kept, old := p.kept, p.previous
	p.mu.Unlock()
	old.CloseIdleConnections()
	if older != nil {
		// A request that had taken it just before it was replaced may have left
		// a stream in it.
		older.CloseIdleConnections()
	}
	return kept
}

// poolKey is the host by which transports tell which streams can be reused for
// a call.
func (c *Call) poolKey() string {
	h := sha256.New()
	fields := append([]string{c.Service, c.Choice.Policy, c.Choice.Node, c.Choice.Tag, c.Choice.Key}, c.Choice.From...)
	for _, f := range fields {
		h.Write([]byte(strconv.Quote(f)))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// dial opens a stream for the request whose context it gets. http.Transport
// goes on dialling for a request that is over; a provider is not bothered with
// that.
func (p *streamPool) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	call := callOf(ctx)
	return p.open(ctx, call.ctx, call.Call)
}

func (p *streamPool) open(ctx, request context.Context, call Call) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.DialTimeout)
	defer cancel()
	defer context.AfterFunc(request, cancel)()
	defer context.AfterFunc(p.ctx, cancel)()
	conn, err := p.cfg.Dial(ctx, call.Service, call.Choice)
	if err == nil && conn == nil {
		err = errNoConn
	}
	if err != nil {
		p.count.dialFailures.Add(1)
		return nil, err
	}
	return p.hold(conn)
}

// hold makes the connection one of the pool's until it is closed.
func (p *streamPool) hold(conn net.Conn) (net.Conn, error) {
	closed := p.count.opened()
	held := &heldConn{Conn: p.pace().watch(conn), read: &p.count.fromService, written: &p.count.toService}
	held.closed = func() {
		p.conns.remove(held)
		closed()
	}
	if !p.conns.add(held) {
		held.Reset()
		return nil, ErrClosed
	}
	return held, nil
}

// pace watches the writes to streams and clients.
func (p *streamPool) pace() pace { return pace{p.cfg.Stall, &p.count.stalled} }

// close cuts every stream and dial.
func (p *streamPool) close() {
	p.stop()
	p.conns.closeAll()
}

// closeIdle lets the transports forget what close has cut.
func (p *streamPool) closeIdle() {
	p.mu.Lock()
	all := []*http.Transport{p.single, p.kept, p.previous}
	p.mu.Unlock()
	for _, t := range all {
		if t != nil {
			t.CloseIdleConnections()
		}
	}
}

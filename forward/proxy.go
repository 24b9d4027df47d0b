package forward

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"
)

// maxHeaderBytes bounds the headers of requests and responses.
const maxHeaderBytes = 256 << 10

// newProxy returns a proxy that passes everything on at once. What goes wrong
// before an answer began is given to fail.
func newProxy(rt http.RoundTripper, rewrite func(*httputil.ProxyRequest), fail func(http.ResponseWriter, *http.Request, error), log *zap.Logger) *httputil.ReverseProxy {
	p := &httputil.ReverseProxy{
		Transport: rt,
		Rewrite: func(pr *httputil.ProxyRequest) {
			rewrite(pr)
			refuseUpgrade(pr.Out.Header)
			passTrailers(pr)
		},
		FlushInterval: -1,
		BufferPool:    proxyBuffers{},
		ErrorHandler:  fail,
	}
	p.ErrorLog, _ = zap.NewStdLogAt(log, zap.DebugLevel) // fails for unknown levels only
	return p
}

// serveProxy runs p for one request. The request's context is that of the
// client's connection, so a client that goes ends all.
//
// r is changed and must be the caller's own. A nil pace does not watch.
func serveProxy(p *httputil.ReverseProxy, w http.ResponseWriter, r *http.Request, pace *clientPace) {
	// Without it a response would wait for the end of the request's body. Where
	// the server cannot do that it is lost. With it the server leaves what
	// remains of the body, and what follows it, to us.
	_ = http.NewResponseController(w).EnableFullDuplex()
	body := watchBody(r)
	p.ServeHTTP(&replyWriter{
		ResponseWriter: w, preset: w.Header().Clone(), request: r, body: body, pace: pace,
	}, r)
	if body.isOpen() {
		endConnAfter(w)
	}
}

// proxyBuffers are the large buffers of joins.
type proxyBuffers struct{}

func (proxyBuffers) Get() []byte { return largeBuffers.Get().(*[largeBuffer]byte)[:] }

func (proxyBuffers) Put(b []byte) { largeBuffers.Put((*[largeBuffer]byte)(b)) }

// replyWriter mends what ReverseProxy and the server do to answers on the way.
type replyWriter struct {
	http.ResponseWriter
	// preset are the headers of those who called us, such as a Content-Security-
	// Policy. ReverseProxy clears them after an informational response, with
	// which a service could shake them off.
	preset  http.Header
	cleared bool
	request *http.Request
	body    *clientBody // nil if there is none
	pace    *clientPace // nil if the server's connection is watched itself
}

func (w *replyWriter) WriteHeader(status int) {
	h := w.Header()
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		w.cleared = true
	} else if w.cleared {
		w.cleared = false
		for name, values := range w.preset {
			h[name] = append(slices.Clone(values), h[name]...)
		}
	}
	if _, ok := h["Content-Type"]; !ok && !(status >= 100 && status < 200) {
		// Present but empty: the server must not guess one, such as HTML.
		h["Content-Type"] = nil
	}
	if status >= 400 && w.body.isOpen() {
		// No more of the body will be read, if it can be at all.
		endConn(w, w.request)
	}
	if w.pace != nil {
		w.pace.allow()
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *replyWriter) Write(p []byte) (int, error) {
	if w.pace == nil {
		return w.ResponseWriter.Write(p)
	}
	return w.pace.write(w.ResponseWriter, p)
}

// FlushError is what http.ResponseController looks for.
func (w *replyWriter) FlushError() error {
	if w.pace == nil {
		return http.NewResponseController(w.ResponseWriter).Flush()
	}
	return w.pace.flush()
}

// Unwrap lets http.ResponseController find what the server's writer can do.
func (w *replyWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Hijack puts back what the server has read ahead, since ReverseProxy reads
// from the connection only.
func (w *replyWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	if w.pace != nil {
		conn = w.pace.hijacked(conn)
		rw.Writer = bufio.NewWriter(conn)
	}
	conn, err = unread(conn, rw.Reader)
	return conn, rw, err
}

// unread returns a connection that yields what r has buffered first.
func unread(conn net.Conn, r *bufio.Reader) (net.Conn, error) {
	n := r.Buffered()
	if n == 0 {
		return conn, nil
	}
	data := make([]byte, n)
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, err
	}
	return &replayConn{Conn: conn, data: data}, nil
}

// passTrailers makes the trailers that a client announced follow the body,
// without those that only this system may set. ReverseProxy passes trailers of
// responses only.
func passTrailers(pr *httputil.ProxyRequest) {
	pr.Out.Trailer = nil
	if pr.Out.Body == nil {
		return
	}
	body := &requestBody{ReadCloser: pr.Out.Body, in: pr.In, state: bodyStateOf(pr.In.Context())}
	for name := range pr.In.Trailer {
		if !isPeerHeader(name) {
			if body.out == nil {
				body.out = make(http.Header)
			}
			body.out[name] = nil
		}
	}
	pr.Out.Trailer = body.out
	pr.Out.Body = body
}

// requestBody fills in the trailers at its end, before the transport sends
// them, and remembers why it broke off.
type requestBody struct {
	io.ReadCloser
	in    *http.Request
	out   http.Header
	state *bodyState
}

func (b *requestBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		for name := range b.out {
			b.out[name] = b.in.Trailer[name]
		}
	default:
		b.state.err.CompareAndSwap(nil, &err)
	}
	return n, err
}

// bodyState is why a request's body could not be read; it is set by the
// transport's goroutine.
type bodyState struct{ err atomic.Pointer[error] }

type bodyKey struct{}

func withBodyState(ctx context.Context) context.Context {
	return context.WithValue(ctx, bodyKey{}, new(bodyState))
}

func bodyStateOf(ctx context.Context) *bodyState {
	if s, ok := ctx.Value(bodyKey{}).(*bodyState); ok {
		return s
	}
	return new(bodyState)
}

// answerBadBody answers when it was the client's body that failed a request.
func answerBadBody(w http.ResponseWriter, r *http.Request) bool {
	p := bodyStateOf(r.Context()).err.Load()
	if p == nil {
		return false
	}
	if _, ok := errors.AsType[*http.MaxBytesError](*p); ok {
		writeProblem(w, http.StatusRequestEntityTooLarge, "too-large", "the request's body is too large")
		return true
	}
	writeProblem(w, http.StatusBadRequest, "malformed", "the request's body could not be read")
	return true
}

// inFlight counts requests, so that an owner can wait for them.
type inFlight struct {
	mu     sync.Mutex
	n, max int
	closed bool
	idle   chan struct{} // closed when the last ends; nil if nobody waits
}

// enter is nil, ErrBusy at the limit, or ErrClosed.
func (f *inFlight) enter() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closed:
		return ErrClosed
	case f.n >= f.max:
		return ErrBusy
	}
	f.n++
	return nil
}

func (f *inFlight) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.n--; f.n == 0 && f.idle != nil {
		close(f.idle)
		f.idle = nil
	}
}

func (f *inFlight) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
}

// wait blocks until nobody is in or ctx ends.
func (f *inFlight) wait(ctx context.Context) error {
	f.mu.Lock()
	if f.n == 0 {
		f.mu.Unlock()
		return nil
	}
	if f.idle == nil {
		f.idle = make(chan struct{})
	}
	idle := f.idle
	f.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	mcc "github.com/staex-mcc/mcc"
	"github.com/staex-mcc/mcc/forward"
	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/rest/internal/wsconn"
)

// channelNode is a fake node whose programs listen in this test: what is dialed
// comes out of far.
type channelNode struct {
	*fakeNode
	far       chan net.Conn
	mu        sync.Mutex
	dials     []string
	listeners map[string]*pipeListener
}

func newChannelNode() *channelNode {
	return &channelNode{fakeNode: newFakeNode(), far: make(chan net.Conn, 16), listeners: map[string]*pipeListener{}}
}

func (n *channelNode) DialNode(_ context.Context, node, protocol string) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dials = append(n.dials, node+" "+protocol)
	switch node {
	case "nobody":
		return nil, fmt.Errorf("node %q: %w", node, mcc.ErrNotFound)
	case "twins":
		return nil, fmt.Errorf("label %q: %w", node, mcc.ErrAmbiguous)
	case "away":
		return nil, fmt.Errorf("node %q: %w", node, mcc.ErrUnreachable)
	}
	near, far := forward.Pipe()
	n.far <- far
	return near, nil
}

func (n *channelNode) Listen(_ context.Context, protocol string) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if protocol == "" {
		return nil, mcc.ErrInvalid
	}
	if n.listeners[protocol] != nil {
		return nil, fmt.Errorf("channel %q: %w", protocol, mcc.ErrExists)
	}
	ln := &pipeListener{waiting: make(chan net.Conn, 256), closed: make(chan struct{})}
	ln.onClose = func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.listeners, protocol)
	}
	n.listeners[protocol] = ln
	return ln, nil
}

func (n *channelNode) listener(protocol string) *pipeListener {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.listeners[protocol]
}

// pipeListener accepts what arrive makes.
type pipeListener struct {
	waiting chan net.Conn
	closed  chan struct{}
	once    sync.Once
	onClose func()
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.waiting:
		return c, nil
	case <-l.closed:
		return nil, mcc.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed); l.onClose() })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return nil }

// arrive dials the listener as node fakeID(7), called "web".
func (l *pipeListener) arrive() *forward.PipeConn {
	here, there := forward.Pipe()
	l.waiting <- knownConn{there}
	return here
}

type knownConn struct{ *forward.PipeConn }

func (knownConn) Peer() *identity.Peer { return &identity.Peer{ID: fakeID(7), Label: "web"} }

// socketClient dials WebSockets of a server; its connections close with the test.
func socketClient(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func openSocket(t *testing.T, url string, headers ...string) *wsconn.Conn {
	t.Helper()
	conn, err := wsconn.Dial(t.Context(), socketClient(t), url, headerOf(headers))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Reset)
	return conn
}

func headerOf(lines []string) http.Header {
	hd := http.Header{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		hd.Add(name, value)
	}
	return hd
}

// refusal dials a WebSocket that must be refused with a problem.
func refusal(t *testing.T, url string, headers ...string) (status int, p Problem) {
	t.Helper()
	_, err := wsconn.Dial(t.Context(), socketClient(t), url, headerOf(headers))
	refused, ok := errors.AsType[*wsconn.RefusedError](err)
	if !ok {
		t.Fatalf("%s: error %v, want a refusal", url, err)
	}
	if err := json.Unmarshal(refused.Body, &p); err != nil {
		t.Fatalf("%s: no problem: %v: %s", url, err, refused.Body)
	}
	return refused.Status, p
}

func TestChannelHalfClose(t *testing.T) {
	node := newChannelNode()
	server := newServer(t, newHandler(t, node, Options{}))
	conn := openSocket(t, server.URL+"/api/v1/channels/gate/a%2Fb%20c")
	far := <-node.far
	if node.dials[0] != "gate a/b c" {
		t.Errorf("dialed %q", node.dials[0])
	}
	sent := bytes.Repeat([]byte("0123456789"), 50_000)
	go func() {
		_, _ = conn.Write(sent)
		_ = conn.CloseWrite()
	}()
	got, err := io.ReadAll(far)
	if err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("%d bytes and %v, want %d", len(got), err, len(sent))
	}
	go func() {
		_, _ = far.Write(sent)
		_ = far.(*forward.PipeConn).CloseWrite()
	}()
	if got, err = io.ReadAll(conn); err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("back: %d bytes and %v, want %d", len(got), err, len(sent))
	}
}

func TestChannelReset(t *testing.T) {
	node := newChannelNode()
	server := newServer(t, newHandler(t, node, Options{}))
	conn := openSocket(t, server.URL+"/api/v1/channels/gate/x")
	(<-node.far).(*forward.PipeConn).Reset()
	if _, err := io.ReadAll(conn); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a reset of the stream reads as %v", err)
	}
	conn = openSocket(t, server.URL+"/api/v1/channels/gate/x")
	far := <-node.far
	conn.Reset()
	if _, err := io.ReadAll(far); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a reset of the socket reads as %v", err)
	}
}

// A client that does not read holds the sender back; what waits is bounded.
func TestChannelBackpressure(t *testing.T) {
	node := newChannelNode()
	server := newServer(t, newHandler(t, node, Options{}))
	conn := openSocket(t, server.URL+"/api/v1/channels/gate/x")
	far := <-node.far
	const much = 256 << 20
	_ = far.SetWriteDeadline(time.Now().Add(time.Second))
	sent := 0
	for block := make([]byte, 64<<10); sent < much; {
		n, err := far.Write(block)
		if sent += n; err != nil {
			break
		}
	}
	if sent == much {
		t.Fatal("the sender was never held back")
	}
	_ = far.(*forward.PipeConn).CloseWrite()
	if n, err := io.Copy(io.Discard, conn); err != nil || int(n) != sent {
		t.Errorf("%d bytes and %v, want %d", n, err, sent)
	}
}

func TestSocketRefusals(t *testing.T) {
	node := newChannelNode()
	server := newServer(t, newHandler(t, node, Options{CORS: []string{"https://listed.example"}}))
	for name, c := range map[string]struct {
		path   string
		header []string
		status int
		code   string
	}{
		"not found":      {"/channels/nobody/x", nil, 404, "not-found"},
		"ambiguous":      {"/channels/twins/x", nil, 409, "ambiguous"},
		"unreachable":    {"/channels/away/x", nil, 502, "unreachable"},
		"no provider":    {"/streams/files", nil, 503, "no-provider"},
		"policy":         {"/streams/files", []string{"Mcc-Policy: best"}, 422, "invalid"},
		"unknown query":  {"/channels/gate/x?a=b", nil, 422, "invalid"},
		"never accepted": {"/accepted/QWEZ5PNY4GIQAM2TJ7SHS6VYQK", nil, 404, "not-found"},
		"foreign page":   {"/channels/gate/x", []string{"Origin: https://foreign.example"}, 403, "origin"},
		"foreign accept": {"/accept/x", []string{"Origin: https://foreign.example"}, 403, "origin"},
	} {
		t.Run(name, func(t *testing.T) {
			status, p := refusal(t, server.URL+"/api/v1"+c.path, c.header...)
			if status != c.status || p.code() != c.code {
				t.Errorf("%d %+v, want %d %s", status, p, c.status, c.code)
			}
		})
	}
	if len(node.far) != 0 || node.listener("x") != nil {
		t.Error("a refused request reached the node")
	}
	openSocket(t, server.URL+"/api/v1/channels/gate/x", "Origin: https://listed.example")
}

func TestSocketNeedsUpgrade(t *testing.T) {
	h := newHandler(t, newChannelNode(), Options{})
	for _, path := range []string{"channels/gate/x", "streams/files", "accept/x", "accepted/x"} {
		w := do(t, h, "GET /api/v1/"+path, "")
		wantProblem(t, w, http.StatusUpgradeRequired, "upgrade")
		if w.Header().Get("Upgrade") != "websocket" {
			t.Errorf("%s: no Upgrade header", path)
		}
		wantProblem(t, do(t, h, "POST /api/v1/"+path, ""), http.StatusMethodNotAllowed, "method")
	}
	if n := h.sockets.opened(); n != 0 {
		t.Errorf("%d seats taken", n)
	}
}

func TestSocketNeedsToken(t *testing.T) {
	node := newChannelNode()
	server := newServer(t, newHandler(t, node, Options{Token: "secret"}))
	if status, _ := refusal(t, server.URL+"/api/v1/channels/gate/x"); status != http.StatusUnauthorized {
		t.Errorf("status %d", status)
	}
	openSocket(t, server.URL+"/api/v1/channels/gate/x", "Authorization: Bearer secret")
}

func TestStreamToService(t *testing.T) {
	node := newChannelNode()
	node.backend(t, "files", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	server := newServer(t, newHandler(t, node, Options{}))
	conn := openSocket(t, server.URL+"/api/v1/streams/files", "Mcc-Policy: sticky", "Mcc-Tag: blue", "Mcc-Node: gate")
	if _, err := io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(conn)
	if err != nil || !strings.HasSuffix(string(got), "hello") {
		t.Errorf("%q and %v", got, err)
	}
	if c := node.lastChoice(); c.Policy != "sticky" || c.Tag != "blue" || c.Node != "gate" || c.Key != "127.0.0.1" {
		t.Errorf("choice %+v", c)
	}
}

func TestStickyClient(t *testing.T) {
	for _, c := range []struct{ addr, trail, want string }{
		{"192.0.2.1:5", "", "192.0.2.1"},
		{"192.0.2.1:5", "203.0.113.9", "192.0.2.1"},
		{"127.0.0.1:5", "198.51.100.1, 203.0.113.9", "203.0.113.9"},
		{"[::1]:5", "203.0.113.9", "203.0.113.9"},
		{"@", "203.0.113.9", "203.0.113.9"},
		{"@", "", "@"},
	} {
		r := &http.Request{RemoteAddr: c.addr, Header: http.Header{}}
		if c.trail != "" {
			r.Header.Set("X-Forwarded-For", c.trail)
		}
		if got := clientOf(r); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

func TestSocketsAreBounded(t *testing.T) {
	node := newChannelNode()
	h := newHandler(t, node, Options{})
	server := newServer(t, h)
	for range maxSockets {
		if err := h.sockets.enter(); err != nil {
			t.Fatal(err)
		}
	}
	if status, p := refusal(t, server.URL+"/api/v1/channels/gate/x"); status != 503 || p.code() != "too-many" {
		t.Errorf("%d %+v", status, p)
	}
	if n := h.sockets.full.Load(); n != 1 {
		t.Errorf("%d counted", n)
	}
	h.sockets.leave()
	openSocket(t, server.URL+"/api/v1/channels/gate/x")
	for range maxSockets - 1 {
		h.sockets.leave()
	}
}

func TestDrainWaitsForSockets(t *testing.T) {
	node := newChannelNode()
	h := newHandler(t, node, Options{})
	server := newServer(t, h)
	conn := openSocket(t, server.URL+"/api/v1/channels/gate/x")
	far := <-node.far
	drained := make(chan error, 1)
	go func() { drained <- h.Drain(t.Context()) }()
	<-h.sockets.accepting.Done()
	if status, p := refusal(t, server.URL+"/api/v1/channels/gate/x"); status != 503 || p.code() != "closed" {
		t.Errorf("while draining: %d %+v", status, p)
	}
	if _, err := far.Write([]byte("last words")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-drained:
		t.Fatalf("drained, with %v, while a stream is open", err)
	default:
	}
	_ = far.Close()
	if got, err := io.ReadAll(conn); string(got) != "words" || err != nil {
		t.Errorf("%q and %v", got, err)
	}
	_ = conn.Close()
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

func TestDrainAndCloseCutSockets(t *testing.T) {
	for name, end := range map[string]func(*Handler) error{
		"drain": func(h *Handler) error {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			if err := h.Drain(ctx); !errors.Is(err, context.Canceled) {
				return fmt.Errorf("drain: %w", err)
			}
			return nil
		},
		"close": (*Handler).Close,
	} {
		t.Run(name, func(t *testing.T) {
			node := newChannelNode()
			h := newHandler(t, node, Options{})
			server := newServer(t, h)
			conn := openSocket(t, server.URL+"/api/v1/channels/gate/x")
			far := <-node.far
			listening, _ := openAccept(t, server.URL+"/api/v1/accept/x")
			if err := end(h); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadAll(conn); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("socket: %v", err)
			}
			if _, err := io.ReadAll(far); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("stream: %v", err)
			}
			if _, _, err := listening.Read(t.Context()); err == nil {
				t.Error("the accept socket is open")
			}
			if h.sockets.opened() != 0 || node.listener("x") != nil {
				t.Error("something is left")
			}
		})
	}
}

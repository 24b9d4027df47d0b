package forward

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var errNobody = errors.New("nobody offers it")

const get = "GET %s HTTP/1.1\r\nHost: front\r\n\r\n"

// The original's known issue: after a forward a connection was lost to one
// service.
func TestGatewayMixesServicesOnOneConnection(t *testing.T) {
	m := newMesh(t, GatewayConfig{})
	for _, name := range []string{"a", "b"} {
		m.offerHandler(name, func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "%s got %s", name, r.URL.Path)
		})
	}
	c, r := m.connect()
	for i := range 6 {
		name := string("ab"[i%2])
		send(t, c, fmt.Sprintf(get, fmt.Sprintf("/%s/%d", name, i)))
		if _, body := readAnswer(t, r); body != fmt.Sprintf("%s got /%d", name, i) {
			t.Fatalf("request %d: %q", i, body)
		}
	}
	if n := m.dials(); n != 2 {
		t.Errorf("%d streams for two services; want them kept", n)
	}
}

func TestGatewayPipelining(t *testing.T) {
	m := newMesh(t, GatewayConfig{})
	for _, name := range []string{"a", "b"} {
		m.offerHandler(name, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s:%s", name, body)
		})
	}
	c, r := m.connect()
	var all strings.Builder
	for i := range 10 {
		fmt.Fprintf(&all, "POST /%c/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n%d", "ab"[i%2], i)
	}
	send(t, c, all.String())
	for i := range 10 {
		if _, body := readAnswer(t, r); body != fmt.Sprintf("%c:%d", "ab"[i%2], i) {
			t.Fatalf("answer %d: %q", i, body)
		}
	}
}

type problemBody struct {
	Type, Title, Detail string
	Status              int
}

func wantProblem(t *testing.T, resp *http.Response, body string, status int, code string) {
	t.Helper()
	var p problemBody
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		t.Fatalf("%s: %q: %v", resp.Status, body, err)
	}
	if resp.StatusCode != status || p.Status != status || p.Type != "urn:mcc:error:"+code || p.Title == "" || p.Detail == "" ||
		resp.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("got %s %+v; want %d %s", resp.Status, p, status, code)
	}
}

func TestGatewayErrors(t *testing.T) {
	denied := errors.New("not permitted")
	fails := map[string]error{
		"nobody": errNobody, "denied": fmt.Errorf("call: %w", denied), "down": errors.New("all dials failed"),
		"late": fmt.Errorf("dial: %w", context.DeadlineExceeded),
	}
	m := newMesh(t, GatewayConfig{
		Dial: func(_ context.Context, service string, _ Choice) (net.Conn, error) { return nil, fails[service] },
		Classify: func(err error) (int, string) {
			switch {
			case errors.Is(err, errNobody):
				return http.StatusServiceUnavailable, "no-provider"
			case errors.Is(err, denied):
				return http.StatusForbidden, "denied"
			}
			return 0, ""
		},
	})
	c, r := m.connect() // they do not cost the connection
	for _, tt := range []struct {
		service string
		status  int
		code    string
	}{{"nobody", 503, "no-provider"}, {"denied", 403, "denied"}, {"down", 502, "unreachable"}, {"late", 504, "deadline"}} {
		send(t, c, fmt.Sprintf(get, "/"+tt.service+"/"))
		resp, body := readAnswer(t, r)
		wantProblem(t, resp, body, tt.status, tt.code)
	}
	resp, body := m.exchange("CONNECT nobody.mcc:80 HTTP/1.1\r\nHost: nobody.mcc:80\r\n\r\n")
	wantProblem(t, resp, body, 503, "no-provider")
	if n := m.gateway.Stats().DialFailures; n != 5 {
		t.Errorf("DialFailures = %d; want 5", n)
	}
}

func TestGatewayDialTimeout(t *testing.T) {
	m := newMesh(t, GatewayConfig{
		DialTimeout: 20 * time.Millisecond,
		Dial: func(ctx context.Context, _ string, _ Choice) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
	})
	resp, body := m.exchange(fmt.Sprintf(get, "/slow/"))
	wantProblem(t, resp, body, 504, "deadline")
}

func TestGatewayClientGoneCancels(t *testing.T) {
	gone, dialling := make(chan struct{}), make(chan struct{})
	m := newMesh(t, GatewayConfig{})
	m.offerHandler("slow", func(w http.ResponseWriter, r *http.Request) {
		dialling <- struct{}{}
		<-r.Context().Done()
		close(gone)
	})
	c, _ := m.connect()
	send(t, c, fmt.Sprintf(get, "/slow/"))
	<-dialling
	c.Close()
	<-gone // the service notices

	cancelled := make(chan struct{})
	m = newMesh(t, GatewayConfig{Dial: func(ctx context.Context, _ string, _ Choice) (net.Conn, error) {
		dialling <- struct{}{}
		<-ctx.Done()
		close(cancelled)
		return nil, ctx.Err()
	}})
	c, _ = m.connect()
	send(t, c, fmt.Sprintf(get, "/slow/"))
	<-dialling
	c.Close()
	<-cancelled // the dial too, long before its timeout
}

// An answer that breaks off must not look complete.
func TestGatewayBrokenAnswer(t *testing.T) {
	m := newMesh(t, GatewayConfig{})
	m.offerRaw("cut", func(c net.Conn, r *bufio.Reader) {
		readHead(r)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
	})
	c, r := m.connect()
	send(t, c, fmt.Sprintf(get, "/cut/"))
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("read %q to its end", body)
	}
}

func TestGatewayBadBody(t *testing.T) {
	m := newMesh(t, GatewayConfig{})
	m.offerHandler("sink", func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
	resp, body := m.exchange("POST /sink/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzzz\r\n")
	wantProblem(t, resp, body, 400, "malformed")

	inner := m.front.Config.Handler
	m.front.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 2)
		inner.ServeHTTP(w, r)
	})
	resp, body = m.exchange("POST /sink/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
	wantProblem(t, resp, body, 413, "too-large")
}

func TestGatewayPolicyPerRequest(t *testing.T) {
	m := newMesh(t, GatewayConfig{})
	m.offerHandler("p", func(http.ResponseWriter, *http.Request) {})
	c, r := m.connect()
	ask := func(extra string) {
		t.Helper()
		send(t, c, "GET /p/ HTTP/1.1\r\nHost: x\r\n"+extra+"\r\n")
		if resp, body := readAnswer(t, r); resp.StatusCode != 200 {
			t.Fatalf("%s: %s", resp.Status, body)
		}
	}
	for range 3 {
		ask("Mcc-Policy: round-robin\r\n")
	}
	if n := m.dials(); n != 3 {
		t.Errorf("%d streams for 3 requests in turn; want one each", n)
	}
	ask("")
	ask("Mcc-Tag: blue\r\n")
	ask("")
	ask("Mcc-Tag: blue\r\n")
	ask("Mcc-Policy: sticky\r\nMcc-Node: n\r\n")
	want := []Choice{
		{Policy: "round-robin", HTTP: true},
		{Policy: "round-robin", HTTP: true},
		{Policy: "round-robin", HTTP: true},
		{HTTP: true},
		{Tag: "blue", HTTP: true},
		{Policy: "sticky", Key: "127.0.0.1", Node: "n", HTTP: true},
	}
	if diff := cmp.Diff(want, m.choices); diff != "" {
		t.Error(diff)
	}
	if resp, _ := m.exchange("GET /p/ HTTP/1.1\r\nHost: x\r\nMcc-Policy: best\r\n\r\n"); resp.StatusCode != 422 {
		t.Errorf("unknown policy: %s", resp.Status)
	}
}

func TestGatewayPoolAge(t *testing.T) {
	m := newMesh(t, GatewayConfig{})
	m.offerHandler("p", func(http.ResponseWriter, *http.Request) {})
	p := m.gateway.pool
	first := p.transport(p.born.Add(p.cfg.PoolAge - 1))
	m.exchange(fmt.Sprintf(get, "/p/"))
	if p.conns.conns == nil || m.dials() != 1 {
		t.Fatal("no stream is kept")
	}
	if second := p.transport(p.born.Add(p.cfg.PoolAge)); second == first {
		t.Error("the pool got no younger")
	}
	p.conns.wait(t.Context()) // the old stream is let go
}

func TestConnectTunnel(t *testing.T) {
	m := newMesh(t, GatewayConfig{})
	m.offer("echo", "tcp://"+serveTCP(t, echo))
	c, r := m.connect()
	send(t, c, "CONNECT echo.mcc:7 HTTP/1.1\r\nHost: echo.mcc:7\r\n\r\nearly")
	if head := readHead(r); head != "HTTP/1.1 200 Connection Established\r\n\r\n" {
		t.Fatalf("answer %q", head)
	}
	wantRead(t, r, "early")
	send(t, c, "late")
	c.(*net.TCPConn).CloseWrite()
	wantRead(t, r, "late")
	wantEOF(t, r)
	if m.choices[0].HTTP {
		t.Error("a tunnel was dialled as HTTP")
	}
}

func TestGatewayRefuses(t *testing.T) {
	m := newMesh(t, GatewayConfig{MaxRequests: 1})
	hold, held := make(chan struct{}), make(chan struct{})
	m.offerHandler("hold", func(http.ResponseWriter, *http.Request) {
		close(held)
		<-hold
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.exchange(fmt.Sprintf(get, "/hold/"))
	}()
	<-held
	resp, body := m.exchange(fmt.Sprintf(get, "/hold/"))
	wantProblem(t, resp, body, 503, "busy")
	if n := m.gateway.Stats().Refused; n != 1 {
		t.Errorf("Refused = %d", n)
	}
	close(hold)
	<-done
	if err := m.gateway.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	resp, body = m.exchange(fmt.Sprintf(get, "/hold/"))
	wantProblem(t, resp, body, 503, "closed")

	for _, tt := range []struct {
		method, path string
		status       int
	}{{"CONNECT", "/", 405}, {"GET", "*", 400}, {"GET", "x", 400}} {
		w := httptest.NewRecorder()
		NewGateway(GatewayConfig{Dial: m.dial}).ServeService(w, httptest.NewRequest(tt.method, "/", nil), Call{Service: "s", RawPath: tt.path})
		if w.Code != tt.status {
			t.Errorf("%s %s: %d; want %d", tt.method, tt.path, w.Code, tt.status)
		}
	}
}

// stuckWriter is the writer of a client that reads nothing.
type stuckWriter struct {
	*PipeConn
	header http.Header
}

func (w stuckWriter) Header() http.Header { return w.header }
func (w stuckWriter) WriteHeader(int)     {}
func (w stuckWriter) FlushError() error   { return nil }

// full reports whether the next write blocks.
func (w stuckWriter) full() bool {
	w.out.mu.Lock()
	defer w.out.mu.Unlock()
	return w.out.count == pipeSize
}

// Close must wait neither for a client that reads nothing nor for a tunnel.
func TestGatewayCloseCuts(t *testing.T) {
	m := newMesh(t, GatewayConfig{})
	m.offerHandler("flood", func(w http.ResponseWriter, _ *http.Request) {
		for chunk := make([]byte, 1<<16); ; {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	m.offer("echo", "tcp://"+serveTCP(t, echo))
	near, far := Pipe()
	slow := stuckWriter{near, make(http.Header)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.gateway.ServeService(slow, httptest.NewRequest("GET", "/", nil), Call{Service: "flood"})
	}()
	for !slow.full() {
		runtime.Gosched()
	}
	tunnel, r := m.connect()
	send(t, tunnel, "CONNECT echo.mcc:7 HTTP/1.1\r\nHost: echo.mcc:7\r\n\r\nx")
	readHead(r)
	wantRead(t, r, "x")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.gateway.Drain(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Drain that was cut short: %v", err)
	}
	<-done
	if s := m.gateway.Stats(); s.Active != 0 {
		t.Errorf("still open after Close: %+v", s)
	}
	far.Close()
}

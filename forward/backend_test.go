package forward

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func target(t testing.TB, s string) Target {
	t.Helper()
	where, err := ParseTarget(s)
	if err != nil {
		t.Fatal(err)
	}
	return where
}

// backend returns one for target that is closed at the end of the test.
func backend(t testing.TB, where string, opt BackendOptions) *Backend {
	t.Helper()
	b := NewBackend(target(t, where), opt)
	t.Cleanup(func() { b.Close() })
	return b
}

// closedPort is an address where nobody listens.
func closedPort(t testing.TB) string {
	ln := listenTCP(t)
	ln.Close()
	return ln.Addr().String()
}

// stream serves one stream of alice and returns its far end.
func stream(t testing.TB, b *Backend, http bool) (far *PipeConn, done <-chan error) {
	t.Helper()
	far, near := Pipe()
	far.SetDeadline(time.Now().Add(20 * time.Second))
	result := make(chan error, 1)
	go func() { result <- b.Serve(context.Background(), near, alice, http) }()
	t.Cleanup(func() { far.Close() })
	return far, result
}

func TestBackendRaw(t *testing.T) {
	b := backend(t, "tcp://"+serveTCP(t, echo), BackendOptions{Service: "echo"})
	far, done := stream(t, b, false)
	send(t, far, "hello")
	far.CloseWrite()
	wantRead(t, far, "hello")
	wantEOF(t, far)
	if err := <-done; err != nil {
		t.Errorf("Serve: %v", err)
	}
	want := Stats{Connections: 1, ToService: 5, FromService: 5}
	if s := b.Stats(); s != want {
		t.Errorf("Stats = %+v; want %+v", s, want)
	}
}

func TestBackendUnreachable(t *testing.T) {
	for _, scheme := range []string{"tcp", "http"} {
		b := backend(t, scheme+"://"+closedPort(t), BackendOptions{})
		for _, asHTTP := range []bool{false, true} {
			if _, err := b.Connect(t.Context(), alice, asHTTP); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("Connect to a closed port over %s: %v", scheme, err)
			}
		}
		far, done := stream(t, b, false)
		if err := <-done; !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("Serve: %v", err)
		}
		if _, err := far.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("stream to an unreachable service: %v", err)
		}
		if n := b.Stats().DialFailures; n != 3 {
			t.Errorf("DialFailures = %d", n)
		}
	}
}

func TestBackendDialTimeout(t *testing.T) {
	b := backend(t, "tcp://127.0.0.1:1", BackendOptions{
		DialTimeout: 10 * time.Millisecond,
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
	})
	if _, err := b.Connect(t.Context(), alice, false); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Connect: %v", err)
	}
}

// A service that goes away under a stream that is kept answers 502, without a
// word about where it is, and the stream lives on.
func TestBackendServiceGoes(t *testing.T) {
	service := httptest.NewServer(http.NotFoundHandler())
	b := backend(t, "tcp://"+service.Listener.Addr().String(), BackendOptions{Service: "s"})
	far, _ := stream(t, b, true)
	r := bufio.NewReader(far)
	send(t, far, fmt.Sprintf(get, "/"))
	if resp, _ := readAnswer(t, r); resp.StatusCode != 404 {
		t.Fatal(resp.Status)
	}
	service.Close()
	send(t, far, fmt.Sprintf(get, "/"))
	resp, body := readAnswer(t, r)
	wantProblem(t, resp, body, 502, "unreachable")
	if strings.Contains(body, "127.0.0.1") {
		t.Errorf("the caller learns the address: %s", body)
	}
}

func TestBackendGarbledAnswer(t *testing.T) {
	addr := serveTCP(t, func(c net.Conn) {
		readHead(bufio.NewReader(c))
		io.WriteString(c, "SMTP ready\r\n\r\n")
	})
	far, _ := stream(t, backend(t, "tcp://"+addr, BackendOptions{}), true)
	send(t, far, fmt.Sprintf(get, "/"))
	resp, body := readAnswer(t, bufio.NewReader(far))
	wantProblem(t, resp, body, 502, "unreachable")
}

// An http service gets HTTP even from a stream that was opened as raw, so that
// the caller cannot forge its identity.
func TestBackendHTTPTarget(t *testing.T) {
	service := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s as %q%q for %s", r.Host, r.RequestURI,
			r.Header["Mcc-Peer-Id"], r.Header["Mcc_peer_id"], r.Header.Get("X-Forwarded-For"))
	}))
	service.Config.DisableGeneralOptionsHandler = true
	service.Start()
	defer service.Close()
	host := service.Listener.Addr().String()
	far, _ := stream(t, backend(t, "http://"+host+"/base", BackendOptions{Service: "s"}), false)
	r := bufio.NewReader(far)
	for _, uri := range []string{"/x?y", "http://evil.example/x?y"} {
		send(t, far, "GET "+uri+" HTTP/1.1\r\nHost: evil.example\r\nMcc-Peer-Id: forged\r\nMcc_Peer_Id: forged\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n")
		want := host + ` /base/x?y as ["z6MkAlice"][] for 192.0.2.1`
		if _, body := readAnswer(t, r); body != want {
			t.Errorf("asked for %s: service saw %s; want %s", uri, body, want)
		}
	}
	send(t, far, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, body := readAnswer(t, r); body != host+` * as ["z6MkAlice"][] for ` {
		t.Errorf("OPTIONS *: service saw %s", body)
	}
	send(t, far, "CONNECT evil.example:80 HTTP/1.1\r\nHost: evil.example:80\r\n\r\n")
	if resp, _ := readAnswer(t, r); resp.StatusCode != 405 {
		t.Errorf("CONNECT: %s", resp.Status)
	}
}

func TestBackendHTTPSTarget(t *testing.T) {
	service := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s over %s", r.Host, r.TLS.ServerName+r.Proto)
	}))
	service.Config.ErrorLog = quietLog()
	service.StartTLS()
	defer service.Close()
	roots := x509.NewCertPool()
	roots.AddCert(service.Certificate())
	host := service.Listener.Addr().String()
	far, _ := stream(t, backend(t, "https://"+host, BackendOptions{TLS: &tls.Config{RootCAs: roots}}), true)
	send(t, far, fmt.Sprintf(get, "/"))
	if _, body := readAnswer(t, bufio.NewReader(far)); body != host+" over HTTP/1.1" {
		t.Errorf("got %q", body)
	}
	far, _ = stream(t, backend(t, "https://"+host, BackendOptions{}), true)
	send(t, far, fmt.Sprintf(get, "/"))
	resp, body := readAnswer(t, bufio.NewReader(far))
	wantProblem(t, resp, body, 502, "unreachable") // an unknown certificate
}

// pipeListener is a service inside this program.
type pipeListener struct {
	*fakeListener
	mu      sync.Mutex
	callers []Caller
}

func (l *pipeListener) dial(_ context.Context, caller Caller) (net.Conn, error) {
	l.mu.Lock()
	l.callers = append(l.callers, caller)
	l.mu.Unlock()
	near, far := Pipe()
	l.accept <- far
	return near, nil
}

func TestFuncBackend(t *testing.T) {
	l := &pipeListener{fakeListener: newFakeListener()}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s for %s", r.Host, r.Header.Get(HeaderPeerLabel))
	})}
	served := make(chan struct{})
	go func() {
		defer close(served)
		server.Serve(l)
	}()
	b := NewFuncBackend(l.dial, BackendOptions{Service: "here"})
	bob := Caller{ID: "z6MkBob", Label: "bob"}
	for range 2 {
		for _, caller := range []Caller{alice, bob} {
			far, near := Pipe()
			done := make(chan error, 1)
			go func() { done <- b.Serve(context.Background(), near, caller, true) }()
			send(t, far, fmt.Sprintf(get, "/"))
			if _, body := readAnswer(t, bufio.NewReader(far)); body != "here.mcc for "+caller.Label {
				t.Errorf("%s: %q", caller.Label, body)
			}
			far.Close()
			<-done
		}
	}
	// Each caller has its own connection, since the service may ask whose it is.
	if n := len(l.callers); n != 2 || l.callers[0] != alice || l.callers[1] != bob {
		t.Errorf("connections of %v", l.callers)
	}
	b.Close()
	server.Close()
	<-served
}

func TestBackendCancel(t *testing.T) {
	for _, asHTTP := range []bool{false, true} {
		b := backend(t, "tcp://"+serveTCP(t, echo), BackendOptions{})
		far, near := Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- b.Serve(ctx, near, alice, asHTTP) }()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Serve with http %v: %v", asHTTP, err)
		}
		if _, err := far.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("stream after the end of ctx: %v", err)
		}
	}
}

func TestBackendLimit(t *testing.T) {
	b := backend(t, "tcp://"+serveTCP(t, echo), BackendOptions{MaxStreams: 1})
	l, err := b.Connect(t.Context(), alice, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Connect(t.Context(), alice, false); !errors.Is(err, ErrBusy) {
		t.Errorf("Connect past the limit: %v", err)
	}
	l.Close()
	l, err = b.Connect(t.Context(), alice, true)
	if err != nil {
		t.Errorf("Connect after Close of the first: %v", err)
	}
	l.Close()
	if n := b.Stats().Refused; n != 1 {
		t.Errorf("Refused = %d", n)
	}
}

// Drain ends HTTP streams that wait for a request at once, lets raw ones and
// requests under way come to their end, and takes nothing new.
func TestBackendDrain(t *testing.T) {
	hold, held := make(chan struct{}), make(chan struct{})
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hold" {
			close(held)
			<-hold
		}
	}))
	defer service.Close()
	b := backend(t, "tcp://"+service.Listener.Addr().String(), BackendOptions{})
	idle, idleDone := stream(t, b, true)
	send(t, idle, fmt.Sprintf(get, "/"))
	readAnswer(t, bufio.NewReader(idle))
	busy, _ := stream(t, b, true)
	send(t, busy, fmt.Sprintf(get, "/hold"))
	<-held

	drained := make(chan error, 1)
	go func() { drained <- b.Drain(context.Background()) }()
	if err := <-idleDone; err != nil {
		t.Errorf("idle stream: %v", err)
	}
	if _, err := b.Connect(t.Context(), alice, true); !errors.Is(err, ErrClosed) {
		t.Errorf("Connect while draining: %v", err)
	}
	close(hold)
	if resp, _ := readAnswer(t, bufio.NewReader(busy)); resp.StatusCode != 200 {
		t.Errorf("request under way: %s", resp.Status)
	}
	if err := <-drained; err != nil {
		t.Errorf("Drain: %v", err)
	}
}

func TestBackendCloseCuts(t *testing.T) {
	b := backend(t, "tcp://"+serveTCP(t, echo), BackendOptions{})
	raw, rawDone := stream(t, b, false)
	send(t, raw, "x")
	wantRead(t, raw, "x")
	web, webDone := stream(t, b, true)
	send(t, web, "GET / HTTP/1.1\r\n") // never finished
	for b.Stats().Connections < 2 {
		runtime.Gosched() // both streams are on their way
	}
	b.Close()
	<-rawDone
	<-webDone
	if err := b.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	for _, far := range []net.Conn{raw, web} {
		if _, err := io.Copy(io.Discard, far); !errors.Is(err, syscall.ECONNRESET) && err != nil {
			t.Errorf("stream after Close: %v", err)
		}
	}
}

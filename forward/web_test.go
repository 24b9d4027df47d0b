package forward

import (
	"bufio"
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

func quietLog() *log.Logger { return log.New(io.Discard, "", 0) }

// mesh is a gateway and backends with nothing but pipes between them. A request
// to /<service>/… of its front goes to that service.
type mesh struct {
	t        testing.TB
	gateway  *Gateway
	front    *httptest.Server
	mu       sync.Mutex
	backends map[string]*Backend
	choices  []Choice // of the dials, in their order
	wg       sync.WaitGroup
}

var alice = Caller{ID: "z6MkAlice", Label: "alice", Consortium: "acme"}

func newMesh(t testing.TB, cfg GatewayConfig) *mesh {
	t.Helper()
	m := &mesh{t: t, backends: make(map[string]*Backend)}
	if cfg.Dial == nil {
		cfg.Dial = m.dial
	}
	m.gateway = NewGateway(cfg)
	m.front = httptest.NewUnstartedServer(http.HandlerFunc(m.serve))
	m.front.Config.ErrorLog = quietLog()
	m.front.Start()
	t.Cleanup(m.close)
	return m
}

func (m *mesh) close() {
	m.gateway.Close()
	m.front.Close()
	for _, b := range m.backends {
		b.Close()
	}
	m.wg.Wait()
}

func (m *mesh) serve(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodConnect {
		service, _, _ := strings.Cut(r.Host, ".")
		m.gateway.Connect(w, r, service, Choice{})
		return
	}
	raw := RawPath(r)
	service, path, slash := strings.Cut(strings.TrimPrefix(raw, "/"), "/")
	if slash {
		path = "/" + path
	}
	choice, err := ChoiceOf(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	m.gateway.ServeService(w, r, Call{Service: service, RawPath: path, Prefix: "/" + service, Choice: choice})
}

func (m *mesh) dial(ctx context.Context, service string, choice Choice) (net.Conn, error) {
	m.mu.Lock()
	b := m.backends[service]
	m.choices = append(m.choices, choice)
	m.mu.Unlock()
	if b == nil {
		return nil, errNobody
	}
	link, err := b.Connect(ctx, alice, choice.HTTP)
	if err != nil {
		return nil, err
	}
	near, far := Pipe()
	m.wg.Go(func() { link.Serve(context.Background(), far) })
	return near, nil
}

// offer makes a backend for a service at target.
func (m *mesh) offer(service, target string) *Backend {
	m.t.Helper()
	where, err := ParseTarget(target)
	if err != nil {
		m.t.Fatal(err)
	}
	return m.add(service, NewBackend(where, BackendOptions{Service: service}))
}

func (m *mesh) add(service string, b *Backend) *Backend {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.backends[service] = b
	return b
}

// dials is the number of streams opened so far.
func (m *mesh) dials() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.choices)
}

// offerHandler offers what h answers at a loopback port as a tcp service.
func (m *mesh) offerHandler(service string, h http.HandlerFunc) *httptest.Server {
	m.t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = quietLog()
	s.Start()
	m.t.Cleanup(s.Close)
	m.offer(service, "tcp://"+s.Listener.Addr().String())
	return s
}

// offerRaw offers a service that answers each connection by hand.
func (m *mesh) offerRaw(service string, handle func(net.Conn, *bufio.Reader)) {
	m.t.Helper()
	addr := serveTCP(m.t, func(c net.Conn) { handle(c, bufio.NewReader(c)) })
	m.offer(service, "tcp://"+addr)
}

// connect opens a client connection to the front.
func (m *mesh) connect() (net.Conn, *bufio.Reader) {
	m.t.Helper()
	c := dial(m.t, m.front.Listener.Addr().String())
	return c, bufio.NewReader(c)
}

// exchange sends one request as it stands and reads the answer.
func (m *mesh) exchange(request string) (*http.Response, string) {
	m.t.Helper()
	c, r := m.connect()
	defer c.Close()
	send(m.t, c, request)
	return readAnswer(m.t, r)
}

func readAnswer(t testing.TB, r *bufio.Reader) (*http.Response, string) {
	t.Helper()
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatalf("read the answer: %v", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("read the body: %v", err)
	}
	return resp, string(body)
}

// readHead reads up to the empty line that ends a head.
func readHead(r *bufio.Reader) string {
	var head strings.Builder
	for {
		line, err := r.ReadString('\n')
		head.WriteString(line)
		if err != nil || line == "\r\n" {
			return head.String()
		}
	}
}

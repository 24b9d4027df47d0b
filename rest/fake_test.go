package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	mcc "github.com/staex-mcc/mcc"
	"github.com/staex-mcc/mcc/forward"
	"github.com/staex-mcc/mcc/identity"
)

func TestMain(m *testing.M) {
	// A server of net/http waits half a second, whatever happens, after it has
	// ended a connection whose request was not read to its end.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// fakeNode is a node that is alone and keeps everything in memory. Services
// with an entry in backends are reached there.
type fakeNode struct {
	fakeData
	mu        sync.Mutex
	info      mcc.Info
	peers     []mcc.PeerInfo
	services  []mcc.Service
	providers map[string][]mcc.Provider
	listeners []mcc.Listener
	notReady  []string
	stats     mcc.Stats
	err       error // what the next operations fail with
	queries   []mcc.Query
	choices   []forward.Choice
	backends  map[string]string // service to host:port
	changes   map[string]chan mcc.Change
	watching  map[string]int
}

func newFakeNode() *fakeNode {
	id := fakeID(1)
	return &fakeNode{
		info: mcc.Info{
			ID: id, Label: "gate", DID: id.DID(), Consortium: "acme", Addresses: []string{"127.0.0.1:9376"},
			Version: "1.2.3", Wire: 1, Uptime: 90*time.Second + 400*time.Millisecond, Peers: 2, Reachability: "unknown",
		},
		providers: map[string][]mcc.Provider{},
		backends:  map[string]string{},
		changes:   map[string]chan mcc.Change{},
		watching:  map[string]int{},
		fakeData:  newFakeData(id),
	}
}

func fakeID(n byte) identity.ID { return identity.ID{0: n, 31: 1} }

func (f *fakeNode) Register(_ context.Context, s mcc.Service) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return f.err
	}
	if !strings.Contains(s.Address, ":") {
		return fmt.Errorf("%w: address %q", mcc.ErrInvalid, s.Address)
	}
	for _, have := range f.services {
		if have.Name == s.Name {
			return fmt.Errorf("service %q: %w", s.Name, mcc.ErrExists)
		}
	}
	f.services = append(f.services, s)
	return nil
}

func (f *fakeNode) Unregister(_ context.Context, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.services)
	f.services = slices.DeleteFunc(f.services, func(s mcc.Service) bool { return s.Name == name })
	if len(f.services) == n {
		return fmt.Errorf("service %q: %w", name, mcc.ErrNotFound)
	}
	return f.err
}

func (f *fakeNode) Providers(ctx context.Context, name string) ([]mcc.Provider, error) {
	return f.Lookup(ctx, name, mcc.Query{})
}

func (f *fakeNode) Lookup(_ context.Context, name string, q mcc.Query) ([]mcc.Provider, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queries = append(f.queries, q)
	if f.err != nil {
		return nil, f.err
	}
	found := slices.Clone(f.providers[name])
	return found[:min(len(found), q.Limit)], nil
}

// Watch yields what is sent to f.changes[name]; closing that ends the watch
// with f.err.
func (f *fakeNode) Watch(ctx context.Context, name string) iter.Seq2[mcc.Change, error] {
	f.mu.Lock()
	ch := f.changes[name]
	if ch == nil {
		ch = make(chan mcc.Change)
		f.changes[name] = ch
	}
	f.watching[name]++
	f.mu.Unlock()
	return func(yield func(mcc.Change, error) bool) {
		for {
			select {
			case <-ctx.Done():
				return
			case c, ok := <-ch:
				if !ok {
					yield(mcc.Change{}, f.err)
					return
				}
				if !yield(c, nil) {
					return
				}
			}
		}
	}
}

func (f *fakeNode) feed(name string) chan mcc.Change {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.changes[name] == nil {
		f.changes[name] = make(chan mcc.Change)
	}
	return f.changes[name]
}

func (f *fakeNode) DialContext(ctx context.Context, _, address string) (net.Conn, error) {
	return f.DialService(ctx, address, forward.Choice{})
}

func (f *fakeNode) DialService(ctx context.Context, service string, choice forward.Choice) (net.Conn, error) {
	f.mu.Lock()
	f.choices = append(f.choices, choice)
	to, ok := f.backends[service]
	err := f.err
	f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("dial %s: %w", service, mcc.ErrNoProvider)
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", to)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w: %w", service, mcc.ErrUnreachable, err)
	}
	return conn, nil
}

func (f *fakeNode) DialNode(context.Context, string, string) (net.Conn, error) {
	return nil, mcc.ErrNotFound
}

func (f *fakeNode) Listen(context.Context, string) (net.Listener, error) { return nil, mcc.ErrExists }

func (f *fakeNode) Info() mcc.Info               { return f.info }
func (f *fakeNode) Peers() []mcc.PeerInfo        { return f.peers }
func (f *fakeNode) Stats() mcc.Stats             { return f.stats }
func (f *fakeNode) NotReady() []string           { return f.notReady }
func (f *fakeNode) LocalServices() []mcc.Service { f.mu.Lock(); defer f.mu.Unlock(); return f.services }

func (f *fakeNode) Listeners() []mcc.Listener { f.mu.Lock(); defer f.mu.Unlock(); return f.listeners }

func (f *fakeNode) lastChoice() forward.Choice {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.choices[len(f.choices)-1]
}

func (f *fakeNode) AddListener(_ context.Context, l mcc.Listener) (mcc.Listener, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return mcc.Listener{}, f.err
	}
	l.ID = fmt.Sprint("tcp 5000/", len(f.listeners)+1)
	f.listeners = append(f.listeners, l)
	return l, nil
}

func (f *fakeNode) RemoveListener(_ context.Context, id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.listeners)
	f.listeners = slices.DeleteFunc(f.listeners, func(l mcc.Listener) bool { return l.ID == id })
	if len(f.listeners) == n {
		return fmt.Errorf("listener %q: %w", id, mcc.ErrNotFound)
	}
	return nil
}

// newHandler makes a handler that the test closes.
func newHandler(t *testing.T, node Node, opts Options) *Handler {
	t.Helper()
	h, err := New(node, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// newServer serves h on loopback.
func newServer(t *testing.T, h *Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config = NewServer(h)
	s.Start()
	t.Cleanup(func() {
		_ = h.Close() // watches first, or the server waits for them
		http.DefaultClient.CloseIdleConnections()
		s.Close()
	})
	return s
}

// backend offers handler as a service of f.
func (f *fakeNode) backend(t *testing.T, service string, handler http.Handler) {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.backends[service] = s.Listener.Addr().String()
}

// do sends one request to h: "METHOD path", headers as "Name: value" lines.
func do(t *testing.T, h http.Handler, request, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	method, path, _ := strings.Cut(request, " ")
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, path, content)
	if strings.HasPrefix(path, "/") {
		r.Host = "127.0.0.1:8080"
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		if name == "Host" {
			r.Host = value
			continue
		}
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// wantJSON compares a whole answer, literally but for white space and order.
func wantJSON(t *testing.T, w *httptest.ResponseRecorder, status int, want string) {
	t.Helper()
	if w.Code != status {
		t.Fatalf("status %d, want %d: %s", w.Code, status, w.Body)
	}
	if ct := w.Header().Get("Content-Type"); ct != "application/json" {
		t.Errorf("Content-Type %q", ct)
	}
	if got := canonical(t, w.Body.String()); got != canonical(t, want) {
		t.Errorf("got  %s\nwant %s", got, canonical(t, want))
	}
}

func canonical(t *testing.T, text string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	out, _ := json.Marshal(v)
	return string(out)
}

// wantProblem checks that w is a problem of the given kind and returns it.
func wantProblem(t *testing.T, w *httptest.ResponseRecorder, status int, code string) Problem {
	t.Helper()
	p := Problem{}
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatalf("status %d, no problem: %v: %s", w.Code, err, w.Body)
	}
	if w.Code != status || p.Status != status || p.Type != "urn:mcc:error:"+code || p.Title == "" {
		t.Fatalf("status %d, problem %+v, want %d %s", w.Code, p, status, code)
	}
	if ct := w.Header().Get("Content-Type"); ct != "application/problem+json" {
		t.Errorf("Content-Type %q", ct)
	}
	return p
}

var errPlain = errors.New("disk on fire at /secret/place")

package forward

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

func newTestEntrances(t testing.TB, cfg Config) *Entrances {
	t.Helper()
	e := NewEntrances(cfg)
	t.Cleanup(func() { e.Close() })
	return e
}

func addEntrance(t testing.TB, e *Entrances, spec Spec) (info Info, addr string) {
	t.Helper()
	if spec.Address == "" {
		spec.Address = "tcp://127.0.0.1:0"
	}
	info, err := e.Add(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	l, err := ParseListen(info.Address)
	if err != nil {
		t.Fatal(err)
	}
	return info, l.Address
}

func TestEntranceCarries(t *testing.T) {
	e := newTestEntrances(t, Config{Dial: dialTo(serveTCP(t, echo))})
	_, addr := addEntrance(t, e, Spec{Service: "echo"})
	c := dial(t, addr)
	data := pattern(3 << 20)
	go func() {
		c.Write(data)
		c.CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	wantBytes(t, got, data)
	e.Close()
	want := Stats{Connections: 1, ToService: 3 << 20, FromService: 3 << 20}
	if s := e.Stats(); s != want {
		t.Errorf("Stats = %+v; want %+v", s, want)
	}
}

func TestEntrancesAddListRemove(t *testing.T) {
	e := newTestEntrances(t, Config{Dial: dialTo(serveTCP(t, echo))})
	a, addrA := addEntrance(t, e, Spec{Service: "web"})
	b, _ := addEntrance(t, e, Spec{Service: "web.acme", Choice: Choice{Policy: RoundRobin}})
	if list := e.List(); len(list) != 2 || list[0].ID != a.ID || list[1].ID != b.ID || list[1].Choice.Policy != RoundRobin {
		t.Fatalf("List = %+v", list)
	}
	if url.PathEscape(a.ID) != a.ID || len(a.ID) > 20 || a.ID == b.ID {
		t.Errorf("ids %q and %q", a.ID, b.ID)
	}
	c := dial(t, addrA)
	send(t, c, "before")
	wantRead(t, c, "before")
	if n := e.List()[0].Active; n != 1 {
		t.Errorf("Active = %d; want 1", n)
	}

	if err := e.Remove(a.ID); err != nil {
		t.Fatal(err)
	}
	if err := e.Remove(a.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("second Remove: %v", err)
	}
	if _, err := net.Dial("tcp", addrA); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial after Remove: %v", err)
	}
	send(t, c, "after") // open connections go on
	wantRead(t, c, "after")

	again, _ := addEntrance(t, e, Spec{Service: "web", Address: "tcp://" + addrA})
	if again.ID != a.ID {
		t.Errorf("same service and address, but id %s became %s", a.ID, again.ID)
	}
}

func TestEntrancesAddErrors(t *testing.T) {
	e := newTestEntrances(t, Config{Dial: dialTo("")})
	taken := listenTCP(t).Addr().String()
	for _, tt := range []struct {
		spec Spec
		want error
	}{
		{Spec{Service: "s", Address: "tcp://" + taken}, syscall.EADDRINUSE},
		{Spec{Service: "s", Address: "nonsense"}, ErrInvalid},
		{Spec{Service: "s", Address: "socks5://127.0.0.1:1"}, ErrUnsupported},
		{Spec{Service: "s", Address: "tcp://127.0.0.1:0", Choice: Choice{Policy: "best"}}, ErrInvalid},
		{Spec{Address: "tcp://127.0.0.1:0"}, ErrInvalid},
	} {
		if _, err := e.Add(t.Context(), tt.spec); !errors.Is(err, tt.want) {
			t.Errorf("Add(%+v): %v; want %v", tt.spec, err, tt.want)
		}
	}
	e.Close()
	if _, err := e.Add(t.Context(), Spec{Service: "s", Address: "tcp://127.0.0.1:0"}); !errors.Is(err, ErrClosed) || !errors.Is(err, net.ErrClosed) {
		t.Errorf("Add after Close: %v", err)
	}
}

func TestEntranceResetsWithoutProvider(t *testing.T) {
	core, logs := observer.New(zapcore.DebugLevel)
	connected := make(chan struct{})
	e := newTestEntrances(t, Config{
		Logger: zap.New(core),
		Dial: func(context.Context, string, Choice) (net.Conn, error) {
			<-connected // a reset before that would fail the client's dial
			return nil, errors.New("nobody offers it")
		},
	})
	_, addr := addEntrance(t, e, Spec{Service: "ghost"})
	c := dial(t, addr)
	close(connected)
	if n, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("Read = %d, %v; want a reset", n, err)
	}
	e.Close()
	if s := e.Stats(); s.DialFailures != 1 || s.Active != 0 {
		t.Errorf("Stats = %+v", s)
	}
	if n := logs.FilterMessage("service not reached").Len(); n != 1 {
		t.Errorf("logged %d times; want once", n)
	}
}

func TestEntranceThousandConnections(t *testing.T) {
	e := newTestEntrances(t, Config{Dial: dialTo(serveTCP(t, echo))})
	_, addr := addEntrance(t, e, Spec{Service: "echo"})
	before := runtime.NumGoroutine()
	var wg sync.WaitGroup
	var failed atomic.Int64
	conns := make(chan *net.TCPConn, 1000)
	for range 8 {
		wg.Go(func() {
			for range 125 {
				c := dial(t, addr)
				if _, err := c.Write([]byte("hello")); err != nil {
					failed.Add(1)
				}
				conns <- c
			}
		})
	}
	wg.Wait()
	close(conns)
	for c := range conns {
		wantRead(t, c, "hello")
		c.Close()
	}
	if err := e.Drain(t.Context()); err != nil {
		t.Errorf("Drain: %v", err)
	}
	s := e.Stats()
	if failed.Load() != 0 || s.Connections != 1000 || s.Active != 0 || s.ToService != 5000 {
		t.Errorf("%d failed; %+v", failed.Load(), s)
	}
	// The server's goroutines end soon after; goleak looks at what is left.
	if after := runtime.NumGoroutine(); after > before+1000 {
		t.Errorf("%d goroutines before, %d after", before, after)
	}
}

func TestEntranceMaxConns(t *testing.T) {
	e := newTestEntrances(t, Config{Dial: dialTo(serveTCP(t, echo)), MaxConns: 2})
	_, addr := addEntrance(t, e, Spec{Service: "echo"})
	conns := []*net.TCPConn{dial(t, addr), dial(t, addr), dial(t, addr)}
	for _, c := range conns {
		send(t, c, "x")
	}
	wantRead(t, conns[0], "x")
	wantRead(t, conns[1], "x")
	if n := e.List()[0].Active; n != 2 {
		t.Errorf("%d connections open; the limit is 2", n)
	}
	conns[0].Close()
	wantRead(t, conns[2], "x") // out of the backlog
	if e.Stats().Waits == 0 {
		t.Error("the wait was not counted")
	}
}

func TestEntranceDrain(t *testing.T) {
	e := newTestEntrances(t, Config{Dial: dialTo(serveTCP(t, echo))})
	_, addr := addEntrance(t, e, Spec{Service: "echo"})
	c := dial(t, addr)
	send(t, c, "x")
	wantRead(t, c, "x")

	drained := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { drained <- e.Drain(ctx) }()
	for {
		refused, err := net.Dial("tcp", addr)
		if err != nil {
			break
		}
		refused.Close()
	}
	send(t, c, "still here")
	wantRead(t, c, "still here")
	cancel()
	if err := <-drained; !errors.Is(err, context.Canceled) {
		t.Errorf("Drain that was cut short: %v", err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read after the drain: %v", err)
	}
}

func TestEntranceStickyKey(t *testing.T) {
	keys, connected := make(chan string, 1), make(chan struct{})
	e := newTestEntrances(t, Config{Dial: func(_ context.Context, _ string, c Choice) (net.Conn, error) {
		keys <- c.Key
		<-connected
		return nil, errors.New("no")
	}})
	_, addr := addEntrance(t, e, Spec{Service: "s", Choice: Choice{Policy: Sticky}})
	dial(t, addr)
	close(connected)
	if key := <-keys; key != "127.0.0.1" {
		t.Errorf("key = %q; want the client's IP", key)
	}
}

// fakeListener yields what the test puts in.
type fakeListener struct {
	accept chan any // net.Conn or error
	closed chan struct{}
	once   sync.Once
}

func newFakeListener() *fakeListener {
	return &fakeListener{accept: make(chan any), closed: make(chan struct{})}
}

func (l *fakeListener) Accept() (net.Conn, error) {
	select {
	case v := <-l.accept:
		if err, ok := v.(error); ok {
			return nil, err
		}
		return v.(net.Conn), nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *fakeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *fakeListener) Addr() net.Addr { return pipeAddr{} }

// startFake opens an entrance on a listener of the test's own.
func startFake(t *testing.T, e *Entrances) *fakeListener {
	t.Helper()
	ln := newFakeListener()
	one := newEntrance(e, Spec{Service: "fake"}, ListenAddress{Network: "tcp"}, ln)
	if err := e.start(one); err != nil {
		t.Fatal(err)
	}
	return ln
}

func TestEntranceAcceptErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		provider, stream := Pipe()
		e := NewEntrances(Config{
			MaxConns: 3, // which failures must not use up
			Dial:     func(context.Context, string, Choice) (net.Conn, error) { return stream, nil },
		})
		ln := startFake(t, e)
		start := time.Now()
		for range 12 {
			ln.accept <- &net.OpError{Op: "accept", Err: syscall.EMFILE}
		}
		if took := time.Since(start); took < 2*time.Second || took > 12*time.Second {
			t.Errorf("12 failures took %s: no sensible pauses", took)
		}
		client, conn := Pipe()
		ln.accept <- conn // it goes on
		send(t, client, "x")
		wantRead(t, provider, "x")
		if n := e.Stats().AcceptErrors; n != 12 {
			t.Errorf("AcceptErrors = %d", n)
		}
		client.Close()
		provider.Close()
		ln.accept <- syscall.ENFILE // closing interrupts the pause
		e.Close()
	})
}

func TestEntranceClientGoneCancelsDial(t *testing.T) {
	for _, tt := range []struct {
		name   string
		leave  func(*PipeConn)
		within time.Duration
	}{
		{"reset", func(c *PipeConn) { c.Reset() }, 0},
		{"closed", func(c *PipeConn) { c.Close() }, endedGrace},
		{"closed after a request", func(c *PipeConn) { c.Write([]byte("GET")); c.Close() }, endedGrace},
		{"patient", func(*PipeConn) {}, 30 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var took time.Duration
				start := time.Now()
				e := NewEntrances(Config{Dial: func(ctx context.Context, _ string, _ Choice) (net.Conn, error) {
					<-ctx.Done()
					took = time.Since(start)
					return nil, ctx.Err()
				}})
				client, conn := Pipe()
				startFake(t, e).accept <- conn
				tt.leave(client)
				time.Sleep(time.Minute)
				synctest.Wait()
				if took != tt.within {
					t.Errorf("dial was given up after %s; want %s", took, tt.within)
				}
				client.Close()
				e.Close()
			})
		})
	}
}

// What a client says while its service is dialled must arrive, its end too.
func TestEntranceEarlyData(t *testing.T) {
	for _, size := range []int{0, 10, maxEarly, 3 * maxEarly} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				provider, stream := Pipe()
				e := NewEntrances(Config{Dial: func(context.Context, string, Choice) (net.Conn, error) {
					time.Sleep(time.Second)
					return stream, nil
				}})
				client, conn := Pipe()
				startFake(t, e).accept <- conn
				data := pattern(size)
				go func() {
					client.Write(data)
					client.CloseWrite()
				}()
				got, err := io.ReadAll(provider)
				if err != nil {
					t.Fatal(err)
				}
				wantBytes(t, got, data)
				send(t, provider, "answer")
				provider.Close()
				wantRead(t, client, "answer")
				wantEOF(t, client)
				client.Close()
				e.Close()
			})
		})
	}
}

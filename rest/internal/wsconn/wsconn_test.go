package wsconn

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/net/nettest"
)

func TestNetConn(t *testing.T) {
	for name, swap := range map[string]bool{"client": false, "server": true} {
		t.Run(name, func(t *testing.T) {
			nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
				e, stop, err := openPair(t)
				if swap {
					return e.server, e.client, stop, err
				}
				return e.client, e.server, stop, err
			})
		})
	}
}

func TestHalfClose(t *testing.T) {
	roles(t, func(t *testing.T, a, b *Conn) {
		question := bytes.Repeat([]byte("question "), 100_000)
		asked := make(chan error, 1)
		go func() {
			_, err := a.Write(question)
			asked <- errors.Join(err, a.CloseWrite(), a.CloseWrite())
		}()
		got, err := io.ReadAll(b)
		if err != nil || !bytes.Equal(got, question) {
			t.Fatalf("%d bytes and %v, want %d", len(got), err, len(question))
		}
		if err := <-asked; err != nil {
			t.Fatal(err)
		}
		_, err = a.Write([]byte("more"))
		wantError(t, "write after CloseWrite", err, net.ErrClosed)
		if _, err := b.Write([]byte("answer")); err != nil {
			t.Fatal(err)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(a); err != nil || string(got) != "answer" {
			t.Errorf("%q and %v after the half-close", got, err)
		}
	})
}

// What was written before Close arrives, though the reader begins later.
func TestCloseSends(t *testing.T) {
	roles(t, func(t *testing.T, a, b *Conn) {
		sent := bytes.Repeat([]byte("x"), 200<<10)
		if _, err := a.Write(sent); err != nil {
			t.Fatal(err)
		}
		closed := make(chan error, 1)
		go func() { closed <- a.Close() }()
		got, err := io.ReadAll(b)
		if err != nil || len(got) != len(sent) {
			t.Errorf("%d bytes and %v, want %d", len(got), err, len(sent))
		}
		if err := <-closed; err != nil {
			t.Error(err)
		}
		_, err = a.Read(make([]byte, 1))
		wantError(t, "read after Close", err, net.ErrClosed)
		_, err = a.Write([]byte("x"))
		wantError(t, "write after Close", err, net.ErrClosed)
		_, err = b.Write([]byte("x"))
		wantError(t, "write to a closed side", err, syscall.EPIPE)
		wantError(t, "deadline after Close", a.SetDeadline(time.Time{}), net.ErrClosed)
	})
}

func TestReset(t *testing.T) {
	roles(t, func(t *testing.T, a, b *Conn) {
		if _, err := a.Write([]byte("lost")); err != nil {
			t.Fatal(err)
		}
		a.Reset()
		a.Reset()
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		_, err := io.Copy(io.Discard, b)
		wantError(t, "read after a reset", err, syscall.ECONNRESET)
		_, err = b.Write([]byte("x"))
		wantError(t, "write after a reset", err, syscall.ECONNRESET)
	})
}

// A connection that breaks is no end of a stream.
func TestBroken(t *testing.T) {
	roles(t, func(t *testing.T, a, b *Conn) {
		if _, err := a.Write([]byte("part")); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 4)
		if _, err := io.ReadFull(b, buf); err != nil {
			t.Fatal(err)
		}
		_ = a.out.rwc.Close()
		if n, err := b.Read(buf); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%d bytes and %v from a broken connection", n, err)
		}
	})
}

// Writes are taken up to the bound, then they wait, and a deadline frees them
// without harm.
func TestBackpressure(t *testing.T) {
	roles(t, func(t *testing.T, a, b *Conn) {
		const size = 64 << 20
		taken := 0
		_ = a.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
		block := make([]byte, 64<<10)
		for taken < size {
			n, err := a.Write(block)
			taken += n
			if err != nil {
				wantError(t, "write without a reader", err, os.ErrDeadlineExceeded)
				break
			}
		}
		if taken == size {
			t.Fatalf("%d bytes were taken that nobody read", taken)
		}
		b.in.update(func() {
			if n := b.in.unread(); n > 256<<10 || n < 128<<10 {
				t.Errorf("%d bytes unread", n)
			}
		})
		a.out.update(func() {
			if n := len(a.out.outbox) + a.out.busy; n > 256<<10 || n < 128<<10 {
				t.Errorf("%d bytes unsent", n)
			}
		})
		_ = a.SetWriteDeadline(time.Time{})
		go a.Close()
		if n, err := io.Copy(io.Discard, b); err != nil || n != int64(taken) {
			t.Errorf("%d bytes and %v, want %d", n, err, taken)
		}
	})
}

// raw is a WebSocket of a foreign program against a Conn.
func raw(t *testing.T) (*websocket.Conn, *Conn) {
	t.Helper()
	accepted := make(chan *Conn, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := Accept(w, r)
		if err != nil {
			t.Error(err)
		}
		accepted <- conn
	}))
	t.Cleanup(server.Close)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	ws, _, err := websocket.Dial(t.Context(), server.URL, &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ws.CloseNow() })
	conn := <-accepted
	t.Cleanup(conn.Reset)
	return ws, conn
}

func TestForeignMessages(t *testing.T) {
	write := func(kind websocket.MessageType, messages ...string) func(context.Context, *websocket.Conn) {
		return func(ctx context.Context, ws *websocket.Conn) {
			for _, m := range messages {
				_ = ws.Write(ctx, kind, []byte(m))
			}
		}
	}
	closeWith := func(code websocket.StatusCode) func(context.Context, *websocket.Conn) {
		return func(ctx context.Context, ws *websocket.Conn) {
			write(websocket.MessageBinary, "ab")(ctx, ws)
			_ = ws.Close(code, "")
		}
	}
	for name, c := range map[string]struct {
		do   func(context.Context, *websocket.Conn)
		got  string
		want error // of reading to the end
	}{
		"half-close":      {write(websocket.MessageBinary, "a", "b", ""), "ab", nil},
		"ended twice":     {write(websocket.MessageBinary, "ab", "", ""), "ab", nil},
		"end":             {closeWith(websocket.StatusNormalClosure), "ab", nil},
		"end, no code":    {closeWith(websocket.StatusNoStatusRcvd), "ab", nil},
		"reset":           {closeWith(websocket.StatusInternalError), "", syscall.ECONNRESET},
		"going away":      {closeWith(websocket.StatusGoingAway), "", syscall.ECONNRESET},
		"text":            {write(websocket.MessageText, "a"), "", errText},
		"cut":             {func(_ context.Context, ws *websocket.Conn) { _ = ws.CloseNow() }, "", io.ErrUnexpectedEOF},
		"large message":   {write(websocket.MessageBinary, strings.Repeat("m", 1<<20), ""), strings.Repeat("m", 1<<20), nil},
		"no byte at all":  {write(websocket.MessageBinary, ""), "", nil},
		"thousand pieces": {write(websocket.MessageBinary, append(strings.Split(strings.Repeat("p", 1000), ""), "")...), strings.Repeat("p", 1000), nil},
	} {
		t.Run(name, func(t *testing.T) {
			ws, conn := raw(t)
			done := make(chan struct{})
			go func() { defer close(done); c.do(t.Context(), ws) }()
			got, err := io.ReadAll(conn)
			if !errors.Is(err, c.want) || c.want == nil && err != nil {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if c.want == nil && string(got) != c.got {
				t.Errorf("%d bytes, want %d", len(got), len(c.got))
			}
			<-done
		})
	}
}

func TestDataAfterEnd(t *testing.T) {
	ws, conn := raw(t)
	for _, m := range []string{"a", "", "b"} {
		if err := ws.Write(t.Context(), websocket.MessageBinary, []byte(m)); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := ws.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusProtocolError {
		t.Errorf("answered with %v, want 1002", err)
	}
	_, err := conn.Write([]byte("x"))
	wantError(t, "write", err, errAfter)
}

// An empty Write must not look like a half-close.
func TestEmptyWrite(t *testing.T) {
	e := dialPair(t)
	if n, err := e.client.Write(nil); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	if _, err := e.client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 8)
	if n, err := e.server.Read(buf); n != 1 || err != nil {
		t.Errorf("%d bytes and %v", n, err)
	}
}

func TestDialRefused(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/away" {
			http.Redirect(w, r, "/", http.StatusFound)
			return
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(strings.Repeat("n", 5000)))
	}))
	defer server.Close()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	_, err := Dial(t.Context(), client, server.URL, nil)
	refused, ok := errors.AsType[*RefusedError](err)
	if !ok || refused.Status != 404 || len(refused.Body) != 5000 {
		t.Errorf("error %v, %+v", err, refused)
	}
	_, err = Dial(t.Context(), client, server.URL+"/away", nil)
	if refused, ok := errors.AsType[*RefusedError](err); !ok || refused.Status != http.StatusFound {
		t.Errorf("redirect: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = Dial(ctx, client, server.URL, nil)
	wantError(t, "canceled dial", err, context.Canceled)
}

// The context of Dial is that of the dialling only.
func TestDialContextEnds(t *testing.T) {
	accepted := make(chan *Conn, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _ := Accept(w, r)
		accepted <- conn
	}))
	defer server.Close()
	client := &http.Client{Transport: &http.Transport{}}
	ctx, cancel := context.WithCancel(t.Context())
	conn, err := Dial(ctx, client, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	other := <-accepted
	defer ends{conn, other}.close()
	cancel()
	client.CloseIdleConnections()
	for range 3 {
		if _, err := other.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if conn.LocalAddr().String() != other.RemoteAddr().String() {
		t.Errorf("addresses %s and %s", conn.LocalAddr(), other.RemoteAddr())
	}
}

func TestCheck(t *testing.T) {
	good := map[string]string{
		"Connection": "keep-alive, Upgrade", "Upgrade": "WebSocket",
		"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
	}
	request := func(change func(*http.Request)) *http.Request {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		for k, v := range good {
			r.Header.Set(k, v)
		}
		change(r)
		return r
	}
	if err := Check(request(func(*http.Request) {})); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*http.Request){
		"HTTP/2":        func(r *http.Request) { r.ProtoMajor, r.ProtoMinor = 2, 0 },
		"HTTP/1.0":      func(r *http.Request) { r.ProtoMinor = 0 },
		"no connection": func(r *http.Request) { r.Header.Set("Connection", "keep-alive") },
		"no upgrade":    func(r *http.Request) { r.Header.Del("Upgrade") },
		"other upgrade": func(r *http.Request) { r.Header.Set("Upgrade", "h2c") },
		"version":       func(r *http.Request) { r.Header.Set("Sec-WebSocket-Version", "8") },
		"key":           func(r *http.Request) { r.Header.Set("Sec-WebSocket-Key", "short") },
	} {
		if Check(request(change)) == nil {
			t.Errorf("%s: taken for a WebSocket", name)
		}
	}
}

package wsconn

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/staex-mcc/mcc/forward"
)

// bubblePair is a WebSocket over memory, for virtual time. The server's side of
// the network is handed out, so that a test can cut it.
func bubblePair(t *testing.T) (e ends, network *forward.PipeConn) {
	t.Helper()
	near, far := forward.Pipe()
	var request *http.Request
	client := &http.Client{Transport: trip(func(r *http.Request) *http.Response {
		request = r
		sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		return &http.Response{
			StatusCode: http.StatusSwitchingProtocols, Body: near,
			Header: http.Header{
				"Connection": {"Upgrade"}, "Upgrade": {"websocket"},
				"Sec-Websocket-Accept": {base64.StdEncoding.EncodeToString(sum[:])},
			},
		}
	})}
	var err error
	if e.client, err = Dial(t.Context(), client, "http://node/", nil); err != nil {
		t.Fatal(err)
	}
	if e.server, err = Accept(taken{far}, request); err != nil {
		t.Fatal(err)
	}
	return e, far
}

type trip func(*http.Request) *http.Response

func (f trip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }

// taken is a response whose connection is there for the taking.
type taken struct{ conn net.Conn }

func (taken) Header() http.Header         { return http.Header{} }
func (taken) WriteHeader(int)             {}
func (taken) Write(p []byte) (int, error) { return len(p), nil }
func (w taken) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.conn, bufio.NewReadWriter(bufio.NewReader(w.conn), bufio.NewWriter(w.conn)), nil
}

// A quiet connection stays for as long as the other side is there.
func TestQuietStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _ := bubblePair(t)
		defer e.close()
		time.Sleep(3 * time.Hour)
		if _, err := e.client.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if n, err := e.server.Read(make([]byte, 8)); n != 1 || err != nil {
			t.Errorf("%d bytes and %v", n, err)
		}
	})
}

// A reader that pauses for minutes is not taken for dead by either side, though
// it answers no pings meanwhile.
func TestPausedReaderStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _ := bubblePair(t)
		const size = 1 << 20
		wrote := make(chan error, 1)
		go func() {
			_, err := e.client.Write(make([]byte, size))
			wrote <- err
		}()
		time.Sleep(4 * time.Minute)
		if n, err := io.ReadFull(e.server, make([]byte, size)); err != nil {
			t.Errorf("%d bytes and %v", n, err)
		}
		if err := <-wrote; err != nil {
			t.Error(err)
		}
		e.close()
	})
}

// A side that has gone without a word is found: by the pings when nothing was
// under way, and after longer when something was.
func TestDeadIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		data  string
		limit time.Duration
	}{
		"quiet": {"", 2 * pingEvery},
		"busy":  {"data", stallWait + 3*pingEvery},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := forward.Pipe()
				e := silentServer(t, near, far)
				start := time.Now()
				if _, err := e.Write([]byte(c.data)); err != nil {
					t.Fatal(err)
				}
				_, err := e.Read(make([]byte, 1))
				wantError(t, "read", err, errDead)
				if took := time.Since(start); took > c.limit || took < pingEvery {
					t.Errorf("found after %v, want at most %v", took, c.limit)
				}
				_, err = e.Write([]byte("x"))
				wantError(t, "write", err, errDead)
				_ = e.Close()
				_ = far.Close()
			})
		})
	}
}

// silentServer is a Conn whose other side takes everything and says nothing.
func silentServer(t *testing.T, near, far *forward.PipeConn) *Conn {
	t.Helper()
	r, _ := http.NewRequest(http.MethodGet, "http://node/", nil)
	r.Header = http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"},
		"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="},
	}
	conn, err := Accept(taken{near}, r)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, far) }()
	return conn
}

// Who asks for ever and takes no answers is cut, and the memory stays bounded.
func TestPingFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := forward.Pipe()
		r, _ := http.NewRequest(http.MethodGet, "http://node/", nil)
		r.Header = http.Header{
			"Connection": {"Upgrade"}, "Upgrade": {"websocket"},
			"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="},
		}
		conn, err := Accept(taken{near}, r)
		if err != nil {
			t.Fatal(err)
		}
		defer far.Close()
		ping := append([]byte{0x89, 0x80 | 125, 0, 0, 0, 0}, make([]byte, 125)...) // masked with zeros
		sent := 0
		for ; sent < 16<<20; sent += len(ping) {
			_ = far.SetWriteDeadline(time.Now().Add(time.Second))
			if _, err := far.Write(ping); err != nil {
				break
			}
		}
		if sent >= 16<<20 {
			t.Error("a flood of pings was never cut")
		}
		conn.out.update(func() {
			if n := len(conn.out.outbox) + conn.out.busy; n > outboxSize {
				t.Errorf("%d bytes wait", n)
			}
		})
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Error("the connection lives on")
		}
		conn.Reset()
	})
}

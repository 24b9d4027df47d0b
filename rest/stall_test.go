package rest

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	mcc "github.com/staex-mcc/mcc"
)

// talkAndClose sends text and then no more.
func talkAndClose(t *testing.T, addr, text string) *bufio.Reader {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second)) // against hanging for ever
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	return bufio.NewReader(conn)
}

// zeros is a content without an end.
type zeros struct{}

func (zeros) ReadAt(p []byte, _ int64) (int, error) { clear(p); return len(p), nil }

// shortStall makes a handler that cuts soon.
func shortStall(t *testing.T, f *fakeNode) *Handler {
	h := newHandler(t, f, Options{})
	h.transfers.stall = 50 * time.Millisecond
	return h
}

// A client that stops reading stops the flow, and is cut.
func TestSlowReader(t *testing.T) {
	const size, most = 1 << 40, 32 << 20 // what two sockets and the handler hold is far less than most
	f := newFakeNode()
	f.addBlob("", mcc.Hash{1}, size, zeros{})
	f.opened = make(chan *openBlob, 1)
	h := shortStall(t, f)
	s := newServer(t, h)
	r := talk(t, s.Listener.Addr().String(), "GET /api/v1/blobs/"+mcc.Hash{1}.String()+" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != 200 || resp.ContentLength != size {
		t.Fatalf("%v %v", resp, err)
	}
	b := <-f.opened
	<-b.closed // without the client's doing
	if got := b.total(); got > most {
		t.Errorf("%d bytes were read for a client that takes none", got)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Error("the content ended as if it was whole")
	}
	if got := h.transfers.stalled.Load(); got != 1 {
		t.Errorf("%d counted", got)
	}
}

// A client that stops sending is told and cut.
func TestSlowWriter(t *testing.T) {
	f := newFakeNode()
	h := shortStall(t, f)
	s := newServer(t, h)
	for _, body := range []string{"Content-Length: 10\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "Content-Length: 10\r\n\r\n"} {
		r := talk(t, s.Listener.Addr().String(), "POST /api/v1/blobs HTTP/1.1\r\nHost: 127.0.0.1\r\n"+body)
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != 408 || !resp.Close || !strings.Contains(string(text), "urn:mcc:error:timeout") {
			t.Errorf("%q: %s %s", body, resp.Status, text)
		}
	}
	if len(f.blobs) != 0 || h.transfers.stalled.Load() != 3 {
		t.Errorf("stored %d, counted %d", len(f.blobs), h.transfers.stalled.Load())
	}
}

// After a content and after an upload the connection goes on, and no deadline
// is left behind.
func TestConnectionGoesOn(t *testing.T) {
	f := newFakeNode()
	f.addBlob("", mcc.Hash{1}, 3, strings.NewReader("abc"))
	h := newHandler(t, f, Options{})
	addr := newServer(t, h).Listener.Addr().String()
	const host = " HTTP/1.1\r\nHost: 127.0.0.1\r\n"
	r := talk(t, addr, "GET /api/v1/blobs/"+mcc.Hash{1}.String()+host+"\r\n"+
		"POST /api/v1/blobs"+host+"Content-Length: 3\r\n\r\nxyz"+
		"GET /api/v1/blobs/"+mcc.Hash{1}.String()+host+"Range: bytes=9-\r\n\r\n"+
		"HEAD /api/v1/blobs/"+mcc.Hash{1}.String()+host+"\r\n"+
		"PUT /api/v1/records/r"+host+"Content-Length: 1\r\n\r\nx"+
		"GET /api/v1/node"+host+"Connection: close\r\n\r\n")
	for i, want := range []int{200, 201, 416, 200, 201, 200} {
		request := &http.Request{Method: http.MethodGet}
		if i == 3 {
			request.Method = http.MethodHead
		}
		resp, err := http.ReadResponse(r, request)
		if err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != want {
			t.Errorf("answer %d: %s %v, want %d", i, resp.Status, err, want)
		}
	}
}

// countingListener counts what the server reads.
type countingListener struct {
	net.Listener
	read atomic.Int64
}

func (l *countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &countingConn{c, l}, nil
}

type countingConn struct {
	net.Conn
	l *countingListener
}

func (c *countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.l.read.Add(int64(n))
	return n, err
}

// Of a body of 1 GB where 64 KiB are allowed nothing is read beyond the bound,
// and of one that says so nothing at all.
func TestGigabyte(t *testing.T) {
	const gigabyte = 1 << 30
	for name, c := range map[string]struct {
		header string
		most   int64
	}{
		"declared": {"Content-Length: 1073741824\r\n\r\n", 8 << 10},
		"chunked":  {"Transfer-Encoding: chunked\r\n\r\n40000000\r\n", mcc.MaxValue + 16<<10},
	} {
		for _, request := range []string{"PUT /api/v1/records/r", "POST /api/v1/values", "PUT /api/v1/dids/did:mcc:x", "POST /api/v1/services"} {
			f := newFakeNode()
			h := newHandler(t, f, Options{})
			s := httptest.NewUnstartedServer(h)
			l := &countingListener{Listener: s.Listener}
			s.Listener, s.Config = l, NewServer(h)
			s.Start()
			conn, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			conn.SetDeadline(time.Now().Add(20 * time.Second)) // against hanging for ever
			io.WriteString(conn, request+" HTTP/1.1\r\nHost: 127.0.0.1\r\n"+c.header)
			sent := make(chan int64)
			go func() { n, _ := io.CopyN(conn, forEver{}, gigabyte); sent <- n }()
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatalf("%s %s: %v", name, request, err)
			}
			if resp.StatusCode != 413 || !resp.Close {
				t.Errorf("%s %s: %s, close %v", name, request, resp.Status, resp.Close)
			}
			if got := l.read.Load(); got > c.most {
				t.Errorf("%s %s: %d bytes were read", name, request, got)
			}
			conn.Close()
			if n := <-sent; n == gigabyte {
				t.Errorf("%s %s: all was taken", name, request)
			}
			s.Close()
			if len(f.records)+len(f.values)+len(f.dids)+len(f.services) != 0 {
				t.Errorf("%s %s: something is stored", name, request)
			}
		}
	}
}

type forEver struct{}

func (forEver) Read(p []byte) (int, error) { return len(p), nil }

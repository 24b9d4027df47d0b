package forward

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

const smuggled = "GET /echo/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"

// badBodies are chunked bodies that are malformed, each followed by what would
// be a request if it was read as one.
var badBodies = []string{
	"zz\r\n" + smuggled,
	"5\r\nhelloXX" + smuggled,
	"3\r\nabc\r\n-1\r\n" + smuggled,
	"0\r\nbad trailer\r\n\r\n" + smuggled,
}

// lastAnswer reads the answer that must be the last of its connection.
func lastAnswer(t *testing.T, r *bufio.Reader) (*http.Response, string) {
	t.Helper()
	resp, body := readAnswer(t, r)
	if resp.StatusCode >= 400 && !resp.Close {
		t.Errorf("%s does not announce the end of the connection", resp.Status)
	}
	if next, err := http.ReadResponse(r, nil); err == nil {
		t.Errorf("after %s the connection went on with %s", resp.Status, next.Status)
	}
	return resp, body
}

// What follows a body that could not be read must not be taken for a request.
func TestBadBodyEndsConnection(t *testing.T) {
	m := newMesh(t, GatewayConfig{})
	m.offerHandler("echo", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", r.URL.Path, body)
	})
	m.offerHandler("early", func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		io.WriteString(w, "no need to read")
	})
	const head = " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, body := range badBodies {
		for _, service := range []string{"echo", "nobody"} {
			c, r := m.connect()
			send(t, c, "POST /"+service+"/"+head+body)
			lastAnswer(t, r)
		}
		// Answered before the body went wrong: the answer is whole.
		c, r := m.connect()
		send(t, c, "POST /early/"+head+"1\r\na\r\n")
		if _, answer := readAnswer(t, r); answer != "no need to read" {
			t.Errorf("early answer %q", answer)
		}
		_, _ = io.WriteString(c, body) // the connection may have ended already
		if next, err := http.ReadResponse(r, nil); err == nil {
			t.Errorf("after the early answer the connection went on with %s", next.Status)
		}
		// Answered while the body goes wrong: the answer may be cut, and is the
		// only one.
		c, r = m.connect()
		send(t, c, "POST /early/"+head+body)
		if all, _ := io.ReadAll(r); strings.Count(string(all), "HTTP/1.1 ") != 1 {
			t.Errorf("after %q: want one answer, got %q", body, all)
		}
	}
}

// The same on a stream, whose other end is a stranger's node.
func TestBadBodyEndsStream(t *testing.T) {
	b := backend(t, "tcp://"+serveTCP(t, func(c net.Conn) {
		readHead(bufio.NewReader(c))
		io.Copy(io.Discard, c)
	}), BackendOptions{})
	down := backend(t, "tcp://127.0.0.1:1", BackendOptions{Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("down")
	}})
	down.reached.Store(1 << 62) // so that the request and not the stream fails
	for _, one := range []*Backend{b, down} {
		for _, body := range badBodies {
			far, _ := stream(t, one, true)
			send(t, far, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"+body)
			lastAnswer(t, bufio.NewReader(far))
		}
	}
}

// A body that was read to its end costs nothing.
func TestGoodBodyKeepsConnection(t *testing.T) {
	m := newMesh(t, GatewayConfig{})
	m.offerHandler("echo", func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	c, r := m.connect()
	for range 3 {
		for _, body := range []string{"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "Content-Length: 3\r\n\r\nabc"} {
			send(t, c, "POST /echo/ HTTP/1.1\r\nHost: x\r\n"+body)
			if resp, got := readAnswer(t, r); resp.Close || got != "abc" {
				t.Fatalf("close %v, %q", resp.Close, got)
			}
		}
	}
}

// Whoever asks for a tunnel may already have sent what belongs into it.
func TestRefusedTunnelEndsConnection(t *testing.T) {
	m := newMesh(t, GatewayConfig{})
	c, r := m.connect()
	send(t, c, "CONNECT nobody.mcc:80 HTTP/1.1\r\nHost: nobody.mcc:80\r\n\r\n"+smuggled)
	lastAnswer(t, r)
	far, _ := stream(t, backend(t, "tcp://"+serveTCP(t, echo), BackendOptions{}), true)
	send(t, far, "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"+smuggled)
	lastAnswer(t, bufio.NewReader(far))
	m.gateway.Close()
	c, r = m.connect()
	send(t, c, "CONNECT nobody.mcc:80 HTTP/1.1\r\nHost: nobody.mcc:80\r\n\r\n"+smuggled)
	lastAnswer(t, r)
}

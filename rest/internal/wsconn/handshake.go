package wsconn

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"

	"github.com/coder/websocket"
)

// maxRefusal bounds the body that is kept of an answer without upgrade.
const maxRefusal = 64 << 10

// RefusedError is a server's answer that is no upgrade.
type RefusedError struct {
	Status int
	Header http.Header
	// Body is what the server says, at most 64 KiB of it.
	Body []byte
}

// Error names the status.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("the server answered %d %s instead of a WebSocket", e.Status, http.StatusText(e.Status))
}

// Dial opens a WebSocket as a Conn. The URL's scheme is http or https. ctx
// bounds the dialling only. Redirects are not followed. An answer without
// upgrade is a *RefusedError.
func Dial(ctx context.Context, client *http.Client, url string, header http.Header) (*Conn, error) {
	ws, tap, err := dial(ctx, client, url, header)
	if err != nil {
		return nil, err
	}
	return newConn(ws, tap.link), nil
}

// DialMessages opens a WebSocket of text messages, for the caller to read with
// the library. Pings are the server's.
func DialMessages(ctx context.Context, client *http.Client, url string, header http.Header) (*websocket.Conn, net.Addr, error) {
	ws, tap, err := dial(ctx, client, url, header)
	if err != nil {
		return nil, nil, err
	}
	return ws, tap.link.addr(net.Conn.LocalAddr), nil
}

func dial(ctx context.Context, client *http.Client, url string, header http.Header) (*websocket.Conn, *tap, error) {
	t := &tap{base: client.Transport}
	if t.base == nil {
		t.base = http.DefaultTransport
	}
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) { t.conn = info.Conn },
	})
	own := *client
	own.Transport = t
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	ws, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: &own, HTTPHeader: header})
	switch {
	case err == nil:
		return ws, t, nil
	case t.refused != nil:
		return nil, nil, t.refused
	}
	return nil, nil, err
}

// tap takes the connection, or the refusal, out of the handshake's answer.
type tap struct {
	base    http.RoundTripper
	conn    net.Conn
	link    *link
	refused *RefusedError
}

// RoundTrip implements http.RoundTripper.
func (t *tap) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if rwc, ok := resp.Body.(io.ReadWriteCloser); ok && resp.StatusCode == http.StatusSwitchingProtocols {
		t.link = newLink(rwc, t.conn)
		resp.Body = t.link
		return resp, nil
	}
	said, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefusal)) // a part will do
	_ = resp.Body.Close()
	t.refused = &RefusedError{Status: resp.StatusCode, Header: resp.Header, Body: said}
	resp.Body = http.NoBody
	return resp, nil
}

// Check reports why r asks for no WebSocket, RFC 6455 4.2.1; nil is that it
// does.
func Check(r *http.Request) error {
	switch {
	case r.ProtoMajor != 1 || r.ProtoMinor < 1:
		return fmt.Errorf("a WebSocket needs HTTP/1.1, not %s", r.Proto)
	case !hasToken(r.Header, "Connection", "upgrade") || !hasToken(r.Header, "Upgrade", "websocket"):
		return fmt.Errorf("this is for WebSockets: send Connection: Upgrade and Upgrade: websocket")
	case r.Header.Get("Sec-WebSocket-Version") != "13":
		return fmt.Errorf("the WebSocket's version must be 13")
	}
	if key, err := base64.StdEncoding.DecodeString(r.Header.Get("Sec-WebSocket-Key")); err != nil || len(key) != 16 {
		return fmt.Errorf("Sec-WebSocket-Key must be 16 bytes in base64")
	}
	return nil
}

// hasToken looks for a word in a list of them, RFC 9110 5.6.1.
func hasToken(h http.Header, name, token string) bool {
	for _, line := range h.Values(name) {
		for word := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(word), token) {
				return true
			}
		}
	}
	return false
}

// Accept upgrades a request that [Check] has found right. Which origins may ask
// is the caller's business: nothing is looked at here. On an error the request
// has been answered.
func Accept(w http.ResponseWriter, r *http.Request) (*Conn, error) {
	ws, link, err := accept(w, r)
	if err != nil {
		return nil, err
	}
	return newConn(ws, link), nil
}

// AcceptMessages upgrades to a WebSocket of text messages, for the caller to
// use with the library.
func AcceptMessages(w http.ResponseWriter, r *http.Request) (*websocket.Conn, error) {
	ws, _, err := accept(w, r)
	return ws, err
}

func accept(w http.ResponseWriter, r *http.Request) (*websocket.Conn, *link, error) {
	h := &hijacker{ResponseWriter: w}
	ws, err := websocket.Accept(h, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return nil, nil, err
	}
	return ws, h.link, nil
}

// hijacker puts a link between the library and the network.
type hijacker struct {
	http.ResponseWriter
	link *link
}

// Hijack implements http.Hijacker.
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.link = newLink(conn, conn)
	return linkConn{conn, h.link}, bufio.NewReadWriter(rw.Reader, bufio.NewWriter(h.link)), nil
}

// linkConn is a link where the library wants a whole net.Conn.
type linkConn struct {
	net.Conn
	link *link
}

func (c linkConn) Read(p []byte) (int, error)  { return c.link.Read(p) }
func (c linkConn) Write(p []byte) (int, error) { return c.link.Write(p) }
func (c linkConn) Close() error                { return c.link.Close() }

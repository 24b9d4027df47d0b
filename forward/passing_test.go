package forward

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRawPathAndQueryPass(t *testing.T) {
	m := newMesh(t, GatewayConfig{})
	m.offerRaw("raw", func(c net.Conn, r *bufio.Reader) {
		for {
			line, _, _ := strings.Cut(readHead(r), "\r\n")
			if line == "" {
				return
			}
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(line), line)
		}
	})
	for _, path := range []string{
		"/a%2Fb//c/../d?x=1;y", "/", "/?", "//double//", "/%7Euser/%e4?q=%zz&&=", "/a;b=1,c|d?[x]={y}", "/..%2f..%2F", "/ä", "//[x]?a", "//x%2fy",
	} {
		_, body := m.exchange(fmt.Sprintf(get, "/raw"+path))
		want := "GET " + path + " HTTP/1.1"
		if body != want {
			t.Errorf("%s: the service was asked %q", path, body)
		}
	}
	// After two slashes what no client may send plain is escaped, and no more.
	if _, body := m.exchange(fmt.Sprintf(get, "/raw//x|y%2fz%C3%a4\"?|")); body != "GET //x%7Cy%2fz%C3%a4%22?| HTTP/1.1" {
		t.Errorf("the service was asked %q", body)
	}
	if _, body := m.exchange(fmt.Sprintf(get, "/raw")); body != "GET / HTTP/1.1" {
		t.Errorf("empty path: the service was asked %q", body)
	}
}

// serviceHeaders sends a request with extra header lines and returns what the
// service gets.
func serviceHeaders(t *testing.T, extra string) http.Header {
	t.Helper()
	m := newMesh(t, GatewayConfig{})
	var got http.Header
	m.offerHandler("h", func(_ http.ResponseWriter, r *http.Request) {
		got = r.Header.Clone()
		got.Set("Host", r.Host)
	})
	resp, body := m.exchange("GET /h/ HTTP/1.1\r\nHost: front:1\r\n" + extra + "\r\n")
	if resp.StatusCode != 200 {
		t.Fatalf("%s: %s", resp.Status, body)
	}
	return got
}

func TestServiceHeaders(t *testing.T) {
	want := http.Header{
		"Host":                {"h.mcc"},
		"Mcc-Peer-Id":         {"z6MkAlice"},
		"Mcc-Peer-Label":      {"alice"},
		"Mcc-Peer-Consortium": {"acme"},
		"X-Forwarded-For":     {"127.0.0.1"},
		"X-Forwarded-Host":    {"front:1"},
		"X-Forwarded-Proto":   {"http"},
		"X-Forwarded-Prefix":  {"/h"},
	}
	forged := "Mcc-Peer-Id: z6MkMallory\r\nMCC-PEER-LABEL: root\r\nMcc_Peer_Id: x\r\nMcc-Peer-Other: x\r\nmcc-peer_id: x\r\n" +
		"Mcc-Policy: nearest\r\nMcc-Node: n\r\nMcc-Tag: t\r\n" +
		"Connection: X-Drop, Mcc-Peer-Id\r\nX-Drop: x\r\nKeep-Alive: x\r\nProxy-Authorization: x\r\nForwarded: for=x\r\n"
	for _, extra := range []string{"", forged} {
		if diff := cmp.Diff(want, serviceHeaders(t, extra)); diff != "" {
			t.Errorf("with %q: %s", extra, diff)
		}
	}
}

func TestForwardedOfLocalProxyIsKept(t *testing.T) {
	got := serviceHeaders(t, "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Host: www.example\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Prefix: /mcc/\r\n")
	for name, want := range map[string]string{
		"X-Forwarded-For": "192.0.2.7, 127.0.0.1", "X-Forwarded-Host": "www.example",
		"X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/mcc/h",
	} {
		if got.Get(name) != want {
			t.Errorf("%s = %q; want %q", name, got.Get(name), want)
		}
	}
}

func TestForwardedOfOthersIsReplaced(t *testing.T) {
	in := httptest.NewRequest("GET", "http://front/x", nil)
	in.RemoteAddr = "192.0.2.9:1234"
	for _, name := range forwardedHeaders {
		in.Header.Set(name, "forged")
	}
	out := in.Clone(t.Context())
	setForwarded(out, in, "")
	want := http.Header{"X-Forwarded-For": {"192.0.2.9"}, "X-Forwarded-Host": {"front"}, "X-Forwarded-Proto": {"http"}}
	if diff := cmp.Diff(want, out.Header); diff != "" {
		t.Error(diff)
	}
	if key := stickyKey(in); key != "192.0.2.9" {
		t.Errorf("sticky to %q", key)
	}
	in.RemoteAddr = "127.0.0.1:1"
	in.Header.Set("X-Forwarded-For", "198.51.100.1, 198.51.100.2")
	if key := stickyKey(in); key != "198.51.100.2" {
		t.Errorf("sticky to %q behind a local proxy", key)
	}
}

// What the service sends arrives, no more and no less: no guessed type, no
// compression.
func TestAnswerHeadersPass(t *testing.T) {
	m := newMesh(t, GatewayConfig{})
	m.offerRaw("raw", func(c net.Conn, r *bufio.Reader) {
		head := readHead(r)
		fmt.Fprintf(c, "HTTP/1.1 299 Fine\r\nX-A: 1\r\nX-A: 2\r\nDate: then\r\nContent-Length: 6\r\nKeep-Alive: x\r\n\r\n<html>")
		if strings.Contains(head, "Accept-Encoding") || strings.Contains(head, "User-Agent") {
			t.Errorf("the service was asked %q", head)
		}
	})
	resp, body := m.exchange(fmt.Sprintf(get, "/raw/"))
	want := http.Header{"X-A": {"1", "2"}, "Date": {"then"}, "Content-Length": {"6"}}
	if diff := cmp.Diff(want, resp.Header); diff != "" || resp.StatusCode != 299 || body != "<html>" {
		t.Errorf("%s %q %s", resp.Status, body, diff)
	}
}

func TestTrailersPassBothWays(t *testing.T) {
	m := newMesh(t, GatewayConfig{})
	m.offerHandler("t", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s", body)
		w.Header().Set("X-Sum", fmt.Sprintf("%v", r.Trailer))
		w.Header().Set(http.TrailerPrefix+"X-Late", "unannounced")
	})
	resp, body := m.exchange("POST /t/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n" +
		"Trailer: X-In, Mcc-Peer-Id\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-In: 5\r\nMcc-Peer-Id: forged\r\nMcc_peer_label: forged\r\n\r\n")
	if body != "abcde" || resp.Trailer.Get("X-Sum") != "map[X-In:[5]]" || resp.Trailer.Get("X-Late") != "unannounced" {
		t.Errorf("body %q, trailer %v", body, resp.Trailer)
	}
}

func TestAnswersStreamAtOnce(t *testing.T) {
	m := newMesh(t, GatewayConfig{})
	next := make(chan string)
	m.offerHandler("sse", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		if r.URL.Path == "/plain" { // depends neither on the type nor on chunks
			w.Header().Set("Content-Type", "text/plain")
			w.Header().Set("Content-Length", "26")
		}
		for range 2 {
			event := <-next
			fmt.Fprintf(w, "data: %s\n\n", event)
			w.(http.Flusher).Flush()
		}
	})
	for _, path := range []string{"/sse/events", "/sse/plain"} {
		c, r := m.connect()
		send(t, c, fmt.Sprintf(get, path))
		next <- "first"
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		wantRead(t, resp.Body, "data: first\n\n")
		next <- "later"
		wantRead(t, resp.Body, "data: later\n\n")
		wantEOF(t, resp.Body)
	}
}

// Neither side waits for the other's end: what the service echoes is read
// before more is sent.
func TestStreamingBothWays(t *testing.T) {
	m := newMesh(t, GatewayConfig{})
	m.offerHandler("echo", func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		rc.EnableFullDuplex()
		w.WriteHeader(200)
		rc.Flush()
		buf := make([]byte, 100)
		for {
			n, err := r.Body.Read(buf)
			w.Write(buf[:n])
			rc.Flush()
			if err != nil {
				return
			}
		}
	})
	c, r := m.connect()
	send(t, c, "POST /echo/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
	readHead(r)
	for _, word := range []string{"one", "two", "six"} {
		send(t, c, "3\r\n"+word+"\r\n")
		wantRead(t, r, "3\r\n"+word+"\r\n")
	}
	send(t, c, "0\r\n\r\n")
	wantRead(t, r, "0\r\n\r\n")
	send(t, c, fmt.Sprintf(get, "/echo/")) // and the connection lives on
	if resp, _ := readAnswer(t, r); resp.StatusCode != 200 {
		t.Error(resp.Status)
	}
}

func TestExpectContinue(t *testing.T) {
	m := newMesh(t, GatewayConfig{})
	m.offerHandler("yes", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "got %s", body)
	})
	m.offerHandler("no", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	})
	ask := "POST /%s/ HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
	c, r := m.connect()
	send(t, c, fmt.Sprintf(ask, "yes"))
	if head := readHead(r); !strings.HasPrefix(head, "HTTP/1.1 100 ") {
		t.Fatalf("instead of 100: %q", head)
	}
	send(t, c, "body")
	if _, body := readAnswer(t, r); body != "got body" {
		t.Errorf("answer %q", body)
	}
	if resp, _ := m.exchange(fmt.Sprintf(ask, "no")); resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a refusal before the body became %s", resp.Status)
	}
}

// A service must not shake off the caller's headers by sending an informational
// answer first.
func TestPresetHeadersSurviveInformational(t *testing.T) {
	m := newMesh(t, GatewayConfig{})
	m.offerHandler("hints", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</x>")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("Content-Security-Policy", "default-src *")
		w.WriteHeader(200)
	})
	inner := m.front.Config.Handler
	m.front.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "sandbox")
		inner.ServeHTTP(w, r)
	})
	c, r := m.connect()
	send(t, c, fmt.Sprintf(get, "/hints/"))
	if head := readHead(r); !strings.HasPrefix(head, "HTTP/1.1 103 ") || !strings.Contains(head, "Link: </x>") {
		t.Errorf("hints: %q", head)
	}
	resp, _ := readAnswer(t, r)
	if diff := cmp.Diff([]string{"sandbox", "default-src *"}, resp.Header["Content-Security-Policy"]); diff != "" {
		t.Error(diff)
	}
}

// upgradeEcho is a minimal WebSocket-like service.
func upgradeEcho(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Connection") != "Upgrade" || r.Header.Get("Upgrade") != "websocket" {
		fmt.Fprintf(w, "no upgrade: %q", r.Header.Get("Upgrade"))
		return
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Caller: "+
		r.Header.Get(HeaderPeerID)+"\r\n\r\n")
	io.Copy(conn, rw)
	io.WriteString(conn, "bye")
}

func TestWebSocketUpgrade(t *testing.T) {
	m := newMesh(t, GatewayConfig{})
	m.offerHandler("ws", upgradeEcho)
	c, r := m.connect()
	// The first frame follows at once, which lands in the server's buffer.
	send(t, c, "GET /ws/chat HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\nearly")
	head := readHead(r)
	if !strings.HasPrefix(head, "HTTP/1.1 101 ") || !strings.Contains(head, "X-Caller: z6MkAlice") {
		t.Fatalf("answer %q", head)
	}
	wantRead(t, r, "early")
	big := pattern(1 << 20)
	go c.Write(big)
	got := make([]byte, len(big))
	if _, err := io.ReadFull(r, got); err != nil {
		t.Fatal(err)
	}
	wantBytes(t, got, big)
	c.(*net.TCPConn).CloseWrite()
	wantRead(t, r, "bye") // the half-close went through
	wantEOF(t, r)
}

// An upgrade to a protocol that carries requests would lead past the rules for
// headers.
func TestUpgradeToHTTPIsRefused(t *testing.T) {
	m := newMesh(t, GatewayConfig{})
	m.offerHandler("ws", upgradeEcho)
	for _, name := range []string{"h2c", "H2C", "websocket, h2c", "HTTP/2.0", "TLS/1.2"} {
		_, body := m.exchange("GET /ws/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: " + name + "\r\nHTTP2-Settings: AAMAAABk\r\n\r\n")
		if body != `no upgrade: ""` {
			t.Errorf("upgrade to %s: %q", name, body)
		}
	}
}

func TestSmugglingIsRefused(t *testing.T) {
	m := newMesh(t, GatewayConfig{})
	var asked []string
	m.offerHandler("s", func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = append(asked, fmt.Sprintf("%s %s %q %v", r.Method, r.URL.Path, body, r.Header["Content-Length"]))
	})
	for _, head := range []string{
		"Content-Length: 3\r\nContent-Length: 4\r\n",
		"Content-Length: 3, 4\r\n",
		"Content-Length: +3\r\n",
		"Content-Length: 0x3\r\n",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
		"Transfer-Encoding: identity, chunked\r\n",
		"Transfer-Encoding: xchunked\r\n",
		"Transfer-Encoding: \x0bchunked\r\n",
		"Transfer-Encoding : chunked\r\n",
		"X-A: b\r\n Transfer-Encoding: chunked\r\n: x\r\n",
		"X\x00: y\r\n",
	} {
		resp, _ := m.exchange("POST /s/ HTTP/1.1\r\nHost: x\r\n" + head + "\r\n3\r\nabc\r\n0\r\n\r\n")
		if resp.StatusCode < 400 || len(asked) > 0 {
			t.Fatalf("%q: %s, service was asked %v", head, resp.Status, asked)
		}
	}
	// Both at once: the message is chunked, and no length is passed on.
	m.exchange("POST /s/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /s/smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
	if len(asked) == 0 || asked[0] != `POST / "abc" []` {
		t.Errorf("service was asked %v", asked)
	}
}

func TestRawPathOf(t *testing.T) {
	for target, want := range map[string]string{
		"/a%2Fb?x": "/a%2Fb", "*": "*", "http://h/a//b?x": "/a//b", "http://h": "", "http://h?x=/": "", "h:80": "",
	} {
		if got := RawPath(&http.Request{RequestURI: target}); got != want {
			t.Errorf("RawPath(%q) = %q; want %q", target, got, want)
		}
	}
}

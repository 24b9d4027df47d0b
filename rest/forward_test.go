package rest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	mcc "github.com/staex-mcc/mcc"
	"github.com/staex-mcc/mcc/forward"
)

// echo answers with its name, the method, the path as it came and the body.
func echo(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		content, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %s", name, r.Method, r.RequestURI, content)
	})
}

func TestForwardPath(t *testing.T) {
	f := newFakeNode()
	f.backend(t, "files", echo("files"))
	f.backend(t, "files.acme", echo("acme"))
	s := newServer(t, newHandler(t, f, Options{}))
	for request, want := range map[string]string{
		"GET /api/v1/forward/files":                       "files GET / ",
		"GET /api/v1/forward/files/":                      "files GET / ",
		"GET /api/v1/forward/files?q=1":                   "files GET /?q=1 ",
		"GET /api/v1/forward/files/a/b?x=%2F&y":           "files GET /a/b?x=%2F&y ",
		"PUT /api/v1/forward/files//a/../b//./c":          "files PUT //a/../b//./c body",
		"POST /api/v1/forward/files/a%2Fb%20c/%e2%82%ac":  "files POST /a%2Fb%20c/%e2%82%ac body",
		"DELETE /api/v1/forward/files/x|y":                "files DELETE /x|y body",
		"GET /api/v1/forward/files.acme/":                 "acme GET / ",
		"POST /api/v1/forward/files/api/v1/forward/other": "files POST /api/v1/forward/other body",
		"OPTIONS /api/v1/forward/files/x":                 "files OPTIONS /x ",
		"BREW /api/v1/forward/files/pot":                  "files BREW /pot body",
	} {
		method, path, _ := strings.Cut(request, " ")
		content := "body"
		if method == "GET" || method == "OPTIONS" {
			content = ""
		}
		if status, got := raw(t, s.Listener.Addr().String(), method, path, "127.0.0.1", content); status != 200 || got != want {
			t.Errorf("%s: %d %q, want %q", request, status, got, want)
		}
	}
}

// raw sends a request line as it is, which http.Client would not.
func raw(t *testing.T, addr, method, path, host, content string) (int, string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%s", method, path, host, len(content), content)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text)
}

func TestForwardHost(t *testing.T) {
	f := newFakeNode()
	f.backend(t, "files", echo("files"))
	h := newHandler(t, f, Options{})
	s := newServer(t, h)
	addr := s.Listener.Addr().String()
	for _, host := range []string{"files.mcc", "files.mcc:8080", "FILES.mcc", "files.mcc.", "files.mcc.localhost:8080"} {
		for path, want := range map[string]string{
			"/": "files GET / ", "/api/v1/node": "files GET /api/v1/node ", "//a/../b?q": "files GET //a/../b?q ",
			"/healthz": "files GET /healthz ", "/api/v1/forward/other/": "files GET /api/v1/forward/other/ ",
		} {
			if status, got := raw(t, addr, "GET", path, host, ""); status != 200 || got != want {
				t.Errorf("%s %s: %d %q", host, path, status, got)
			}
		}
	}
	if w := do(t, h, "GET /", "", "Host: files.mcc"); w.Header().Get("Content-Security-Policy") != "" {
		t.Error("a service under its own name needs no sandbox")
	}
	if w := do(t, h, "GET /", "", "Host: files.mcc.localhost:8080", "Origin: http://files.mcc.localhost:8080", "Sec-Fetch-Site: same-origin"); w.Code != 200 {
		t.Errorf("a service's own page: %d", w.Code)
	}
	wantProblem(t, do(t, h, "GET /", "", "Host: files.mcc.localhost:8080", "Origin: http://127.0.0.1:8080"), 403, "origin")
}

func TestForwardProxy(t *testing.T) {
	f := newFakeNode()
	f.backend(t, "files", echo("files"))
	h := newHandler(t, f, Options{})
	s := newServer(t, h)
	addr := s.Listener.Addr().String()
	for target, want := range map[string]string{
		"http://files.mcc/a//b?q":               "files GET /a//b?q ",
		"http://files.mcc":                      "files GET / ",
		"http://files.mcc:80/api/v1/node":       "files GET /api/v1/node ",
		"http://files.mcc.localhost/%2F":        "files GET /%2F ",
		"http://files.mcc/x?u=http://a.example": "files GET /x?u=http://a.example ",
	} {
		if status, got := raw(t, addr, "GET", target, "files.mcc", ""); status != 200 || got != want {
			t.Errorf("%s: %d %q", target, status, got)
		}
	}
	for _, target := range []string{
		"GET http://example.com/", "GET http://127.0.0.1/api/v1/node", "GET http://localhost/", "GET https://files.mcc/",
		"GET ftp://files.mcc/", "GET http://mcc/", "GET http://files.mcc.example.com/",
	} {
		wantProblem(t, do(t, h, target, ""), 403, "proxy")
	}
	proxied := newHandler(t, f, Options{Token: testToken})
	w := do(t, proxied, "GET http://files.mcc/", "")
	wantProblem(t, w, 407, "unauthorized")
	if w.Header().Get("Proxy-Authenticate") == "" {
		t.Error("no Proxy-Authenticate")
	}
	// As curl -x does it.
	ps := newServer(t, proxied)
	through, _ := url.Parse(ps.URL)
	through.User = url.UserPassword("mcc", testToken)
	tr := &http.Transport{Proxy: http.ProxyURL(through)}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr}).Get("http://files.mcc/x")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); string(text) != "files GET /x " {
		t.Errorf("%s %q", resp.Status, text)
	}
}

func TestConnect(t *testing.T) {
	f := newFakeNode()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	f.backends["ssh"] = ln.Addr().String()
	served := make(chan struct{})
	go greetOnce(ln, served)
	s := newServer(t, newHandler(t, f, Options{}))
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "CONNECT ssh.mcc:22 HTTP/1.1\r\nHost: ssh.mcc:22\r\n\r\n")
	br := bufio.NewReader(conn)
	resp, err := http.ReadResponse(br, &http.Request{Method: http.MethodConnect})
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%v %v", resp, err)
	}
	fmt.Fprint(conn, "hello\n")
	if line, _ := br.ReadString('\n'); line != "you said hello\n" {
		t.Errorf("got %q", line)
	}
	conn.Close()
	<-served
	for _, target := range []string{"example.com:443", "127.0.0.1:22", "localhost:22", "mcc:22"} {
		if status, text := raw(t, s.Listener.Addr().String(), "CONNECT", target, target, ""); status != 403 || !strings.Contains(text, "urn:mcc:error:proxy") {
			t.Errorf("CONNECT %s: %d %s", target, status, text)
		}
	}
	if status, text := raw(t, s.Listener.Addr().String(), "CONNECT", "nobody.mcc:1", "nobody.mcc:1", ""); status != 503 || !strings.Contains(text, "no-provider") {
		t.Errorf("CONNECT to nobody: %d %s", status, text)
	}
}

// greetOnce answers one line of one connection.
func greetOnce(ln net.Listener, served chan<- struct{}) {
	defer close(served)
	conn, err := ln.Accept()
	if err != nil {
		return
	}
	defer conn.Close()
	if line, err := bufio.NewReader(conn).ReadString('\n'); err == nil {
		fmt.Fprint(conn, "you said ", line)
	}
}

func TestForwardChoice(t *testing.T) {
	f := newFakeNode()
	var seen http.Header
	f.backend(t, "files", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r.Header.Clone() }))
	h := newHandler(t, f, Options{})
	do(t, h, "GET /api/v1/forward/files/", "", "Mcc-Policy: random", "Mcc-Node: gate", "Mcc-Tag: blue", "X-Own: 1")
	got := f.lastChoice()
	if got.Policy != "random" || got.Node != "gate" || got.Tag != "blue" || !got.HTTP {
		t.Errorf("choice %+v", got)
	}
	if seen.Get("X-Own") != "1" || seen.Get("Mcc-Policy") != "" || seen.Get("Mcc-Node") != "" || seen.Get("Mcc-Tag") != "" {
		t.Errorf("the service saw %v", seen)
	}
	dialled := len(f.choices)
	wantProblem(t, do(t, h, "GET /api/v1/forward/files/", "", "Mcc-Policy: fastest"), 422, "invalid")
	wantProblem(t, do(t, h, "GET /api/v1/forward/a%0d%0ab/", ""), 422, "invalid")
	wantProblem(t, do(t, h, "GET /api/v1/forward/a%20b/", ""), 422, "invalid")
	wantProblem(t, do(t, h, "GET /api/v1/forward/.mcc/", ""), 422, "invalid")
	wantProblem(t, do(t, h, "GET /x", "", "Host: a$b.mcc"), 422, "invalid")
	if len(f.choices) != dialled {
		t.Error("an invalid request was dialled")
	}
}

func TestForwardErrors(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		code   string
	}{
		{mcc.ErrNoProvider, 503, "no-provider"},
		{mcc.ErrUnreachable, 502, "unreachable"},
		{mcc.ErrDenied, 403, "denied"},
		{mcc.ErrInvalid, 422, "invalid"},
		{forward.ErrInvalid, 422, "invalid"},
		{forward.ErrBusy, 503, "busy"},
		{mcc.ErrAmbiguous, 409, "ambiguous"},
		{context.DeadlineExceeded, 504, "deadline"},
		{errPlain, 502, "unreachable"},
	} {
		f := newFakeNode()
		f.err = fmt.Errorf("dial files: %w", c.err)
		h := newHandler(t, f, Options{})
		wantProblem(t, do(t, h, "GET /api/v1/forward/files/", ""), c.status, c.code)
		wantProblem(t, do(t, h, "GET /", "", "Host: files.mcc"), c.status, c.code)
	}
}

func TestSandbox(t *testing.T) {
	f := newFakeNode()
	f.backend(t, "files", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src *")
		if r.URL.Path == "/early" {
			w.WriteHeader(http.StatusEarlyHints)
		}
		w.WriteHeader(http.StatusTeapot)
	}))
	h := newHandler(t, f, Options{})
	s := newServer(t, h)
	for _, path := range []string{"/", "/early"} {
		resp, err := http.Get(s.URL + "/api/v1/forward/files" + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := resp.Header["Content-Security-Policy"]; resp.StatusCode != 418 || !slices.Equal(got, []string{"default-src *", "sandbox"}) {
			t.Errorf("%s: %d %q", path, resp.StatusCode, got)
		}
	}
	w := do(t, h, "GET /api/v1/forward/nobody/", "")
	if !slices.Contains(w.Header().Values("Content-Security-Policy"), "sandbox") {
		t.Error("an error by path has no sandbox")
	}
}

// One client connection carries any mix, in any order: what the original could
// not do.
func TestOneConnection(t *testing.T) {
	f := newFakeNode()
	f.backend(t, "one", echo("one"))
	f.backend(t, "two", echo("two"))
	s := newServer(t, newHandler(t, f, Options{}))
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	br := bufio.NewReader(conn)
	for i, c := range []struct{ line, host, content, want string }{
		{"GET /api/v1/node", "127.0.0.1", "", `{"id":"`},
		{"POST /api/v1/forward/one/a", "127.0.0.1", "x", "one POST /a x"},
		{"GET /b", "two.mcc", "", "two GET /b "},
		{"POST /api/v1/services", "127.0.0.1", "{", "urn:mcc:error:malformed"},
		{"GET http://one.mcc/c", "one.mcc", "", "one GET /c "},
		{"GET /api/v1/forward/nobody/", "127.0.0.1", "", "urn:mcc:error:no-provider"},
		{"POST /d", "one.mcc.localhost", "y", "one POST /d y"},
		{"GET /api/v1/nothing", "127.0.0.1", "", "urn:mcc:error:not-found"},
		{"GET /", "evil.example", "", "urn:mcc:error:host"},
		{"PUT /api/v1/forward/two/e", "127.0.0.1", strings.Repeat("z", 100<<10), "two PUT /e zzz"},
		{"GET /api/v1/peers", "127.0.0.1", "", `{"peers":[]`},
	} {
		fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%s", c.line, c.host, len(c.content), c.content)
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatalf("request %d %s: %v", i, c.line, err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if !strings.Contains(string(text), c.want) || resp.Close {
			t.Errorf("request %d %s: %s (close %v) %.80s", i, c.line, resp.Status, resp.Close, text)
		}
	}
}

func TestMountedUnderPrefix(t *testing.T) {
	f := newFakeNode()
	f.backend(t, "files", echo("files"))
	h := newHandler(t, f, Options{})
	mounted := http.StripPrefix("/mesh", h)
	if w := do(t, mounted, "GET /mesh/api/v1/node", ""); w.Code != 200 {
		t.Errorf("node: %d", w.Code)
	}
	s := httptest.NewServer(mounted)
	defer s.Close()
	if status, got := raw(t, s.Listener.Addr().String(), "GET", "/mesh/api/v1/forward/files/a%2Fb?q", "127.0.0.1", ""); status != 200 || got != "files GET /a%2Fb?q " {
		t.Errorf("forward: %d %q", status, got)
	}
}

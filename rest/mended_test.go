package rest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	mcc "github.com/staex-mcc/mcc"
)

// talk sends text as it is and returns a reader of the answers.
func talk(t *testing.T, addr, text string) *bufio.Reader {
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
	return bufio.NewReader(conn)
}

// What follows a body that could not be read, or a tunnel that was refused, is
// no request.
func TestNothingFollowsWhatIsRefused(t *testing.T) {
	f := newFakeNode()
	f.backend(t, "web", echo("web"))
	addr := newServer(t, newHandler(t, f, Options{})).Listener.Addr().String()
	const next = "GET /api/v1/node HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
	const chunked = "Host: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, request := range []string{
		"POST /api/v1/forward/web/x HTTP/1.1\r\n" + chunked + "zz\r\n",
		"POST /api/v1/forward/web/x HTTP/1.1\r\n" + chunked + "5\r\nhelloXX",
		"POST /api/v1/forward/nobody/x HTTP/1.1\r\n" + chunked + "zz\r\n",
		"POST /api/v1/forward/a%20b/x HTTP/1.1\r\n" + chunked + "zz\r\n",
		"POST /api/v1/services HTTP/1.1\r\n" + chunked + "zz\r\n",
		"POST /healthz HTTP/1.1\r\n" + chunked + "zz\r\n",
		"CONNECT example.com:80 HTTP/1.1\r\nHost: example.com:80\r\n\r\n",
		"CONNECT nobody.mcc:80 HTTP/1.1\r\nHost: nobody.mcc:80\r\n\r\n",
		"CONNECT a$b.mcc:80 HTTP/1.1\r\nHost: a$b.mcc:80\r\n\r\n",
	} {
		r := talk(t, addr, request+next)
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("%q: %v", request, err)
		}
		io.Copy(io.Discard, resp.Body)
		if resp.StatusCode < 400 || !resp.Close {
			t.Errorf("%q: %s, close %v", request, resp.Status, resp.Close)
		}
		if second, err := http.ReadResponse(r, nil); err == nil {
			t.Errorf("%q: after %s came %s", request, resp.Status, second.Status)
		}
	}
}

func TestForwardTrailers(t *testing.T) {
	f := newFakeNode()
	f.backend(t, "web", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, r.Trailer)
	}))
	addr := newServer(t, newHandler(t, f, Options{})).Listener.Addr().String()
	r := talk(t, addr, "POST / HTTP/1.1\r\nHost: web.mcc\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n")
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := io.ReadAll(resp.Body); string(got) != "map[X-Sum:[7]]" {
		t.Errorf("the service got the trailers %s", got)
	}
}

// OPTIONS * asks whom the Host names, a service or this node.
func TestOptionsOfAll(t *testing.T) {
	f := newFakeNode()
	service := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Method, " ", r.RequestURI)
	}))
	service.Config.DisableGeneralOptionsHandler = true
	service.Start()
	defer service.Close()
	f.backends["web"] = service.Listener.Addr().String()
	addr := newServer(t, newHandler(t, f, Options{})).Listener.Addr().String()
	for host, want := range map[string]string{"web.mcc": "200 OPTIONS *", "127.0.0.1": "204 ", "evil.example": "403"} {
		status, text := raw(t, addr, "OPTIONS", "*", host, "")
		if got := fmt.Sprintf("%d %s", status, text); got != want && !(status == 403 && want == "403") {
			t.Errorf("%s: %q; want %q", host, got, want)
		}
	}
}

func TestForwardedEventsAreNotHeldBack(t *testing.T) {
	f := newFakeNode()
	f.backend(t, "web", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", r.URL.Query().Get("type"))
	}))
	h := newHandler(t, f, Options{})
	for mediaType, want := range map[string]string{
		"text/event-stream": "no", "Text/Event-Stream%3Bcharset=utf-8": "no", "text/plain": "", "text/event-streams": "",
	} {
		w := do(t, h, "GET /?type="+mediaType, "", "Host: web.mcc")
		if got := w.Header().Get("X-Accel-Buffering"); w.Code != 200 || got != want {
			t.Errorf("%s: %d %q", mediaType, w.Code, got)
		}
	}
}

func TestWatchOfImpossibleName(t *testing.T) {
	h := newHandler(t, newFakeNode(), Options{})
	for _, name := range []string{"UPPER", "a_b", "-a", "a-", "a.", ".a", "a%20b"} {
		wantProblem(t, do(t, h, "GET /api/v1/discovery/"+name+"/watch", ""), 422, "invalid")
	}
	for _, name := range []string{"a-1", "a.Acme_1.x"} {
		if w := do(t, h, "HEAD /api/v1/discovery/"+name+"/watch", ""); w.Code != 200 {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
}

func TestForwardToBusyProvider(t *testing.T) {
	f := newFakeNode()
	f.err = fmt.Errorf("dial files: %w: %w", mcc.ErrUnreachable, mcc.ErrBusy)
	wantProblem(t, do(t, newHandler(t, f, Options{}), "GET /", "", "Host: files.mcc"), 503, "busy")
}

package rest

import (
	"bufio"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// Whatever the request line: no panic, and what is cut off the front of a path
// and what is left make up the path as it came.
func FuzzTarget(f *testing.F) {
	seeds := []string{
		"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"GET /api/v1/forward/files/a%2Fb//../c?q=/x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
		"GET /api/v1/forward/fil%65s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
		"GET http://files.mcc?x HTTP/1.1\r\nHost: a\r\n\r\n",
		"CONNECT files.mcc:22 HTTP/1.1\r\nHost: files.mcc:22\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: files.mcc.localhost\r\n\r\n",
		"GET //api/v1/forward/x|y HTTP/1.0\r\n\r\n",
	}
	if len(seeds) == 0 {
		f.Fatal("no seeds")
	}
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
		if err != nil {
			return
		}
		to, p := targetOf(r)
		if p != nil || to.service == "" {
			return
		}
		if r.Method != http.MethodConnect && r.RequestURI != "*" && !strings.HasPrefix(to.rawPath, "/") {
			t.Errorf("path %q of %q", to.rawPath, r.RequestURI)
		}
		if to.prefix == "" {
			return
		}
		before, _, _ := strings.Cut(r.RequestURI, "?")
		if whole := to.prefix + to.rawPath; whole != before && whole != before+"/" {
			t.Errorf("%q became %q and %q", r.RequestURI, to.prefix, to.rawPath)
		}
		if name, err := url.PathUnescape(strings.TrimPrefix(to.prefix, forwardPrefix)); err != nil || name != to.service {
			t.Errorf("%q is for %q", r.RequestURI, to.service)
		}
	})
}

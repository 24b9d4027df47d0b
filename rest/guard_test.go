package rest

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestHost(t *testing.T) {
	f := newFakeNode()
	h := newHandler(t, f, Options{AllowHosts: []string{"Node.Example"}})
	for _, host := range []string{
		"127.0.0.1", "127.0.0.1:8080", "[::1]:8080", "[::1]", "192.0.2.1:80", "localhost", "localhost:8080", "LOCALHOST",
		"localhost.", "a.b.localhost:1", "node.example", "NODE.example:8080", "mcc.localhost",
	} {
		if w := do(t, h, "GET /healthz", "", "Host: "+host); w.Code != 200 {
			t.Errorf("%q: %d %s", host, w.Code, w.Body)
		}
	}
	for _, host := range []string{
		"", "evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example", "notlocalhost", "mcc",
		"node.example.evil.example", "x.node.example", "files.mcc.evil.example",
	} {
		wantProblem(t, do(t, h, "GET /healthz", "", "Host: "+host), 403, "host")
		wantProblem(t, do(t, h, "POST /api/v1/services", `{}`, "Host: "+host), 403, "host")
		wantProblem(t, do(t, h, "GET /api/v1/forward/files/", "", "Host: "+host), 403, "host")
	}
	if len(f.choices) != 0 {
		t.Error("a refused request was dialled")
	}
}

func TestOptionsRefused(t *testing.T) {
	for _, o := range []Options{
		{CORS: []string{"null"}},
		{CORS: []string{"example.com"}},
		{CORS: []string{"http://a/path"}},
		{CORS: []string{""}},
		{AllowHosts: []string{"a:80"}},
		{AllowHosts: []string{""}},
		{AllowHosts: []string{"http://a"}},
	} {
		if _, err := New(newFakeNode(), o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
	if _, err := New(nil, Options{}); err == nil {
		t.Error("no node was taken")
	}
}

// The whole matrix of who may send what.
func TestOrigin(t *testing.T) {
	const listed, foreign = "https://app.example", "https://evil.example"
	for _, c := range []struct {
		name     string
		cors     string
		origin   string
		site     string
		admitted bool
		allow    string // Access-Control-Allow-Origin
	}{
		{name: "plain client", admitted: true},
		{name: "address bar", site: "none", admitted: true},
		{name: "own page", origin: "http://127.0.0.1:8080", site: "same-origin", admitted: true},
		{name: "own page behind TLS", origin: "https://127.0.0.1:8080", site: "same-origin", admitted: true},
		{name: "own page, old browser", origin: "http://127.0.0.1:8080", admitted: true},
		{name: "other port", origin: "http://127.0.0.1:9090"},
		{name: "other name of the same", origin: "http://localhost:8080", site: "cross-site"},
		{name: "sandboxed page", origin: "null", site: "cross-site"},
		{name: "foreign page", origin: foreign, site: "cross-site"},
		{name: "foreign page, old browser", origin: foreign},
		{name: "claims same-origin", origin: foreign, site: "same-origin"},
		{name: "link or image elsewhere", site: "cross-site"},
		{name: "neighbour", site: "same-site"},
		{name: "listed", cors: listed, origin: listed, site: "cross-site", admitted: true, allow: listed},
		{name: "listed, default port", cors: "https://App.example:443/", origin: listed, site: "cross-site", admitted: true, allow: listed},
		{name: "not the listed one", cors: listed, origin: foreign, site: "cross-site"},
		{name: "listed, other scheme", cors: listed, origin: "http://app.example", site: "cross-site"},
		{name: "listed, other port", cors: listed, origin: listed + ":8443", site: "cross-site"},
		{name: "image with a list", cors: listed, site: "cross-site"},
		{name: "null with a list", cors: listed, origin: "null", site: "cross-site"},
		{name: "any", cors: "*", origin: foreign, site: "cross-site", admitted: true, allow: "*"},
		{name: "any, sandboxed", cors: "*", origin: "null", site: "cross-site", admitted: true, allow: "*"},
		{name: "any, image", cors: "*", site: "cross-site", admitted: true},
		{name: "own page with any", cors: "*", origin: "http://127.0.0.1:8080", site: "same-origin", admitted: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFakeNode()
			f.backend(t, "files", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Access-Control-Allow-Origin", "http://service.says")
				w.Header().Set("Access-Control-Allow-Credentials", "true")
			}))
			opts := Options{}
			if c.cors != "" {
				opts.CORS = []string{c.cors}
			}
			h := newHandler(t, f, opts)
			headers := []string{}
			if c.origin != "" {
				headers = append(headers, "Origin: "+c.origin)
			}
			if c.site != "" {
				headers = append(headers, "Sec-Fetch-Site: "+c.site)
			}
			for _, request := range []string{"GET /api/v1/node", "GET /", "GET /healthz", "GET /api/v1/forward/files/", "POST /api/v1/forward/files/"} {
				w := do(t, h, request, "", headers...)
				if !c.admitted {
					wantProblem(t, w, 403, "origin")
					if got := w.Header().Get("Access-Control-Allow-Origin"); got != "" {
						t.Errorf("%s: refused, but Allow-Origin %q", request, got)
					}
					continue
				}
				if w.Code != 200 {
					t.Fatalf("%s: %d %s", request, w.Code, w.Body)
				}
				allow := w.Header().Values("Access-Control-Allow-Origin")
				if c.allow != "" && !slices.Equal(allow, []string{c.allow}) {
					t.Errorf("%s: Allow-Origin %q, want %q", request, allow, c.allow)
				}
				if c.allow != "" && w.Header().Get("Access-Control-Allow-Credentials") != "" {
					t.Errorf("%s: credentials are allowed", request)
				}
				if c.allow == "" && !strings.Contains(request, "forward") && len(allow) > 0 {
					t.Errorf("%s: Allow-Origin %q without need", request, allow)
				}
				if varies := slices.Contains(w.Header().Values("Vary"), "Origin"); varies != (c.cors != "") {
					t.Errorf("%s: Vary %q", request, w.Header().Values("Vary"))
				}
			}
		})
	}
}

func TestPreflight(t *testing.T) {
	ask := []string{
		"Origin: https://app.example", "Access-Control-Request-Method: PUT",
		"Access-Control-Request-Headers: authorization,content-type", "Access-Control-Request-Private-Network: true",
	}
	f := newFakeNode()
	h := newHandler(t, f, Options{CORS: []string{"https://app.example"}, Token: "secret"})
	for _, path := range []string{"/api/v1/loglevel", "/api/v1/forward/files/x", "/session"} {
		w := do(t, h, "OPTIONS "+path, "", ask...)
		if w.Code != 204 || w.Body.Len() != 0 {
			t.Fatalf("%s: %d %s", path, w.Code, w.Body)
		}
		for name, want := range map[string]string{
			"Access-Control-Allow-Origin":          "https://app.example",
			"Access-Control-Allow-Methods":         "PUT",
			"Access-Control-Allow-Headers":         "authorization,content-type",
			"Access-Control-Allow-Private-Network": "true",
			"Access-Control-Allow-Credentials":     "",
		} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s: %s %q, want %q", path, name, got, want)
			}
		}
	}
	if got := do(t, h, "OPTIONS /api/v1/node", "", ask[:2]...).Header().Get("Access-Control-Allow-Private-Network"); got != "" {
		t.Errorf("private network without being asked: %q", got)
	}
	ask[0] = "Origin: https://evil.example"
	wantProblem(t, do(t, h, "OPTIONS /api/v1/loglevel", "", ask...), 403, "origin")
	if len(f.choices) != 0 {
		t.Error("a preflight was forwarded")
	}
	star := newHandler(t, newFakeNode(), Options{CORS: []string{"*"}})
	if got := do(t, star, "OPTIONS /api/v1/node", "", ask...).Header().Get("Access-Control-Allow-Origin"); got != "*" {
		t.Errorf("Allow-Origin %q", got)
	}
}

func TestOwnHeaders(t *testing.T) {
	h := newHandler(t, newFakeNode(), Options{Monitoring: true})
	for _, path := range []string{"/", "/swagger/", "/api/v1/node", "/nothing", "/openapi.json", "/healthz", "/metrics"} {
		hd := do(t, h, "GET "+path, "").Header()
		if hd.Get("X-Content-Type-Options") != "nosniff" ||
			!strings.HasPrefix(hd.Get("Content-Security-Policy"), "default-src 'none'; ") ||
			!strings.Contains(hd.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
			t.Errorf("%s: %v", path, hd)
		}
	}
}

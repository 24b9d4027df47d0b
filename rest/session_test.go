package rest

import (
	"crypto/tls"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

const testToken = "correct horse"

func TestToken(t *testing.T) {
	f := newFakeNode()
	f.backend(t, "files", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	h := newHandler(t, f, Options{Token: testToken, Monitoring: true})
	good := []string{"Authorization: Bearer " + testToken}
	for _, path := range []string{
		"/", "/swagger/", "/swagger/swagger-ui.css", "/openapi.json", "/metrics", "/nothing",
		"/api/v1/node", "/api/v1/services", "/api/v1/discovery/a", "/api/v1/forward/files/healthz", "/api/v1/discovery/a/watch",
	} {
		for _, bad := range [][]string{
			nil,
			{"Authorization: Bearer wrong"},
			{"Authorization: Bearer "},
			{"Authorization: " + testToken},
			{"Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("mcc:"+testToken))},
			{"Cookie: mcc_session=" + testToken},
			{"Cookie: mcc_session="},
		} {
			w := do(t, h, "GET "+path, "", bad...)
			wantProblem(t, w, 401, "unauthorized")
			if !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Bearer") {
				t.Errorf("%s: WWW-Authenticate %q", path, w.Header().Get("WWW-Authenticate"))
			}
		}
		if strings.HasSuffix(path, "watch") {
			continue // it would last
		}
		if w := do(t, h, "GET "+path, "", good...); w.Code != 200 && w.Code != 404 {
			t.Errorf("%s with the token: %d", path, w.Code)
		}
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if w := do(t, h, "GET "+path, ""); w.Code != 200 {
			t.Errorf("%s without token: %d", path, w.Code)
		}
	}
	// The same path at a service is not this node's.
	wantProblem(t, do(t, h, "GET /healthz", "", "Host: files.mcc"), 401, "unauthorized")
	wantProblem(t, do(t, h, "POST /session", "", "Host: files.mcc"), 401, "unauthorized")
	if w := do(t, h, "GET /api/v1/node", "", "Authorization: bearer  "+testToken); w.Code != 200 {
		t.Errorf("scheme in lower case: %d", w.Code)
	}
}

func TestSession(t *testing.T) {
	h := newHandler(t, newFakeNode(), Options{Token: testToken})
	wantProblem(t, do(t, h, "POST /session", ""), 401, "unauthorized")
	wantProblem(t, do(t, h, "POST /session", "", "Authorization: Bearer wrong"), 401, "unauthorized")
	w := do(t, h, "POST /session", "", "Authorization: Bearer "+testToken)
	cookies := w.Result().Cookies()
	if w.Code != 204 || len(cookies) != 1 {
		t.Fatalf("%d %v", w.Code, cookies)
	}
	c := cookies[0]
	if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Secure || c.Path != "/" || strings.Contains(c.Value, testToken) {
		t.Errorf("cookie %+v", c)
	}
	cookie := "Cookie: other=1; " + c.Name + "=" + c.Value
	if w := do(t, h, "GET /api/v1/node", "", cookie); w.Code != 200 {
		t.Errorf("with the cookie: %d", w.Code)
	}
	w = do(t, h, "DELETE /session", "", cookie)
	if w.Code != 204 || w.Result().Cookies()[0].MaxAge >= 0 {
		t.Errorf("DELETE: %d %v", w.Code, w.Header())
	}
	wantProblem(t, do(t, h, "GET /api/v1/node", "", cookie), 401, "unauthorized")

	r := httptest.NewRequest("POST", "/session", nil)
	r.Host, r.TLS = "127.0.0.1", &tls.ConnectionState{}
	r.Header.Set("Authorization", "Bearer "+testToken)
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	if got := rec.Result().Cookies(); len(got) != 1 || !got[0].Secure {
		t.Errorf("over TLS: %v", got)
	}
	w = do(t, newHandler(t, newFakeNode(), Options{}), "POST /session", "")
	if w.Code != 204 || len(w.Result().Cookies()) != 0 {
		t.Errorf("without a token there is no session: %d %v", w.Code, w.Header())
	}
}

// A browser gets in by the form, without scripts.
func TestLoginForm(t *testing.T) {
	h := newHandler(t, newFakeNode(), Options{Token: testToken})
	html := "Accept: text/html,*/*"
	w := do(t, h, "GET /", "", html)
	if w.Code != 401 || !strings.Contains(w.Body.String(), `<form method="post" action="session">`) {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	wantProblem(t, do(t, h, "POST /api/v1/values", "x", html), 401, "unauthorized")
	wantProblem(t, do(t, h, "GET /", "", html, "Host: files.mcc"), 401, "unauthorized")
	form := []string{"Content-Type: application/x-www-form-urlencoded", "Origin: http://127.0.0.1:8080"}
	if w := do(t, h, "POST /session", "token=wrong", form...); w.Code != 401 || len(w.Result().Cookies()) != 0 {
		t.Errorf("wrong token: %d %v", w.Code, w.Header())
	}
	w = do(t, h, "POST /session", "token=correct+horse", form...)
	if w.Code != 303 || w.Header().Get("Location") != "./" || len(w.Result().Cookies()) != 1 {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	c := w.Result().Cookies()[0]
	if w := do(t, h, "GET /", "", html, "Cookie: "+c.Name+"="+c.Value); w.Code != 200 || !strings.Contains(w.Body.String(), "<h1>gate</h1>") {
		t.Errorf("after login: %d %s", w.Code, w.Body)
	}
	if w := do(t, h, "POST /session", "token="+strings.Repeat("x", 8<<10), form...); w.Code != 401 {
		t.Errorf("huge form: %d", w.Code)
	}
	form[1] = "Origin: http://evil.example"
	wantProblem(t, do(t, h, "POST /session", "token=correct+horse", form...), 403, "origin")
}

// The form leads back to the page that asked for it, and nowhere else.
func TestLoginLeadsBack(t *testing.T) {
	h := newHandler(t, newFakeNode(), Options{Token: testToken})
	for _, c := range []struct{ path, action, next string }{
		{"/", "session", "/"},
		{"/swagger/", "../session", "/swagger/"},
		{"/api/v1/blobs?limit=5", "../../session", "/api/v1/blobs?limit=5"},
		{"/api/v1/forward/files/a%2Fb//", "../../../../../../session", "/api/v1/forward/files/a%2Fb//"},
		{"/" + strings.Repeat("x", maxNext), "session", "/"},
	} {
		w := do(t, h, "GET "+c.path, "", "Accept: text/html,*/*")
		want := `<form method="post" action="` + c.action + `">`
		if w.Code != 401 || !strings.Contains(w.Body.String(), want) || !strings.Contains(w.Body.String(), `name="next" value="`+c.next+`"`) {
			t.Errorf("%.40s: %d %s", c.path, w.Code, w.Body.String()[strings.Index(w.Body.String(), "</style>"):])
		}
	}
	for next, want := range map[string]string{
		"": "./", "/": "./", "/swagger/": "./swagger/", "/a%2Fb?c=d": "./a%2Fb?c=d", "//evil.example/x": "./evil.example/x",
		"https://evil.example": "./https://evil.example", `/\evil.example`: "./%5Cevil.example", "/a\r\nb": "./", "/%zz": "./",
	} {
		form := url.Values{"token": {testToken}, "next": {next}}
		w := do(t, h, "POST /session", form.Encode(), "Content-Type: application/x-www-form-urlencoded", "Origin: http://127.0.0.1:8080")
		if got := w.Header().Get("Location"); w.Code != 303 || got != want {
			t.Errorf("next %q: %d to %q, want %q", next, w.Code, got, want)
		}
	}
	w := do(t, h, "POST /session", "token=wrong&next=/swagger/", "Content-Type: application/x-www-form-urlencoded")
	if !strings.Contains(w.Body.String(), `action="session"`) || !strings.Contains(w.Body.String(), `name="next" value="/swagger/"`) {
		t.Errorf("a wrong token forgets the page: %d", w.Code)
	}
}

func TestSessionsBounded(t *testing.T) {
	gate := newTokenGate(testToken)
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	first := gate.begin(start)
	second := gate.begin(start.Add(time.Second))
	for i := range maxSessions - 1 {
		gate.begin(start.Add(time.Minute + time.Duration(i)))
	}
	if len(gate.sessions) != maxSessions {
		t.Errorf("%d sessions", len(gate.sessions))
	}
	if gate.hasSession(first, start) || !gate.hasSession(second, start) {
		t.Error("not the oldest one ended")
	}
	if gate.hasSession(second, start.Add(time.Second+sessionLife)) {
		t.Error("a session outlives its time")
	}
}

// A service must never see what opens this node.
func TestTokenStaysHere(t *testing.T) {
	f := newFakeNode()
	var seen http.Header
	f.backend(t, "files", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header.Clone()
		w.Header().Add("Set-Cookie", "mcc_session=forged; Path=/")
		w.Header().Add("Set-Cookie", "own=1")
		w.Header().Set("Clear-Site-Data", `"cookies"`)
	}))
	h := newHandler(t, f, Options{Token: testToken})
	basic := base64.StdEncoding.EncodeToString([]byte("mcc:" + testToken))
	session := h.tokens.begin(time.Now())
	for name, headers := range map[string][]string{
		"bearer": {"Authorization: Bearer " + testToken, "Cookie: a=1; mcc_session=" + session + "; b=2"},
		"proxy":  {"Proxy-Authorization: Basic " + basic, "Authorization: Bearer for-the-service", "Cookie: mcc_session=x"},
		"cookie": {"Cookie: mcc_session=" + session, "Authorization: Basic dTpw"},
	} {
		t.Run(name, func(t *testing.T) {
			w := do(t, h, "GET /api/v1/forward/files/", "", headers...)
			if w.Code != 200 {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			for key, values := range seen {
				text := strings.Join(values, ",")
				if strings.Contains(text, testToken) || strings.Contains(text, session) || strings.Contains(text, basic) || strings.Contains(text, sessionCookie) {
					t.Errorf("the service saw %s: %s", key, text)
				}
			}
			if got := w.Header().Values("Set-Cookie"); len(got) != 1 || got[0] != "own=1" {
				t.Errorf("Set-Cookie %q", got)
			}
			if w.Header().Get("Clear-Site-Data") != "" {
				t.Error("a service may clear this origin")
			}
		})
	}
	// net/http's proxy would drop this one too; CONNECT has no such help.
	hd := http.Header{"Proxy-Authorization": {"Bearer " + testToken}}
	h.tokens.strip(hd)
	if len(hd) != 0 {
		t.Errorf("left: %v", hd)
	}
	do(t, h, "GET /api/v1/forward/files/", "", "Proxy-Authorization: Bearer "+testToken, "Authorization: Bearer theirs", "Cookie: a=1; b=2")
	if seen.Get("Authorization") != "Bearer theirs" || seen.Get("Cookie") != "a=1; b=2" {
		t.Errorf("the service's own credentials are lost: %v", seen)
	}
}

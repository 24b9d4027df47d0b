package rest

import (
	"regexp"
	"strings"
	"testing"
)

// Without scripts the page shows the facts all the same.
func TestPages(t *testing.T) {
	f := newFakeNode()
	f.info.Consortium = `<script>alert(1)</script>`
	f.notReady = []string{"<b>late</b>"}
	h := newHandler(t, f, everything())
	w := do(t, h, "GET /", "")
	text := w.Body.String()
	for _, want := range []string{
		`href="swagger/"`, `href="openapi.json"`, `href="metrics"`, `href="healthz"`, "<style>" + style + "</style>", "not ready", "&lt;b&gt;late",
		f.info.ID.String(), f.info.DID, "127.0.0.1:9376", "1.2.3", "1m30s", "&lt;script&gt;alert(1)",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(text, "<script>") || strings.Contains(text, "late</b>") || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("%v %s", w.Header(), text)
	}
	if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "style-src '"+hashOf(style)+"'") {
		t.Errorf("CSP %q", csp)
	}
	if w := do(t, h, "GET /swagger", ""); w.Code != 308 || w.Header().Get("Location") != "swagger/" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	w = do(t, h, "GET /swagger/", "")
	if strings.Contains(w.Body.String(), "://") {
		t.Error("Swagger UI loads from elsewhere")
	}
	// All that the page names is there, of the right kind.
	for _, m := range regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(w.Body.String(), -1) {
		file := do(t, h, "GET /swagger/"+m[1], "")
		ct := file.Header().Get("Content-Type")
		kind := map[string]string{"css": "text/css", "js": "javascript", "png": "image/png"}[m[1][strings.LastIndex(m[1], ".")+1:]]
		if file.Code != 200 || file.Body.Len() == 0 || !strings.Contains(ct, kind) {
			t.Errorf("%s: %d %q, %d bytes", m[1], file.Code, ct, file.Body.Len())
		}
	}
	bundle := do(t, h, "GET /swagger/swagger-ui-bundle.js", "")
	if !strings.Contains(bundle.Body.String(), "SwaggerUIBundle") {
		t.Error("the bundle is not the bundle")
	}
}

// What the front page and its scripts name is there, is a script, and lets
// nothing from elsewhere in.
func TestDashboardFiles(t *testing.T) {
	h := newHandler(t, newFakeNode(), Options{})
	w := do(t, h, "GET /", "")
	csp := w.Header().Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
		if !strings.Contains(csp, want) {
			t.Errorf("policy %q lacks %s", csp, want)
		}
	}
	if strings.Contains(csp, "unsafe") {
		t.Errorf("policy %q", csp)
	}
	seen := map[string]bool{}
	for files := []string{"main.js"}; len(files) > 0; files = files[1:] {
		if seen[files[0]] {
			continue
		}
		seen[files[0]] = true
		w := do(t, h, "GET /dashboard/"+files[0], "")
		text := w.Body.String()
		if w.Code != 200 || w.Header().Get("Content-Type") != "text/javascript; charset=utf-8" {
			t.Errorf("%s: %d %v", files[0], w.Code, w.Header())
		}
		for _, bad := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "://"} {
			if strings.Contains(text, bad) {
				t.Errorf("%s uses %s", files[0], bad)
			}
		}
		for _, m := range regexp.MustCompile(`from "\./([^"]*)"|import "\./([^"]*)"`).FindAllStringSubmatch(text, -1) {
			files = append(files, m[1]+m[2])
		}
		if again := do(t, h, "GET /dashboard/"+files[0], "", "If-None-Match: "+w.Header().Get("ETag")); again.Code != 304 {
			t.Errorf("%s again: %d, want 304", files[0], again.Code)
		}
	}
	if len(seen) < 5 {
		t.Errorf("only %d scripts", len(seen))
	}
}

// Without the token there is nothing but the form to enter it.
func TestLoginPage(t *testing.T) {
	h := newHandler(t, newFakeNode(), Options{Token: testToken})
	w := do(t, h, "GET /", "", "Accept: text/html")
	text := w.Body.String()
	if w.Code != 401 || !strings.Contains(text, `type="password"`) || strings.Contains(text, "gate") || strings.Contains(text, "<script") {
		t.Errorf("%d %s", w.Code, text)
	}
	if csp := w.Header().Get("Content-Security-Policy"); strings.Contains(csp, "script-src") || !strings.Contains(csp, "form-action 'self'") {
		t.Errorf("policy %q", csp)
	}
	wantProblem(t, do(t, h, "GET /dashboard/main.js", ""), 401, "unauthorized")
}

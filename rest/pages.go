package rest

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/swaggest/swgui/v5emb"
)

// The pages load nothing from elsewhere: the user interface must work on an
// island.
var (
	//go:embed page/style.css
	style string
	//go:embed page/index.html
	indexText string
	//go:embed page/login.html
	loginText string
	//go:embed page/icon.svg
	iconText string
	//go:embed page/dashboard
	dashboard embed.FS
	//go:embed page/swagger.html
	swaggerPage []byte
	//go:embed page/swagger.js
	swaggerScript []byte
)

var (
	indexPage = template.Must(template.New("index").Parse(indexText))
	loginPage = template.Must(template.New("login").Parse(loginText))
)

// Content security policies of the pages and of everything else that is ours.
var (
	apiPolicy   = "default-src 'none'; frame-ancestors 'none'"
	loginPolicy = "default-src 'none'; style-src '" + hashOf(style) +
		"'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	// With trusted types the browser itself refuses to make markup of a text.
	pagePolicy = loginPolicy + "; script-src 'self'; connect-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'"
	// Swagger UI sets style attributes and draws its icons from data URLs.
	swaggerPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; " +
		"img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

// icon is the picture of our pages. It is part of them, since a browser that
// has no token yet gets nothing else.
var icon = template.URL("data:image/svg+xml;base64," + base64.StdEncoding.EncodeToString([]byte(iconText)))

// hashOf is the source expression that admits one inline text (CSP level 3,
// 2.3.1).
func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// setOwnHeaders protects every answer that is not a service's.
func setOwnHeaders(hd http.Header) {
	hd.Set("X-Content-Type-Options", "nosniff")
	hd.Set("Content-Security-Policy", apiPolicy)
	// Not no-referrer: forms of our pages need their Origin.
	hd.Set("Referrer-Policy", "same-origin")
}

// swaggerFiles are what the page needs of the embedded distribution.
var swaggerFiles = []string{
	"swagger-ui.css", "swagger-ui-bundle.js", "swagger-ui-standalone-preset.js", "favicon-16x16.png", "favicon-32x32.png",
}

func (h *Handler) registerPages() {
	h.mux.HandleFunc("GET /{$}", h.index)
	h.registerScripts()
	h.mux.HandleFunc("GET /swagger", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "swagger/")
		w.WriteHeader(http.StatusPermanentRedirect)
	})
	h.mux.HandleFunc("GET /swagger/{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", swaggerPolicy)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(swaggerPage)
	})
	h.mux.HandleFunc("GET /swagger/start.js", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		_, _ = w.Write(swaggerScript)
	})
	files := v5emb.New("MCC", "../openapi.json", "/swagger/")
	for _, name := range swaggerFiles {
		h.mux.Handle("GET /swagger/"+name, files)
	}
}

// registerScripts serves the scripts of the dashboard.
func (h *Handler) registerScripts() {
	files, err := fs.ReadDir(dashboard, "page/dashboard")
	if err != nil { // BUG: it is part of the program
		panic("rest: read dashboard: " + err.Error())
	}
	for _, f := range files {
		text, err := dashboard.ReadFile(path.Join("page/dashboard", f.Name()))
		if err != nil { // BUG: likewise
			panic("rest: read dashboard: " + err.Error())
		}
		h.mux.HandleFunc("GET /dashboard/"+f.Name(), func(w http.ResponseWriter, r *http.Request) {
			hd := w.Header()
			hd.Set("Content-Type", "text/javascript; charset=utf-8")
			// Asked for again each time, so that page and scripts fit together.
			hd.Set("Cache-Control", "no-cache")
			hd.Set("ETag", `"`+hashOf(string(text))+`"`)
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(text))
		})
	}
}

// index is the front page: the node's facts, and to browsers with scripts the
// dashboard.
func (h *Handler) index(w http.ResponseWriter, _ *http.Request) {
	info := h.node.Info()
	h.servePage(w, http.StatusOK, indexPage, pagePolicy, map[string]any{
		"Style": template.CSS(style), "Icon": icon, "Node": nodeInfo(info), "Uptime": info.Uptime.Truncate(time.Second),
		"NotReady": h.node.NotReady(), "Monitoring": h.opts.Monitoring, "LogLevel": h.opts.LogLevel != nil,
		"Token": h.tokens.required(),
	})
}

// maxNext bounds the path that a login leads back to; a longer one leads to the
// front page.
const maxNext = 1 << 10

// loginPage asks for the token at the path here, and leads to the path next. It
// works without scripts.
func (h *Handler) loginPage(w http.ResponseWriter, here, next string) {
	setOwnHeaders(w.Header())
	if len(next) > maxNext {
		next = "/"
	}
	h.servePage(w, http.StatusUnauthorized, loginPage, loginPolicy, map[string]any{
		"Style": template.CSS(style), "Icon": icon, "Next": next,
		// Relative, for a handler that is mounted under a prefix.
		"Session": strings.Repeat("../", max(strings.Count(here, "/")-1, 0)) + "session",
	})
}

func (h *Handler) servePage(w http.ResponseWriter, status int, page *template.Template, policy string, data any) {
	var text bytes.Buffer
	if err := page.Execute(&text, data); err != nil {
		h.fail(w, err)
		return
	}
	w.Header().Set("Content-Security-Policy", policy)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(text.Bytes())
}

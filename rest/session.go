package rest

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	sessionCookie = "mcc_session"
	// sessionLife is how long a browser stays logged in.
	sessionLife = 12 * time.Hour
	// maxSessions bounds the table; a further one ends the oldest.
	maxSessions = 1024
	// maxSessionBody bounds the form of the login page.
	maxSessionBody = 4 << 10
)

// tokenGate asks for the bearer token, if there is one, and keeps the sessions
// made of it. Sessions do not outlive the handler.
type tokenGate struct {
	sum [sha256.Size]byte
	on  bool

	mu sync.Mutex
	// sessions holds hashes, so that comparing takes no time that tells.
	sessions map[[sha256.Size]byte]time.Time
}

func newTokenGate(token string) *tokenGate {
	return &tokenGate{sum: sha256.Sum256([]byte(token)), on: token != "", sessions: map[[sha256.Size]byte]time.Time{}}
}

func (t *tokenGate) required() bool { return t.on }

// admits reports whether r shows the token or a session.
func (t *tokenGate) admits(r *http.Request) bool {
	if !t.on || t.inHeader(r, "Authorization") || t.inHeader(r, "Proxy-Authorization") {
		return true
	}
	for _, c := range r.CookiesNamed(sessionCookie) {
		if t.hasSession(c.Value, time.Now()) {
			return true
		}
	}
	return false
}

// inHeader looks for "Bearer <token>" and, as proxies' clients speak it, for
// Basic with the token as password in Proxy-Authorization.
func (t *tokenGate) inHeader(r *http.Request, name string) bool {
	scheme, credentials, _ := strings.Cut(r.Header.Get(name), " ")
	credentials = strings.TrimSpace(credentials)
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		return t.is(credentials)
	case strings.EqualFold(scheme, "Basic") && name == "Proxy-Authorization":
		plain, err := base64.StdEncoding.DecodeString(credentials)
		_, password, ok := strings.Cut(string(plain), ":")
		return err == nil && ok && t.is(password)
	}
	return false
}

// is compares in a time that depends on neither text.
func (t *tokenGate) is(token string) bool {
	sum := sha256.Sum256([]byte(token))
	return t.on && subtle.ConstantTimeCompare(sum[:], t.sum[:]) == 1
}

// strip takes what is meant for this node out of a request that goes on to a
// service, which must not learn the token.
func (t *tokenGate) strip(hd http.Header) {
	hd.Del("Proxy-Authorization")
	if scheme, token, _ := strings.Cut(hd.Get("Authorization"), " "); strings.EqualFold(scheme, "Bearer") && t.is(strings.TrimSpace(token)) {
		hd.Del("Authorization")
	}
	lines := hd.Values("Cookie")
	if len(lines) == 0 {
		return
	}
	var kept []string
	for _, line := range lines {
		for part := range strings.SplitSeq(line, ";") {
			part = strings.TrimSpace(part)
			if name, _, _ := strings.Cut(part, "="); part != "" && strings.TrimSpace(name) != sessionCookie {
				kept = append(kept, part)
			}
		}
	}
	hd.Del("Cookie")
	if len(kept) > 0 {
		hd.Set("Cookie", strings.Join(kept, "; "))
	}
}

func (t *tokenGate) hasSession(value string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	expires, ok := t.sessions[sha256.Sum256([]byte(value))]
	return ok && now.Before(expires)
}

// begin makes a session and returns its cookie's value.
func (t *tokenGate) begin(now time.Time) string {
	value := rand.Text()
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.sessions) >= maxSessions {
		t.endOldest()
	}
	t.sessions[sha256.Sum256([]byte(value))] = now.Add(sessionLife)
	return value
}

// endOldest makes room; the caller holds mu.
func (t *tokenGate) endOldest() {
	var oldest [sha256.Size]byte
	var at time.Time
	for key, expires := range t.sessions {
		if at.IsZero() || expires.Before(at) {
			oldest, at = key, expires
		}
	}
	delete(t.sessions, oldest)
}

func (t *tokenGate) end(value string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.sessions, sha256.Sum256([]byte(value)))
}

// unauthorized answers a request without the token. A browser that opens a page
// gets a form to enter it, but not under the name of a service, where this node
// has no session.
func (h *Handler) unauthorized(w http.ResponseWriter, r *http.Request, to target) {
	if to.proxied {
		w.Header().Set("Proxy-Authenticate", `Basic realm="mcc"`)
		writeProblem(w, newProblem(http.StatusProxyAuthRequired, "unauthorized", "this node asks for its token, as password of the proxy"))
		return
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="mcc"`)
	named := to.service != "" && to.prefix == ""
	if r.Method == http.MethodGet && !named && strings.Contains(r.Header.Get("Accept"), "text/html") {
		next := url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
		h.loginPage(w, rawPath(r), next.RequestURI())
		return
	}
	writeProblem(w, newProblem(http.StatusUnauthorized, "unauthorized", "this node asks for its token: Authorization: Bearer <token>"))
}

// openSession turns the token, from the Authorization header or the login
// form, into a cookie that scripts cannot read and other sites cannot send.
func (h *Handler) openSession(w http.ResponseWriter, r *http.Request) {
	mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	form := mediaType == "application/x-www-form-urlencoded"
	r.Body = http.MaxBytesReader(w, r.Body, maxSessionBody)
	ok := !h.tokens.required() || h.tokens.inHeader(r, "Authorization") || form && h.tokens.is(r.PostFormValue("token"))
	if !ok {
		w.Header().Set("WWW-Authenticate", `Bearer realm="mcc"`)
		if form {
			h.loginPage(w, "/session", r.PostFormValue("next"))
			return
		}
		writeProblem(w, newProblem(http.StatusUnauthorized, "unauthorized", "that is not the token of this node"))
		return
	}
	if h.tokens.required() {
		http.SetCookie(w, newSessionCookie(h.tokens.begin(time.Now()), int(sessionLife/time.Second), r.TLS != nil))
	}
	w.Header().Set("Cache-Control", "no-store")
	if form {
		w.Header().Set("Location", placeOf(r.PostFormValue("next")))
		w.WriteHeader(http.StatusSeeOther)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// placeOf is where a path of this node lies as seen from /session. Whatever the
// path is, it leads nowhere else.
func placeOf(path string) string {
	u, err := url.Parse("/" + strings.TrimLeft(path, "/"))
	if err != nil {
		return "./"
	}
	return "./" + strings.TrimLeft(u.RequestURI(), "/")
}

func (h *Handler) endSession(w http.ResponseWriter, r *http.Request) {
	for _, c := range r.CookiesNamed(sessionCookie) {
		h.tokens.end(c.Value)
	}
	http.SetCookie(w, newSessionCookie("", -1, r.TLS != nil))
	w.WriteHeader(http.StatusNoContent)
}

func newSessionCookie(value string, maxAge int, secure bool) *http.Cookie {
	return &http.Cookie{
		Name: sessionCookie, Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, Secure: secure, SameSite: http.SameSiteStrictMode,
	}
}

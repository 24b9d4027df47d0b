package rest

import (
	"net/http"
	"net/url"
	"strings"
)

// slashMux is a mux to which a last segment of %2F is a name as any other.
// http.ServeMux takes it for the slash that ends a path, so it is given another
// name on the way in, which none that this node accepts has.
type slashMux struct{ *http.ServeMux }

const (
	slashEscape = "%2F"
	slashAlias  = "\x00/"
	aliasEscape = "%00%2F"
)

// HandleFunc adds a handler to which the name is a slash again, unless the client
// came up with the other name itself.
func (m slashMux) HandleFunc(pattern string, serve func(http.ResponseWriter, *http.Request)) {
	path, last, _ := strings.Cut(pattern[strings.LastIndexByte(pattern, '/')+1:], "{")
	name, ends := strings.CutSuffix(last, "}")
	if !ends || path != "" || name == "$" {
		m.ServeMux.HandleFunc(pattern, serve)
		return
	}
	m.ServeMux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue(name) == slashAlias && !strings.Contains(r.RequestURI, "%00") {
			r.SetPathValue(name, "/")
		}
		serve(w, r)
	})
}

// aliasSlash renames a last segment that is a slash. The request stays the
// caller's; what comes back may be another one.
func aliasSlash(r *http.Request) *http.Request {
	raw := r.URL.EscapedPath()
	head := len(raw) - len(slashEscape)
	if head < 1 || raw[head-1] != '/' || !strings.EqualFold(raw[head:], slashEscape) {
		return r
	}
	aliased := *r
	aliased.URL = new(url.URL)
	*aliased.URL = *r.URL
	aliased.URL.Path = strings.TrimSuffix(r.URL.Path, "/") + slashAlias
	aliased.URL.RawPath = raw[:head] + aliasEscape
	return &aliased
}

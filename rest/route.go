package rest

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"go.uber.org/zap"
)

// forwardPrefix begins the paths that lead to services.
const forwardPrefix = apiPrefix + "/forward/"

// target is where a request wants to go.
type target struct {
	// service is the one asked for; empty is this node itself.
	service string
	// rawPath is the path at the service, escaped as the client sent it.
	rawPath string
	// prefix is what stood before rawPath, for a request by path.
	prefix string
	// proxied says that the client takes this node for its HTTP proxy.
	proxied bool
}

// targetOf reads where r wants to go. It looks at the request line as it came,
// before http.ServeMux cleans the path: what a service makes of "//" or "%2F"
// is its own affair.
func targetOf(r *http.Request) (target, *Problem) {
	service, named := serviceHost(hostName(r.Host))
	switch {
	case r.Method == http.MethodConnect:
		return proxyTarget(r, service, named)
	case r.URL.IsAbs():
		if r.URL.Scheme != "http" && r.URL.Scheme != "ws" {
			named = false
		}
		return proxyTarget(r, service, named)
	case named:
		return target{service: service, rawPath: rawPath(r)}, nil
	}
	rest, ok := strings.CutPrefix(rawPath(r), forwardPrefix)
	if !ok {
		return target{}, nil
	}
	segment, _, _ := strings.Cut(rest, "/")
	name, err := url.PathUnescape(segment)
	if err != nil {
		return target{}, newProblem(http.StatusBadRequest, "malformed", "the path has a wrong escape")
	}
	path := rest[len(segment):]
	if path == "" {
		path = "/"
	}
	if name == "" {
		return target{}, newProblem(http.StatusNotFound, "not-found", "name a service: "+forwardPrefix+"{service}/")
	}
	return target{service: name, rawPath: path, prefix: forwardPrefix + segment}, nil
}

// proxyTarget admits services only: this node is no way out of the mesh.
func proxyTarget(r *http.Request, service string, named bool) (target, *Problem) {
	if !named {
		return target{}, newProblem(http.StatusForbidden, "proxy",
			fmt.Sprintf("%q is no service: this node is a proxy for http://*.mcc only", clip(r.Host)))
	}
	return target{service: service, rawPath: rawPath(r), proxied: true}, nil
}

// serviceHost reads {service}.mcc and, as browsers resolve it to loopback by
// themselves, {service}.mcc.localhost. name is in normal form.
func serviceHost(name string) (service string, ok bool) {
	service, ok = strings.CutSuffix(strings.TrimSuffix(name, ".localhost"), ".mcc")
	return service, ok && service != ""
}

// isServiceName reports whether name may be asked for at all: "files" or
// "files.acme". Whether it exists, the node says.
func isServiceName(name string) bool {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."
	return name != "" && len(name) <= 253 && strings.Trim(name, allowed) == "" &&
		name[0] != '.' && name[len(name)-1] != '.'
}

// rawPath is the path of r as the client sent it. Where the URL has been
// rewritten since, by http.StripPrefix, it is the URL's.
func rawPath(r *http.Request) string {
	raw := r.RequestURI
	if raw == "*" {
		return raw // OPTIONS of the whole, RFC 9110 9.3.7
	}
	if !strings.HasPrefix(raw, "/") {
		_, afterScheme, _ := strings.Cut(raw, "://")
		host := strings.IndexAny(afterScheme, "/?")
		if host < 0 {
			return "/"
		}
		raw = afterScheme[host:]
	}
	raw, _, _ = strings.Cut(raw, "?")
	if path, err := url.PathUnescape(raw); err != nil || path != r.URL.Path {
		raw = r.URL.EscapedPath()
	}
	if raw == "" {
		return "/"
	}
	return raw
}

// withoutToken are the paths of this node that need none.
var withoutToken = map[string]bool{"/healthz": true, "/readyz": true, "/session": true}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodConnect && r.ProtoMajor == 1 {
		// A client may have sent on as if its tunnel was not refused.
		w.Header().Set("Connection", "close")
	}
	to, refusal := targetOf(r)
	if refusal == nil {
		refusal = h.guard.checkHost(r.Host)
	}
	cross := false
	if refusal == nil {
		cross, refusal = h.guard.checkOrigin(r)
	}
	if refusal != nil {
		h.refuse(w, r, refusal)
		return
	}
	own := to.service == ""
	if own && h.guard.configured() {
		w.Header().Add("Vary", "Origin")
	}
	switch {
	case cross && isPreflight(r):
		h.guard.preflight(w, r)
		return
	case cross && own:
		h.guard.allowCross(w.Header(), r.Header.Get("Origin"))
	}
	if !(own && withoutToken[r.URL.Path]) && !h.tokens.admits(r) {
		h.refused.Add(1)
		h.unauthorized(w, r, to)
		return
	}
	if own {
		h.serveOwn(w, r)
		return
	}
	h.forward(w, r, to, cross)
}

func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, p *Problem) {
	h.refused.Add(1)
	h.log.Debug("request refused", zap.String("addr", r.RemoteAddr), zap.String("reason", p.Detail))
	writeProblem(w, p)
}

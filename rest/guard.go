package rest

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// guard decides from the headers whether a request comes from where it may:
// under a name that is ours, against DNS rebinding, and from a page that is
// ours or listed, against pages that use the visitor's browser.
type guard struct {
	anyOrigin bool
	origins   map[string]bool
	hosts     map[string]bool
}

func newGuard(cors, hosts []string) (*guard, error) {
	g := &guard{origins: map[string]bool{}, hosts: map[string]bool{}}
	for _, entry := range cors {
		if entry == "*" {
			g.anyOrigin = true
			continue
		}
		origin, ok := normalOrigin(entry)
		if !ok {
			return nil, fmt.Errorf("CORS origin %q: want scheme://host[:port] or *", entry)
		}
		g.origins[origin] = true
	}
	for _, host := range hosts {
		if host == "" || strings.ContainsAny(host, ":/ ") {
			return nil, fmt.Errorf("allowed host %q: want a name without port", host)
		}
		g.hosts[normalName(host)] = true
	}
	return g, nil
}

// checkHost refuses a Host header that a page could have had resolved to this
// node's address.
func (g *guard) checkHost(hostport string) *Problem {
	name := hostName(hostport)
	if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		return nil
	}
	if name == "localhost" || g.hosts[name] ||
		strings.HasSuffix(name, ".localhost") || strings.HasSuffix(name, ".mcc") {
		return nil
	}
	return newProblem(http.StatusForbidden, "host",
		fmt.Sprintf("host %q is not a name of this node; -http-allow-host accepts more names", clip(hostport)))
}

// checkOrigin refuses what a foreign page sends, unless CORS lists the page.
// cross reports that it is a listed one.
func (g *guard) checkOrigin(r *http.Request) (cross bool, p *Problem) {
	origin, has := r.Header["Origin"]
	if has && !(len(origin) == 1 && sameOrigin(origin[0], r.Host)) {
		if !g.lists(origin) {
			return false, newProblem(http.StatusForbidden, "origin",
				fmt.Sprintf("pages of %q may not use this node; -enable-cors lists those that may", clip(strings.Join(origin, ","))))
		}
		return true, nil
	}
	switch site := r.Header.Get("Sec-Fetch-Site"); site {
	case "", "same-origin", "none":
		return false, nil
	default:
		// Without an Origin nobody knows which page it is, so only "*" fits.
		if g.anyOrigin {
			return false, nil
		}
		return false, newProblem(http.StatusForbidden, "origin",
			fmt.Sprintf("the request comes from another site (Sec-Fetch-Site %q); open the address directly", clip(site)))
	}
}

func (g *guard) lists(origins []string) bool {
	if g.anyOrigin {
		return true
	}
	if len(origins) != 1 {
		return false
	}
	origin, ok := normalOrigin(origins[0])
	return ok && g.origins[origin]
}

// allowCross writes the response headers that let a listed page read the
// answer. Credentials are never allowed: a page of another origin presents the
// token itself, so "*" stays harmless.
func (g *guard) allowCross(hd http.Header, origin string) {
	hd.Del("Access-Control-Allow-Credentials")
	hd.Set("Access-Control-Expose-Headers", "*")
	if g.anyOrigin {
		hd.Set("Access-Control-Allow-Origin", "*")
		return
	}
	hd.Set("Access-Control-Allow-Origin", origin)
}

// configured reports whether answers depend on the Origin header.
func (g *guard) configured() bool { return g.anyOrigin || len(g.origins) > 0 }

// isPreflight reports whether a browser asks what a page may do (Fetch
// standard 4.8).
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" &&
		r.Header.Get("Access-Control-Request-Method") != ""
}

// preflight answers it with a yes.
func (g *guard) preflight(w http.ResponseWriter, r *http.Request) {
	hd := w.Header()
	g.allowCross(hd, r.Header.Get("Origin"))
	hd.Del("Access-Control-Expose-Headers")
	hd.Set("Access-Control-Allow-Methods", r.Header.Get("Access-Control-Request-Method"))
	if asked := r.Header.Values("Access-Control-Request-Headers"); len(asked) > 0 {
		hd.Set("Access-Control-Allow-Headers", strings.Join(asked, ","))
	}
	if r.Header.Get("Access-Control-Request-Private-Network") == "true" {
		hd.Set("Access-Control-Allow-Private-Network", "true")
	}
	hd.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
}

// normalOrigin is scheme://host[:port] in lower case without a default port.
func normalOrigin(s string) (string, bool) {
	u, err := url.Parse(strings.TrimSuffix(s, "/"))
	if err != nil || u.Scheme == "" || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return "", false
	}
	return u.Scheme + "://" + withoutDefaultPort(u.Scheme, strings.ToLower(u.Host)), true
}

// sameOrigin reports whether origin is a page of the host that was asked. The
// scheme is the origin's, since a proxy in front may have ended TLS.
func sameOrigin(origin, host string) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return false
	}
	return withoutDefaultPort(u.Scheme, strings.ToLower(u.Host)) == withoutDefaultPort(u.Scheme, strings.ToLower(host))
}

func withoutDefaultPort(scheme, host string) string {
	switch scheme {
	case "http":
		return strings.TrimSuffix(host, ":80")
	case "https":
		return strings.TrimSuffix(host, ":443")
	}
	return host
}

// hostName is the name in a Host header, without port, in normal form.
func hostName(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return normalName(host)
	}
	return normalName(hostport)
}

// normalName lowers a name and drops the dot of a fully qualified one.
func normalName(name string) string { return strings.TrimSuffix(strings.ToLower(name), ".") }

// clip bounds a caller's text before it is quoted back.
func clip(s string) string { return s[:min(len(s), 200)] }

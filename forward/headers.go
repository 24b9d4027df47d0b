package forward

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// Headers that tell a service who calls, set where the service runs.
const (
	HeaderPeerID         = "Mcc-Peer-Id"
	HeaderPeerLabel      = "Mcc-Peer-Label"
	HeaderPeerConsortium = "Mcc-Peer-Consortium"
)

// Headers by which a client narrows the providers; they are not passed on.
const (
	HeaderPolicy = "Mcc-Policy"
	HeaderNode   = "Mcc-Node"
	HeaderTag    = "Mcc-Tag"
)

// ChoiceOf reads the choice that a client asks for by header. An unknown policy
// is ErrInvalid.
func ChoiceOf(r *http.Request) (Choice, error) {
	c := Choice{
		Policy: r.Header.Get(HeaderPolicy),
		Node:   r.Header.Get(HeaderNode),
		Tag:    r.Header.Get(HeaderTag),
	}
	return c, CheckPolicy(c.Policy)
}

// RawPath returns the path of a request exactly as the client sent it, without
// the query: still escaped and not cleaned.
func RawPath(r *http.Request) string {
	target := r.RequestURI
	if target == "" { // not from a server
		target = r.URL.RequestURI()
	}
	path, _, _ := strings.Cut(target, "?")
	if strings.HasPrefix(path, "/") || path == "*" {
		return path
	}
	// The absolute form that clients send to a proxy, RFC 9112 3.2.2.
	if _, rest, ok := strings.Cut(path, "://"); ok {
		if i := strings.IndexByte(rest, '/'); i >= 0 {
			return rest[i:]
		}
	}
	return ""
}

// setTarget makes u ask for exactly base+path, with the query of in.
func setTarget(u *url.URL, base, path string, in *url.URL) {
	if path == "" {
		path = "/"
	}
	if path != "*" {
		path = base + path
	}
	u.RawQuery, u.ForceQuery = in.RawQuery, in.ForceQuery
	u.Opaque, u.Path, u.RawPath = path, "", ""
	if !strings.HasPrefix(path, "//") {
		return
	}
	// An opaque part with two slashes in front would be taken for a host. Here
	// characters that no client should have sent plain come out escaped.
	path = escapeBad(path)
	u.Opaque, u.Path, u.RawPath = "", path, path
	if plain, err := url.PathUnescape(path); err == nil {
		u.Path = plain
	}
}

// escapeBad escapes what url.URL takes for no valid RawPath, and nothing else.
func escapeBad(path string) string {
	const fine = "-_.~!$&'()*+,;=:@[]/"
	var b strings.Builder
	for i := range len(path) {
		c := path[i]
		escape := c == '%' && i+2 < len(path) && isHex(path[i+1]) && isHex(path[i+2])
		if escape || isAlphanumeric(c) || strings.IndexByte(fine, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func isHex(c byte) bool { return c >= '0' && c <= '9' || c|' ' >= 'a' && c|' ' <= 'f' }

func isAlphanumeric(c byte) bool { return c >= '0' && c <= '9' || c|' ' >= 'a' && c|' ' <= 'z' }

// goodPath reports whether a request may ask for path: "*" is for OPTIONS only.
func goodPath(method, path string) bool {
	return path == "" || path[0] == '/' || path == "*" && method == http.MethodOptions
}

// isPeerHeader reports whether a service might take the header for one of ours:
// some servers do not tell "-" from "_".
func isPeerHeader(name string) bool {
	const prefix = "mcc-peer-"
	if len(name) < len(prefix) {
		return false
	}
	return strings.EqualFold(strings.ReplaceAll(name[:len(prefix)], "_", "-"), prefix)
}

func removePeerHeaders(h http.Header) {
	for name := range h {
		if isPeerHeader(name) {
			delete(h, name)
		}
	}
}

func setPeerHeaders(h http.Header, c Caller) {
	removePeerHeaders(h)
	for name, value := range map[string]string{
		HeaderPeerID: c.ID, HeaderPeerLabel: c.Label, HeaderPeerConsortium: c.Consortium,
	} {
		if value != "" {
			h.Set(name, headerText(value))
		}
	}
}

// headerText is s if a header can hold it, else s percent-encoded: the name of
// a consortium may be any text.
func headerText(s string) string {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return url.PathEscape(s)
		}
	}
	return s
}

// refuseUpgrade takes away the wish to switch to a protocol that carries
// further requests: these would reach the service past the rules for headers.
func refuseUpgrade(h http.Header) {
	for name := range strings.SplitSeq(h.Get("Upgrade"), ",") {
		name, _, _ = strings.Cut(strings.ToLower(strings.TrimSpace(name)), "/")
		if name == "h2c" || name == "h2" || name == "http" || name == "tls" {
			h.Del("Upgrade")
			h.Del("Connection")
			h.Del("Http2-Settings")
			return
		}
	}
}

// forwardedHeaders are passed from hop to hop.
var forwardedHeaders = []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Prefix"}

// keepForwarded lets what the caller's gateway said through.
func keepForwarded(out, in http.Header) {
	for _, name := range forwardedHeaders {
		if v, ok := in[name]; ok {
			out[name] = v
		}
	}
}

// setForwarded tells the service how the client asked. What a client on this
// machine says about that is believed and added to, since it may be a proxy in
// front such as nginx; of others it is replaced.
func setForwarded(out *http.Request, in *http.Request, prefix string) {
	client := clientIP(in.RemoteAddr)
	said := http.Header{}
	if isLocal(client) {
		said = in.Header
	}
	trail := append([]string(nil), said["X-Forwarded-For"]...)
	if client != "" {
		trail = append(trail, client)
	}
	set := func(name, value string) {
		out.Header.Del(name)
		if value != "" {
			out.Header.Set(name, value)
		}
	}
	set("X-Forwarded-For", strings.Join(trail, ", "))
	set("X-Forwarded-Host", either(said.Get("X-Forwarded-Host"), in.Host))
	set("X-Forwarded-Proto", either(said.Get("X-Forwarded-Proto"), proto(in)))
	set("X-Forwarded-Prefix", strings.TrimRight(said.Get("X-Forwarded-Prefix"), "/")+prefix)
}

func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func proto(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// isLocal reports whether a client with that IP runs on this machine; one
// without IP came through a unix socket.
func isLocal(ip string) bool { return ip == "" || net.ParseIP(ip).IsLoopback() }

// stickyKey is the IP address to which a sticky choice sticks: the client's, or
// the one a local proxy in front names.
func stickyKey(r *http.Request) string {
	client := clientIP(r.RemoteAddr)
	trail := strings.Join(r.Header["X-Forwarded-For"], ",")
	if !isLocal(client) || trail == "" {
		return client
	}
	return strings.TrimSpace(trail[strings.LastIndexByte(trail, ',')+1:])
}

package forward

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

const (
	expectTarget = "expected tcp://host:port, unix:path, http://host[:port] or https://host[:port]"
	expectListen = "expected tcp://host:port or unix:path"
	// maxSocketPath is the longest path that fits Linux' sockaddr_un with its
	// final zero; systems with less room report it themselves.
	maxSocketPath = 107
)

// Target is where a service listens, as its provider sees it. The zero Target
// is none; others come from [ParseTarget].
type Target struct {
	// Scheme is "tcp", "unix", "http" or "https".
	Scheme string
	// Host is host:port, or for http and https host[:port] as it was written.
	Host string
	// Path is the socket's path of unix, and of http and https what goes before
	// each request's path: empty or "/…" without a final slash.
	Path string
}

// HTTP reports whether MCC speaks HTTP to the service.
func (t Target) HTTP() bool { return t.Scheme == "http" || t.Scheme == "https" }

// String is the canonical form, which [ParseTarget] reads back.
func (t Target) String() string {
	if t.Scheme == "unix" {
		return "unix:" + t.Path
	}
	return t.Scheme + "://" + t.Host + t.Path
}

// Network returns what to give to net.Dial.
func (t Target) Network() (network, address string) {
	switch t.Scheme {
	case "unix":
		return "unix", t.Path
	case "http":
		return "tcp", withPort(t.Host, "80")
	case "https":
		return "tcp", withPort(t.Host, "443")
	}
	return "tcp", t.Host
}

// ParseTarget reads the address of a service: tcp://host:port, unix:path (also
// unix:///path), http://host[:port][/base] or https://… . The error is
// ErrInvalid and says what is expected, or ErrUnsupported for udp.
func ParseTarget(s string) (Target, error) {
	scheme, rest, err := splitScheme(s, expectTarget)
	if err != nil {
		return Target{}, err
	}
	t := Target{Scheme: scheme}
	switch scheme {
	case "tcp":
		t.Host, err = parseHostPort(rest, 1, true)
	case "unix":
		t.Path, err = parseSocketPath(rest)
	case "http", "https":
		t.Host, t.Path, err = parseAuthority(rest)
	case "udp":
		return Target{}, unsupported(s, scheme)
	default:
		err = fmt.Errorf("unknown kind %q; %s", scheme, expectTarget)
	}
	if err != nil {
		return Target{}, invalid(s, err)
	}
	return t, nil
}

// ListenAddress is where an entrance listens. It comes from [ParseListen].
type ListenAddress struct {
	// Network is "tcp" or "unix".
	Network string
	// Address is host:port, where an empty host is every address of the machine
	// and port 0 any free one, or the socket's path.
	Address string
}

// String is the canonical form, which [ParseListen] reads back.
func (l ListenAddress) String() string {
	if l.Network == "unix" {
		return "unix:" + l.Address
	}
	return l.Network + "://" + l.Address
}

// ParseListen reads the address of a listener: tcp://host:port or unix:path.
// The error is ErrInvalid and says what is expected, or ErrUnsupported for udp,
// socks5 and http-proxy.
func ParseListen(s string) (ListenAddress, error) {
	scheme, rest, err := splitScheme(s, expectListen)
	if err != nil {
		return ListenAddress{}, err
	}
	l := ListenAddress{Network: scheme}
	switch scheme {
	case "tcp":
		l.Address, err = parseHostPort(rest, 0, false)
	case "unix":
		l.Address, err = parseSocketPath(rest)
	case "udp", "socks5", "http-proxy":
		return ListenAddress{}, unsupported(s, scheme)
	default:
		err = fmt.Errorf("unknown kind %q; %s", scheme, expectListen)
	}
	if err != nil {
		return ListenAddress{}, invalid(s, err)
	}
	return l, nil
}

func invalid(s string, err error) error {
	return fmt.Errorf("%w address %q: %w", ErrInvalid, s, err)
}

func unsupported(s, scheme string) error {
	return fmt.Errorf("address %q: %s is %w", s, scheme, ErrUnsupported)
}

// splitScheme returns what follows "scheme://", or after "unix:" everything.
func splitScheme(s, expected string) (scheme, rest string, err error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		return "unix", path, nil
	}
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || scheme == "" {
		return "", "", invalid(s, fmt.Errorf("no kind in front; %s", expected))
	}
	return scheme, rest, nil
}

func parseHostPort(s string, minPort int, needHost bool) (string, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", fmt.Errorf("%q is not host:port", s)
	}
	if host == "" && needHost {
		return "", fmt.Errorf("%q names no host", s)
	}
	if host != "" {
		if err := checkHost(host); err != nil {
			return "", err
		}
	}
	n, err := parsePort(port, minPort)
	if err != nil {
		return "", err
	}
	return net.JoinHostPort(host, n), nil
}

func parsePort(s string, minPort int) (string, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || int(n) < minPort {
		return "", fmt.Errorf("port %q is not a number from %d to 65535", s, minPort)
	}
	return strconv.FormatUint(n, 10), nil
}

// checkHost takes IP addresses and whatever may be a host name; whether it
// exists shows when it is used.
func checkHost(host string) error {
	if strings.Contains(host, ":") {
		if ip, err := netip.ParseAddr(host); err != nil || !plainZone(ip.Zone()) {
			return fmt.Errorf("%q is not an IP address", host)
		}
		return nil
	}
	if len(host) > 253 || !plainName(host) {
		return fmt.Errorf("%q is not a host name", host)
	}
	return nil
}

func plainName(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && !('0' <= c && c <= '9') && c != '-' && c != '.' && c != '_' {
			return false
		}
	}
	return true
}

func plainZone(s string) bool { return len(s) <= 32 && plainName(s) }

func parseSocketPath(s string) (string, error) {
	path := s
	if after, ok := strings.CutPrefix(s, "//"); ok {
		if !strings.HasPrefix(after, "/") {
			return "", fmt.Errorf("write unix:%s or unix:///%s", after, after)
		}
		// Extra slashes go, or the canonical form would read as another path.
		path = "/" + strings.TrimLeft(after, "/")
	}
	switch {
	case path == "" || strings.HasSuffix(path, "/"):
		return "", fmt.Errorf("no file name; expected unix:path")
	case len(path) > maxSocketPath:
		return "", fmt.Errorf("path has %d bytes, a socket's at most %d", len(path), maxSocketPath)
	case strings.ContainsRune(path, 0):
		return "", fmt.Errorf("path contains a zero byte")
	case path[0] == '@':
		// Linux' abstract sockets have no mode that keeps others out.
		return "", fmt.Errorf("abstract sockets are not carried; write ./%s for a file", path)
	}
	return path, nil
}

// parseAuthority reads host[:port][/base] of an http address.
func parseAuthority(s string) (host, base string, err error) {
	if strings.ContainsAny(s, "?#") {
		return "", "", fmt.Errorf("query and fragment have no place here")
	}
	u, err := url.Parse("http://" + s)
	if err != nil {
		return "", "", fmt.Errorf("not a URL; expected http://host[:port][/base]")
	}
	if u.User != nil {
		return "", "", fmt.Errorf("user and password have no place here")
	}
	name := u.Hostname()
	if name == "" {
		return "", "", fmt.Errorf("no host; expected http://host[:port]")
	}
	if err := checkHost(name); err != nil {
		return "", "", err
	}
	authority, path, _ := strings.Cut(s, "/")
	if strings.HasSuffix(authority, ":") || strings.Contains(authority, "%") {
		return "", "", fmt.Errorf("%q is not host[:port]", authority)
	}
	if port := u.Port(); port != "" {
		if port, err = parsePort(port, 1); err != nil {
			return "", "", err
		}
		authority = net.JoinHostPort(name, port)
	}
	if path = strings.TrimRight(path, "/"); path != "" {
		base = "/" + path
	}
	if strings.HasPrefix(base, "//") || !plainPath(base) {
		return "", "", fmt.Errorf("base path %q is not plain", base)
	}
	return authority, base, nil
}

// plainPath reports whether s can stand in a request line as it is.
func plainPath(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

func withPort(host, port string) string {
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), port)
}

package forward

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	minHealthInterval = 100 * time.Millisecond
	// maxHealthAnswer bounds what is read of an answer; its body is not.
	maxHealthAnswer = 64 << 10
	maxHealthReason = 200
)

// Check is how to find out whether a service works.
type Check struct {
	// Type is "tcp", for a service that takes connections, or "http", for one
	// that answers a GET with a status from 200 to 399; redirects are not
	// followed.
	Type string
	// Path is asked for by an http check, after the target's own; empty is "/".
	Path string
	// Interval between the starts of two checks; zero is 10 s, and less than
	// 100 ms is not accepted.
	Interval time.Duration
	// Timeout of one check; zero is 2 s.
	Timeout time.Duration
}

// Validate returns ErrInvalid with the reason if the check cannot be run.
func (c Check) Validate() error {
	switch {
	case c.Type != "tcp" && c.Type != "http":
		return fmt.Errorf("%w health check: type %q; expected tcp or http", ErrInvalid, c.Type)
	case c.Path != "" && c.Type == "tcp":
		return fmt.Errorf("%w health check: a tcp check has no path", ErrInvalid)
	case c.Path != "" && (c.Path[0] != '/' || !plainPath(c.Path) || strings.Contains(c.Path, "#")):
		return fmt.Errorf("%w health check: path %q; expected /…", ErrInvalid, c.Path)
	case c.Interval < 0 || c.Interval > 0 && c.Interval < minHealthInterval:
		return fmt.Errorf("%w health check: interval %s; expected at least %s", ErrInvalid, c.Interval, minHealthInterval)
	case c.Timeout < 0:
		return fmt.Errorf("%w health check: timeout %s", ErrInvalid, c.Timeout)
	}
	return nil
}

// Checker runs the health check of one service.
type Checker struct {
	Check  Check
	Target Target
	// Dial connects to the service; nil is net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// TLS is for https services, as in [BackendOptions].
	TLS *tls.Config
}

// RunHealth checks the target until ctx ends; see [Checker.Run].
func RunHealth(ctx context.Context, check Check, target Target, report func(healthy bool, reason string)) error {
	return Checker{Check: check, Target: target}.Run(ctx, report)
}

// Run checks at once and then at every interval, and calls report with the
// first result and with each that differs from the one before. The reason is
// for people, at most 200 bytes, and empty if healthy. Run blocks until ctx
// ends and returns its error, or returns ErrInvalid at once. Report is called
// on the goroutine of Run and must not block for long.
func (c Checker) Run(ctx context.Context, report func(healthy bool, reason string)) error {
	if err := c.Check.Validate(); err != nil {
		return err
	}
	ticker := time.NewTicker(cmp.Or(c.Check.Interval, 10*time.Second))
	defer ticker.Stop()
	for known, last := false, false; ; {
		err := c.once(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if healthy := err == nil; !known || healthy != last {
			known, last = true, healthy
			report(healthy, healthReason(err))
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func healthReason(err error) string {
	if err == nil {
		return ""
	}
	s := strings.ToValidUTF8(err.Error(), "?")
	if len(s) > maxHealthReason {
		s = strings.ToValidUTF8(s[:maxHealthReason], "")
	}
	return s
}

// once runs one check.
func (c Checker) once(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(c.Check.Timeout, 2*time.Second))
	defer cancel()
	dial := c.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	network, address := c.Target.Network()
	conn, err := dial(ctx, network, address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if c.Check.Type == "tcp" {
		return nil
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	err = c.get(ctx, conn)
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("no answer within the timeout: %w", ctx.Err())
	}
	return err
}

// get is a GET by hand: one request on a connection of its own needs neither
// the pool nor the goroutines of http.Transport.
func (c Checker) get(ctx context.Context, conn net.Conn) error {
	if c.Target.Scheme == "https" {
		secure := tls.Client(conn, c.tlsConfig())
		if err := secure.HandshakeContext(ctx); err != nil {
			return err
		}
		conn = secure
	}
	base, host := "", "localhost"
	if c.Target.HTTP() {
		base, host = c.Target.Path, c.Target.Host
	}
	_, err := fmt.Fprintf(conn, "GET %s%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: mcc-health\r\nAccept: */*\r\nConnection: close\r\n\r\n",
		base, cmp.Or(c.Check.Path, "/"), host)
	if err != nil {
		return err
	}
	status, err := readStatus(conn)
	if err != nil {
		return err
	}
	if status < 200 || status >= 400 {
		return fmt.Errorf("status %d", status)
	}
	return nil
}

// readStatus reads the first answer that is not informational.
func readStatus(r io.Reader) (int, error) {
	in := bufio.NewReader(io.LimitReader(r, maxHealthAnswer))
	for range 10 {
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			return 0, fmt.Errorf("read the answer: %w", err)
		}
		if resp.StatusCode < 100 || resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			return resp.StatusCode, nil
		}
	}
	return 0, fmt.Errorf("too many informational answers")
}

func (c Checker) tlsConfig() *tls.Config {
	cfg := &tls.Config{}
	if c.TLS != nil {
		cfg = c.TLS.Clone()
	}
	if cfg.ServerName == "" {
		u := url.URL{Host: c.Target.Host}
		cfg.ServerName = u.Hostname()
	}
	return cfg
}

package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/staex-mcc/mcc/forward"
)

// tunnelChoice limits the providers of a connection.
type tunnelChoice struct{ policy, node, tag string }

// serviceForm is what a name in a request line may consist of; the node says
// whether it is a service.
var serviceForm = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)

// openTunnel has the node connect to a service, by CONNECT (RFC 9110 9.3.6).
func (s *session) openTunnel(ctx context.Context, service string, choice tunnelChoice) (*tunnel, error) {
	service = strings.TrimSuffix(service, ".mcc")
	if !serviceForm.MatchString(service) {
		return nil, usage("", "%q is no service name", service)
	}
	ctx, cancel := context.WithTimeout(ctx, s.flags.timeout)
	defer cancel()
	conn, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	release := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	t, err := s.askTunnel(conn, service, choice)
	if !release() && err == nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		return t, nil
	}
	_ = conn.Close()
	if _, answered := errors.AsType[*answerError](err); !answered {
		err = s.silent(ctx, err)
	}
	return nil, err
}

// connect dials the API's own address.
func (c *apiClient) connect(ctx context.Context) (net.Conn, error) {
	base, err := url.Parse(c.base)
	if err == nil && (base.Scheme != "http" && base.Scheme != "https" || base.Path != "") {
		err = fmt.Errorf("%s: a tunnel needs http://host:port, https://host:port or unix:path", c.base)
	}
	if err != nil {
		return nil, usage("", "-api: %w", err)
	}
	port := cmp.Or(base.Port(), map[string]string{"http": "80", "https": "443"}[base.Scheme])
	conn, err := c.dial(ctx, "tcp", net.JoinHostPort(base.Hostname(), port))
	if err != nil {
		return nil, c.silent(ctx, err)
	}
	if base.Scheme == "http" {
		return conn, nil
	}
	config := &tls.Config{}
	if c.tls != nil {
		config = c.tls.Clone()
	}
	config.ServerName = base.Hostname()
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, c.silent(ctx, err)
	}
	return secure, nil
}

// askTunnel sends the request and reads its answer.
func (s *session) askTunnel(conn net.Conn, service string, choice tunnelChoice) (*tunnel, error) {
	host := service + ".mcc:80" // the port has no meaning
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: host}, Host: host, Header: http.Header{}}
	for name, value := range map[string]string{
		forward.HeaderPolicy: choice.policy, forward.HeaderNode: choice.node, forward.HeaderTag: choice.tag,
	} {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	if s.token != "" {
		req.Header.Set("Proxy-Authorization", "Bearer "+s.token)
	}
	if err := req.Write(conn); err != nil {
		return nil, err
	}
	buffered := bufio.NewReader(conn)
	resp, err := http.ReadResponse(buffered, req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusOK {
		return &tunnel{Conn: conn, buffered: buffered}, nil
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	return nil, s.refused(resp.StatusCode, data)
}

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"

	"go.uber.org/zap"

	"github.com/staex-mcc/mcc"
	"github.com/staex-mcc/mcc/rest"
)

// checkHTTP enforces that a REST address off loopback has token and TLS.
func (s *settings) checkHTTP() error {
	if (s.httpCert == "") != (s.httpKey == "") {
		return usage("", "-http-cert and -http-key go together")
	}
	if s.http == "off" || strings.HasPrefix(s.http, "unix:") {
		return nil
	}
	host, _, err := net.SplitHostPort(s.http)
	if err != nil {
		return usage("", "-http %w", err)
	}
	if loopbackHost(host) || s.httpInsecure || s.httpTokenFile != "" && s.httpCert != "" {
		return nil
	}
	return usage("or say -http-insecure if everybody who can reach it may rule this node",
		"-http %s is not loopback: it needs -http-token-file, -http-cert and -http-key", s.http)
}

func loopbackHost(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// httpServer serves the REST API; with -http off it does nothing.
type httpServer struct {
	listener net.Listener
	server   *http.Server
	handler  *rest.Handler
	scheme   string
	token    string
	failed   chan error // capacity 1: serving ended by itself
}

func openHTTP(s *settings) (*httpServer, error) {
	h := &httpServer{scheme: "http", failed: make(chan error, 1)}
	if s.http == "off" {
		return h, nil
	}
	var err error
	if h.token, err = readToken(s.httpTokenFile); err != nil {
		return nil, err
	}
	var tlsConfig *tls.Config
	if s.httpCert != "" {
		pair, err := tls.LoadX509KeyPair(s.httpCert, s.httpKey)
		if err != nil {
			return nil, usage("", "-http-cert: %w", err)
		}
		tlsConfig = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
		h.scheme = "https"
	}
	ln, err := rest.Listen(s.http)
	if err != nil {
		return nil, listenError(s.http, err)
	}
	if tlsConfig != nil {
		ln = tls.NewListener(ln, tlsConfig)
	}
	h.listener = ln
	return h, nil
}

func listenError(addr string, err error) error {
	if errors.Is(err, mcc.ErrInUse) {
		return fmt.Errorf("-http %s: %w", addr, err)
	}
	return usage("", "-http: %w", err)
}

// serve starts answering.
func (h *httpServer) serve(node *mcc.Node, s *settings, level *zap.AtomicLevel, log *zap.Logger) error {
	if h.listener == nil {
		return nil
	}
	var err error
	h.handler, err = rest.New(node, rest.Options{
		CORS: s.cors, AllowHosts: s.httpAllowHost, Token: h.token, Monitoring: s.monitoring,
		LogLevel: level, Logger: log.Named("rest"),
	})
	if err != nil {
		return usage("", "REST: %w", err)
	}
	h.server = rest.NewServer(h.handler)
	go h.run()
	return nil
}

func (h *httpServer) run() {
	if err := h.server.Serve(h.listener); !errors.Is(err, http.ErrServerClosed) {
		h.failed <- fmt.Errorf("REST server: %w", err)
	}
}

// minToken is the shortest token in bytes that is worth the name.
const minToken = 16

func readToken(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", usage("", "-http-token-file: %w", err)
	}
	token := strings.TrimSpace(string(data))
	if len(token) < minToken || strings.ContainsAny(token, " \t\r\n") {
		return "", usage("for example: head -c 24 /dev/urandom | base64",
			"-http-token-file %s: want one word of at least %d characters", path, minToken)
	}
	return token, nil
}

// url is where the API is, empty without one.
func (h *httpServer) url() string {
	if h.listener == nil {
		return ""
	}
	addr := h.listener.Addr()
	if addr.Network() == "unix" {
		return "unix:" + addr.String()
	}
	return h.scheme + "://" + addr.String()
}

// shutDown stops accepting and waits for requests until ctx ends, then cuts
// what is left.
func (h *httpServer) shutDown(ctx context.Context) error {
	if h.server == nil {
		return h.close()
	}
	drained := make(chan struct{})
	go func() { _ = h.handler.Drain(ctx); close(drained) }() // its error is that ctx ended
	err := h.server.Shutdown(ctx)
	<-drained
	if err != nil {
		return h.server.Close()
	}
	return nil
}

func (h *httpServer) close() error {
	if h.listener == nil {
		return nil
	}
	return h.listener.Close()
}

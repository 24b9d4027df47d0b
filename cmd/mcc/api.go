package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// apiFlags name the running node a subcommand talks to.
type apiFlags struct {
	api, tokenFile, caFile string
	json                   bool
	timeout                time.Duration
}

func addAPIFlags(cmd *cobra.Command, a *apiFlags) {
	f := cmd.Flags()
	f.StringVar(&a.api, "api", envOr("MCC_API", "http://127.0.0.1:8080"), "`URL` or unix:path of the node's REST API (MCC_API)")
	f.StringVar(&a.tokenFile, "http-token-file", os.Getenv("MCC_HTTP_TOKEN_FILE"), "`file` with the API's bearer token (MCC_HTTP_TOKEN_FILE)")
	f.StringVar(&a.caFile, "http-ca", os.Getenv("MCC_HTTP_CA"), "certificate `file` to trust for https (MCC_HTTP_CA)")
	f.BoolVar(&a.json, "json", false, "print the API's JSON")
	f.DurationVar(&a.timeout, "timeout", 30*time.Second, "how long to wait for an answer, and in a transfer for the next byte")
}

func envOr(name, fallback string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return fallback
}

// apiClient does requests for one subcommand.
type apiClient struct {
	base  string
	name  string // of the node, as the user would write it
	token string
	http  *http.Client
	dial  func(ctx context.Context, network, address string) (net.Conn, error)
	tls   *tls.Config // nil unless -http-ca was given
}

// continueWait is how long an upload waits for the node to refuse it by its
// header alone.
const continueWait = 2 * time.Second

// client checks the flags and makes the client.
func (a *apiFlags) client() (*apiClient, error) {
	if a.timeout <= 0 {
		return nil, usage("", "-timeout %s: want a duration over zero, such as 30s", a.timeout)
	}
	token, err := readToken(a.tokenFile)
	if err != nil {
		return nil, err
	}
	c := &apiClient{base: strings.TrimSuffix(a.api, "/"), token: token, dial: new(net.Dialer).DialContext}
	if path, ok := strings.CutPrefix(a.api, "unix:"); ok {
		c.base = "http://localhost"
		c.dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}
	} else if !strings.Contains(a.api, "://") {
		c.base = "http://" + c.base
	}
	c.name = a.api
	if a.caFile != "" {
		if c.tls, err = trusting(a.caFile); err != nil {
			return nil, err
		}
	}
	c.http = &http.Client{
		Transport: &http.Transport{DialContext: c.dial, TLSClientConfig: c.tls, ExpectContinueTimeout: continueWait},
		// A redirect could lead the token to another program.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// trusting accepts the certificates in a file only.
func trusting(path string) (*tls.Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, usage("", "-http-ca: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(data) {
		return nil, usage("", "-http-ca %s: no certificate in it", path)
	}
	return &tls.Config{RootCAs: roots}, nil
}

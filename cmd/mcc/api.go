package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	f.DurationVar(&a.timeout, "timeout", 30*time.Second, "how long to wait for an answer")
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
	token string
	http  *http.Client
}

// client checks the flags and makes the client.
func (a *apiFlags) client() (*apiClient, error) {
	token, err := readToken(a.tokenFile)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{}
	c := &apiClient{base: strings.TrimSuffix(a.api, "/"), token: token, http: &http.Client{Transport: transport}}
	if path, ok := strings.CutPrefix(a.api, "unix:"); ok {
		c.base = "http://localhost"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}
	} else if !strings.Contains(a.api, "://") {
		c.base = "http://" + c.base
	}
	if a.caFile != "" {
		data, err := os.ReadFile(a.caFile)
		if err != nil {
			return nil, usage("", "-http-ca: %w", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(data) {
			return nil, usage("", "-http-ca %s: no certificate in it", a.caFile)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: roots}
	}
	return c, nil
}

// problem is the API's error answer (RFC 9457).
type problem struct {
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Errors []struct {
		Message  string `json:"message"`
		Location string `json:"location"`
	} `json:"errors"`
}

// do sends body (nil for none) and decodes the answer into out unless nil. It
// returns the raw answer for -json.
func (c *apiClient) do(ctx context.Context, method, path string, body, out any) ([]byte, error) {
	var reader io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		reader = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, reader)
	if err != nil {
		return nil, usage("", "-api: %w", err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("node at %s does not answer: %w (is it running? -api or MCC_API names another)", c.base, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read the node's answer: %w", err)
	}
	if resp.StatusCode >= 400 {
		return nil, problemError(resp.StatusCode, data)
	}
	if out != nil {
		if err := json.Unmarshal(data, out); err != nil {
			return nil, fmt.Errorf("the answer of %s is not the API's: %w", c.base, err)
		}
	}
	return data, nil
}

// maxAnswer bounds an answer of the API in bytes.
const maxAnswer = 16 << 20

func problemError(status int, data []byte) error {
	var p problem
	if json.Unmarshal(data, &p) != nil || p.Title == "" && p.Detail == "" {
		return fmt.Errorf("the node answered %d %s", status, http.StatusText(status))
	}
	text := p.Detail
	if text == "" {
		text = p.Title
	}
	for _, e := range p.Errors {
		text += fmt.Sprintf("; %s: %s", e.Location, e.Message)
	}
	if status == http.StatusUnprocessableEntity || status == http.StatusBadRequest {
		return &usageError{err: errors.New(text)}
	}
	return errors.New(text)
}

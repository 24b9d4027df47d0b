// Package client is a mesh as seen through the REST API of a node in another
// process.
//
// [New] makes a [Client], which is an mcc.Mesh: code that takes one does not
// care whether the node is embedded in the program. Channels and streams are
// WebSockets, BLOBs are streamed both ways, and errors of the node are those of
// the mcc package again, for errors.Is.
//
// What can be verified here is: the signature of a record and the owner it is
// of, the hash of an immutable value, and that of a BLOB that is put. The content
// of a BLOB that is read is verified by the node that serves the API, and DID
// documents are resolved by it; who needs to trust nobody but himself embeds a
// node.
package client

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	mcc "github.com/staex-mcc/mcc"
)

// Options say where the API is and how to get in.
type Options struct {
	// URL of the API: http://host:port, https://host:port, each with a path if
	// the API is mounted under one, or unix:path. host:port alone is http. Empty
	// is http://127.0.0.1:8080.
	URL string
	// Token is the API's bearer token; empty sends none.
	Token string
	// TLS configures https, such as the roots to trust; nil is the system's.
	TLS *tls.Config
	// HTTPClient, if not nil, does the requests in place of one made for URL and
	// TLS. Its Transport must speak HTTP/1.1, which WebSockets need; its Timeout
	// must be zero, since streams last. It stays the caller's.
	HTTPClient *http.Client
}

// Client is a node behind its REST API. It is safe for concurrent use. The
// caller closes it.
type Client struct {
	base  string // without a slash at the end
	name  string // base, or unix:path, for errors
	token string
	http  *http.Client

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	once   sync.Once
}

var _ mcc.Mesh = (*Client)(nil)

const defaultURL = "http://127.0.0.1:8080"

// New makes a Client. It connects to nothing yet; a URL that is none is
// mcc.ErrInvalid.
func New(o Options) (*Client, error) {
	base, socket, err := parseURL(o.URL)
	if err != nil {
		return nil, err
	}
	c := &Client{base: base, name: base, token: o.Token, http: &http.Client{Transport: newTransport(socket, o.TLS)}}
	if socket != "" {
		c.name = "unix:" + socket
	}
	if o.HTTPClient != nil {
		given := *o.HTTPClient
		c.http = &given
	}
	// The API redirects nowhere; following would carry bodies to strangers.
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c, nil
}

func parseURL(text string) (base, socket string, err error) {
	if text == "" {
		text = defaultURL
	}
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		if path == "" {
			return "", "", fmt.Errorf("api url: %w: unix: needs a path", mcc.ErrInvalid)
		}
		return "http://localhost", path, nil
	}
	if host, port, err := net.SplitHostPort(text); err == nil && host != "" && isNumber(port) {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return "", "", fmt.Errorf("api url: %w: %w", mcc.ErrInvalid, err)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return "", "", fmt.Errorf("api url: %w: want http://host:port, https://host:port or unix:path", mcc.ErrInvalid)
	}
	return strings.TrimSuffix(u.Scheme+"://"+u.Host+u.EscapedPath(), "/"), "", nil
}

func isNumber(text string) bool {
	_, err := strconv.ParseUint(text, 10, 16)
	return err == nil
}

func newTransport(socket string, config *tls.Config) *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	t := &http.Transport{
		DialContext: dialer.DialContext, TLSClientConfig: config, TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConnsPerHost: 16, IdleConnTimeout: 90 * time.Second, Proxy: http.ProxyFromEnvironment,
		ExpectContinueTimeout: time.Second,
		// Contents are taken as they are, and WebSockets need HTTP/1.1.
		DisableCompression: true, TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{},
	}
	if socket != "" {
		t.Proxy = nil
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		}
	}
	return t
}

// Close ends what is under way, the watches and the listeners, and closes idle
// connections; later calls are mcc.ErrClosed. Open channels, streams and BLOBs
// go on until they are closed. The node goes on in any case.
func (c *Client) Close() error {
	c.once.Do(func() {
		c.cancel()
		c.http.CloseIdleConnections()
	})
	return nil
}

// alive derives the context of one call, which also ends with the client.
func (c *Client) alive(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if c.ctx.Err() != nil {
		return nil, nil, mcc.ErrClosed
	}
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(c.ctx, func() { cancel(mcc.ErrClosed) })
	return ctx, func() { stop(); cancel(nil) }, nil
}

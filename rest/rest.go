// Package rest serves a node over HTTP: the JSON API with its OpenAPI document
// and Swagger UI, health and metrics, and the way into services of the mesh by
// path, by Host name and as a forward proxy.
//
// [New] makes a [Handler] that any HTTP server can mount; [NewServer] and
// [Listen] are a server with fitting limits. The paths, JSON fields and status
// codes stand in the document that it serves at /openapi.json and, in short, in
// the README.
package rest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	mcc "github.com/staex-mcc/mcc"
	"github.com/staex-mcc/mcc/forward"
)

// Node is what the API shows and steers; *mcc.Node is one. All methods must be
// safe for concurrent use.
type Node interface {
	mcc.Mesh
	// Info describes the node.
	Info() mcc.Info
	// Peers are the authenticated peers, in any order.
	Peers() []mcc.PeerInfo
	// LocalServices are this node's own registrations, in any order.
	LocalServices() []mcc.Service
	// Lookup is Providers with a filter, the best first.
	Lookup(ctx context.Context, name string, q mcc.Query) ([]mcc.Provider, error)
	// Listeners are the local ports that lead to services, in any order.
	Listeners() []mcc.Listener
	// AddListener opens a local port and returns it with its ID and address.
	AddListener(ctx context.Context, l mcc.Listener) (mcc.Listener, error)
	// RemoveListener closes one, or is mcc.ErrNotFound.
	RemoveListener(ctx context.Context, id string) error
	// NotReady says why the node is not ready; empty is ready.
	NotReady() []string
	// Events yields what happens from now on until ctx ends, the loop does, or
	// the node closes. A jump of Seq tells of events that a slow reader missed.
	Events(ctx context.Context) iter.Seq[mcc.Event]
	// Stats are the node's gauges and counters.
	Stats() mcc.Stats
	// DialService connects to a provider of service that choice allows.
	DialService(ctx context.Context, service string, choice forward.Choice) (net.Conn, error)
}

var _ Node = (*mcc.Node)(nil)

// Defaults of Options.
const (
	defaultMaxBody = 64 << 10
	// operationTimeout bounds one JSON operation; look-ups and registrations
	// that take longer end with 504.
	operationTimeout = 30 * time.Second
	// openTimeout bounds the opening of a BLOB. It is longer than a node tries
	// the seeders, so that its reason arrives before ours.
	openTimeout = 40 * time.Second
)

// Options configure a Handler. The zero value serves browsers of the same
// origin and everybody else who reaches the listener, without a token.
type Options struct {
	// CORS lists the origins, scheme://host[:port], whose pages may use the
	// API; "*" is any. Empty is none but the node's own.
	CORS []string
	// AllowHosts are Host names accepted besides IP literals, localhost,
	// *.localhost and *.mcc, without port.
	AllowHosts []string
	// Token must be presented by every request but /healthz, /readyz and
	// /session, as "Authorization: Bearer" or "Proxy-Authorization", or as the
	// cookie that POST /session gives for it. Empty asks for none, which is
	// only right where nobody but the user reaches the listener.
	Token string
	// Monitoring serves Prometheus metrics at /metrics.
	Monitoring bool
	// LogLevel is what /api/v1/loglevel shows and sets; nil hides it.
	LogLevel *zap.AtomicLevel
	// Logger gets internal errors, and refusals at debug level; nil is silent.
	Logger *zap.Logger
	// Version stands in the OpenAPI document; empty is that of the node.
	Version string
	// MaxBody bounds the body of a JSON operation in bytes; zero is 65,536.
	// Forwarded bodies are not bounded.
	MaxBody int64
}

// Handler serves one node. It is safe for concurrent use and may be mounted
// under a prefix with http.StripPrefix; names of services in the Host header
// then work only if their requests reach it too.
type Handler struct {
	node    Node
	opts    Options
	log     *zap.Logger
	guard   *guard
	tokens  *tokenGate
	mux     slashMux
	raw     map[string]*rawRoute // by pattern of mux
	gateway *forward.Gateway
	watches *watchHub
	sockets *sockets
	refused atomic.Uint64

	transfers transfers
}

// New makes a Handler for node. It fails on an origin in CORS that is none, and
// on an AllowHosts entry with a port or a path. The caller
// drains or closes it before shutting the HTTP server down, since watches and
// upgraded connections are requests that last.
func New(node Node, opts Options) (*Handler, error) {
	if node == nil {
		return nil, errors.New("rest: no node")
	}
	if opts.MaxBody <= 0 {
		opts.MaxBody = defaultMaxBody
	}
	if opts.Version == "" {
		opts.Version = node.Info().Version
	}
	g, err := newGuard(opts.CORS, opts.AllowHosts)
	if err != nil {
		return nil, fmt.Errorf("rest: %w", err)
	}
	h := &Handler{
		node: node, opts: opts, log: opts.Logger, guard: g, tokens: newTokenGate(opts.Token),
		raw: map[string]*rawRoute{}, transfers: transfers{stall: stallTimeout},
	}
	if h.log == nil {
		h.log = zap.NewNop()
	}
	if err := h.routes(); err != nil {
		return nil, fmt.Errorf("rest: %w", err)
	}
	h.watches = newWatchHub(node, h.log)
	h.gateway = h.newGateway()
	return h, nil
}

// Drain ends the watches, takes no more requests and streams for services and
// other nodes and waits until those under way have ended or ctx has; what is left is cut then, and ctx's
// error returned. The API itself goes on until the server stops.
func (h *Handler) Drain(ctx context.Context) error {
	h.watches.close()
	var socketsErr error
	var running sync.WaitGroup
	running.Go(func() { socketsErr = h.sockets.drain(ctx) })
	err := h.gateway.Drain(ctx)
	running.Wait()
	return cmp.Or(err, socketsErr)
}

// Close ends the watches, the streams over WebSocket and all requests for
// services, and waits for them. It may be called more than once, and after
// Drain.
func (h *Handler) Close() error {
	h.watches.close()
	h.sockets.close()
	return h.gateway.Close()
}

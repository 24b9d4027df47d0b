package mcc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/staex-mcc/mcc/dht"
	"github.com/staex-mcc/mcc/dht/discovery"
	"github.com/staex-mcc/mcc/forward"
	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/transport"
)

// Waits of a dial.
const (
	// joinWait bounds how long a dial waits for the first try to join.
	joinWait = 10 * time.Second
	// attemptWait bounds the dial of one provider, so that the next gets its
	// turn.
	attemptWait = 5 * time.Second
	// selfRTT makes the node itself the nearest provider.
	selfRTT = time.Nanosecond
	// lookupAgain is the wait between look-ups for a first provider.
	lookupAgain = 250 * time.Millisecond
)

// Protocol prefixes of streams between nodes (spec 5).
const (
	protocolService  = "svc:"  // raw bytes to a service
	protocolHTTP     = "http:" // HTTP/1.1 to a service, identity headers added
	protocolChannel  = "ch:"   // a channel between programs
	protocolBlob     = "blob"  // parts of the BLOB that the payload names
	protocolDHT      = "dht"   // one long message of the DHT and its answer
	protocolIdentify = "id"    // accepted and closed: the handshake said it all
)

// DialContext implements Services.
func (n *Node) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if !strings.HasPrefix(network, "tcp") {
		return nil, fmt.Errorf("dial %s %q: %w: the network must be tcp", network, address, ErrInvalid)
	}
	return n.DialService(ctx, serviceOf(address), forward.Choice{})
}

// serviceOf strips the port and the .mcc suffix of an address.
func serviceOf(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		address = host
	}
	address = strings.TrimSuffix(strings.ToLower(address), ".")
	return strings.TrimSuffix(address, ".mcc")
}

// DialService connects to a provider of service like DialContext, with a say in
// which one.
func (n *Node) DialService(ctx context.Context, service string, choice forward.Choice) (net.Conn, error) {
	if err := n.alive(); err != nil {
		return nil, err
	}
	name, consortium, err := n.splitName(service)
	if err != nil {
		return nil, err
	}
	candidates, err := n.candidates(ctx, name, consortium, choice)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", service, err)
	}
	open := transport.Open{Protocol: protocolService + name}
	if choice.HTTP {
		open.Protocol = protocolHTTP + name
	}
	conn, err := n.dialPatiently(ctx, candidates, open)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", service, err)
	}
	return conn, nil
}

// splitName reads "files" or "files.acme"; the own consortium is the default.
func (n *Node) splitName(service string) (name, consortium string, err error) {
	name, consortium, err = parseServiceName(service)
	if err != nil {
		return "", "", err
	}
	if consortium == "" {
		consortium = n.consortium()
	}
	return name, consortium, nil
}

// candidates are the providers a dial tries, in order. It waits for a node that
// is still joining and, if the options say so, for a first provider.
func (n *Node) candidates(ctx context.Context, name, consortium string, choice forward.Choice) ([]discovery.Provider, error) {
	n.awaitJoin(ctx)
	only, err := n.choiceNodes(ctx, choice)
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(n.waitForService)
	for {
		found, err := n.registry.Find(ctx, consortium, name)
		if err != nil {
			return nil, publicError(err)
		}
		found = slices.DeleteFunc(found, func(p discovery.Provider) bool {
			return only != nil && !slices.Contains(only, p.ID) ||
				choice.Tag != "" && !slices.Contains(p.Tags, choice.Tag)
		})
		if len(found) == 0 {
			found = pinned(only)
		}
		if len(found) > 0 {
			return n.order(name, found, choice)
		}
		if !time.Now().Before(deadline) {
			return nil, ErrNoProvider
		}
		if !sleep(ctx, lookupAgain) {
			return nil, fmt.Errorf("%w: %w", ErrNoProvider, ctx.Err())
		}
	}
}

// pinned are nodes that the caller names itself: they are tried although the
// directory does not list them, which a flood of other entries can bring about.
func pinned(only []identity.ID) []discovery.Provider {
	var providers []discovery.Provider
	for _, id := range only {
		providers = append(providers, discovery.Provider{ID: id, Weight: 1, Healthy: true})
	}
	return providers
}

// awaitJoin gives a node that has just been started the time for its first try
// to join. If that failed, the look-up says what is known here.
func (n *Node) awaitJoin(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, joinWait)
	defer cancel()
	select {
	case <-n.boot.tried:
	case <-n.life.ctx.Done():
	case <-ctx.Done():
	}
}

// choiceNodes are the only ids a choice admits; nil is any.
func (n *Node) choiceNodes(ctx context.Context, choice forward.Choice) ([]identity.ID, error) {
	var only []identity.ID
	for _, from := range choice.From {
		id, err := parseFrom(from)
		if err != nil {
			return nil, err
		}
		only = append(only, id)
	}
	if choice.Node != "" {
		id, err := n.resolveNode(ctx, choice.Node)
		if err != nil {
			return nil, err
		}
		if only != nil && !slices.Contains(only, id) {
			return nil, ErrNoProvider
		}
		only = []identity.ID{id}
	}
	return only, nil
}

// order sorts the providers by the choice's policy.
func (n *Node) order(name string, found []discovery.Provider, choice forward.Choice) ([]discovery.Provider, error) {
	rtts := n.rtts()
	candidates := make([]forward.Candidate, len(found))
	for i, p := range found {
		candidates[i] = forward.Candidate{
			Key: p.ID.String(), RTT: rtts[p.ID], Weight: p.Weight, Healthy: p.Healthy,
		}
		if p.ID == n.ID() {
			candidates[i].RTT = selfRTT
		}
	}
	indices, err := n.picker.Order(name, choice, candidates)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	ordered := make([]discovery.Provider, 0, len(indices))
	var failing []discovery.Provider
	for _, i := range indices {
		if n.failures.recent(found[i].ID) {
			failing = append(failing, found[i])
			continue
		}
		ordered = append(ordered, found[i])
	}
	return append(ordered, failing...), nil
}

// dialProvider opens a stream to one provider, this node included.
func (n *Node) dialProvider(ctx context.Context, p discovery.Provider, open transport.Open) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptWait)
	defer cancel()
	if p.ID == n.ID() {
		return n.dialSelf(ctx, open)
	}
	_, name, _ := strings.Cut(open.Protocol, ":")
	// Before anything is sent: a squatter learns nothing and delays nobody.
	open.Admit = func(peer *identity.Peer) error {
		if need := "register:" + name; !peer.May(need) {
			return fmt.Errorf("%w: its certificate lacks %s", ErrDenied, need)
		}
		return nil
	}
	stream, err := n.dialPeer(ctx, p.ID, p.Addr, open)
	if err != nil {
		return nil, err
	}
	return stream, nil
}

// dialPeer opens a stream to a node, first where the hint says, then where the
// DHT finds it.
func (n *Node) dialPeer(ctx context.Context, id identity.ID, hint netip.AddrPort, open transport.Open) (transport.Stream, error) {
	var hintErr error
	if hint.IsValid() {
		stream, err := n.parts.transport.Dial(ctx, transport.Contact{ID: id, Addr: hint}, open)
		var refused *transport.RefusedError
		if err == nil || errors.As(err, &refused) || errors.Is(err, ErrDenied) || ctx.Err() != nil {
			return stream, publicError(err)
		}
		hintErr = err
	}
	contact, err := n.parts.dht.FindPeer(ctx, id)
	if errors.Is(err, dht.ErrNotFound) || err == nil && contact.Addr == hint {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, errors.Join(hintErr, err))
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	stream, err := n.parts.transport.Dial(ctx, transport.Contact(contact), open)
	if err != nil {
		return nil, publicError(err)
	}
	return stream, nil
}

// rtts are the round trips measured to connected peers.
func (n *Node) rtts() map[identity.ID]time.Duration {
	lister, ok := n.parts.transport.(transport.PeerLister)
	if !ok {
		return nil
	}
	rtts := make(map[identity.ID]time.Duration)
	for _, p := range lister.Peers() {
		rtts[p.Peer.ID] = p.RTT
	}
	return rtts
}

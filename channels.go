package mcc

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"github.com/staex-mcc/mcc/transport"
)

// maxChannelName bounds a channel's protocol in bytes.
const maxChannelName = 200

// channelTable maps protocols to the programs that listen on them.
type channelTable struct {
	mu     sync.Mutex
	byName map[string]*listener
	closed bool
}

func newChannelTable() *channelTable { return &channelTable{byName: make(map[string]*listener)} }

func (t *channelTable) add(protocol string, l *listener) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return ErrClosed
	}
	if t.byName[protocol] != nil {
		return fmt.Errorf("channel %q: %w", protocol, ErrExists)
	}
	t.byName[protocol] = l
	return nil
}

func (t *channelTable) get(protocol string) *listener {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byName[protocol]
}

func (t *channelTable) remove(protocol string, l *listener) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byName[protocol] == l {
		delete(t.byName, protocol)
	}
}

func (t *channelTable) closeAll() {
	t.mu.Lock()
	t.closed = true
	listeners := make([]*listener, 0, len(t.byName))
	for _, l := range t.byName {
		listeners = append(listeners, l)
	}
	t.mu.Unlock()
	for _, l := range listeners {
		l.stop()
	}
}

// DialNode implements Channels.
func (n *Node) DialNode(ctx context.Context, node, protocol string) (net.Conn, error) {
	if err := n.alive(); err != nil {
		return nil, err
	}
	if err := checkChannel(protocol); err != nil {
		return nil, err
	}
	n.awaitJoin(ctx)
	id, err := n.resolveNode(ctx, node)
	if err != nil {
		return nil, err
	}
	open := transport.Open{Protocol: protocolChannel + protocol}
	if id == n.ID() {
		return n.dialSelf(ctx, open)
	}
	stream, err := n.dialPeer(ctx, id, netip.AddrPort{}, open)
	if err != nil {
		return nil, fmt.Errorf("dial node %s: %w", node, err)
	}
	return stream, nil
}

// Listen implements Channels.
func (n *Node) Listen(_ context.Context, protocol string) (net.Listener, error) {
	if err := n.alive(); err != nil {
		return nil, err
	}
	if err := checkChannel(protocol); err != nil {
		return nil, err
	}
	var l *listener
	l = newListener(transportAddr(n), func() error {
		n.channels.remove(protocol, l)
		return nil
	})
	if err := n.channels.add(protocol, l); err != nil {
		return nil, err
	}
	return l, nil
}

func checkChannel(protocol string) error {
	if protocol == "" || len(protocol) > maxChannelName {
		return fmt.Errorf("%w: a channel's protocol has 1 to %d bytes", ErrInvalid, maxChannelName)
	}
	return nil
}

// serveChannel hands a stream to the program that listens on its protocol. The
// permission is call:<protocol>.
func (n *Node) serveChannel(a arrival, protocol string) {
	l := n.channels.get(protocol)
	if l == nil {
		n.refuse(a, transport.ReasonNotFound, "nobody listens on this channel")
		return
	}
	if need := "call:" + protocol; !a.Peer().May(need) {
		n.refuse(a, transport.ReasonDenied, "your certificate lacks "+need)
		return
	}
	if !l.offer(n.life.ctx, a) {
		n.refuse(a, transport.ReasonBusy, "too many connections wait to be accepted")
	}
}

package mcc

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/identity/did"
	"github.com/staex-mcc/mcc/transport"
)

// activeFor is how recently an active peer was heard of.
const activeFor = time.Minute

func zapErr(err error) zap.Field { return zap.NamedError("err", err) }

// Peers are the authenticated peers this node has sessions with, by id.
func (n *Node) Peers() []PeerInfo {
	lister, ok := n.parts.transport.(transport.PeerLister)
	if !ok {
		return nil
	}
	var peers []PeerInfo
	for _, p := range lister.Peers() {
		info := PeerInfo{
			ID: p.Peer.ID, Label: p.Peer.Label, Consortium: p.Peer.Consortium,
			Address: p.Addr.String(), Path: p.Path, RTT: p.RTT, State: "idle",
		}
		if time.Since(p.LastSeen) < activeFor {
			info.State = "active"
		}
		peers = append(peers, info)
	}
	slices.SortFunc(peers, func(a, b PeerInfo) int { return a.ID.Compare(b.ID) })
	return peers
}

// resolveNode turns an id, did:key, did:mcc or label into an id.
func (n *Node) resolveNode(ctx context.Context, node string) (identity.ID, error) {
	if id, err := identity.ParseID(node); err == nil {
		return id, nil
	}
	if d, err := did.Parse(node); err == nil {
		id, err := d.Node()
		return id, publicError(err)
	}
	label, err := identity.NormalizeLabel(node)
	if err != nil || label != node {
		return identity.ID{}, fmt.Errorf("%w: %q is neither a node id nor a label", ErrInvalid, node)
	}
	ids, err := n.registry.FindLabel(ctx, label)
	if err != nil {
		return identity.ID{}, publicError(err)
	}
	ids = n.confirmLabel(ctx, label, ids)
	switch len(ids) {
	case 0:
		return identity.ID{}, fmt.Errorf("node %q: %w", node, ErrNotFound)
	case 1:
		return ids[0], nil
	}
	return identity.ID{}, fmt.Errorf("%w: label %q is borne by %s", ErrAmbiguous, label, joinIDs(ids))
}

// Bounds of confirming a label: who is asked at most, how many at a time, and
// how long one may take.
const (
	maxClaimants  = 64
	claimantsOnce = 8
	claimantWait  = 5 * time.Second
)

// confirmLabel keeps the nodes whose verified certificate bears the label: the
// directory holds what anybody claimed, so even a single claim is checked.
func (n *Node) confirmLabel(ctx context.Context, label string, ids []identity.ID) []identity.ID {
	ctx, cancel := context.WithTimeout(ctx, claimantWait)
	defer cancel()
	ids = ids[:min(len(ids), maxClaimants)]
	bears := make([]bool, len(ids))
	slots := make(chan struct{}, claimantsOnce)
	var asking sync.WaitGroup
	for i, id := range ids {
		asking.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			peer, err := n.meet(ctx, id)
			bears[i] = err == nil && peer.Label == label
		})
	}
	asking.Wait()
	var confirmed []identity.ID
	for i, id := range ids {
		if bears[i] {
			confirmed = append(confirmed, id)
		}
	}
	return confirmed
}

// meet asks a node for any sign of life, to learn its verified identity.
func (n *Node) meet(ctx context.Context, id identity.ID) (*identity.Peer, error) {
	if id == n.ID() {
		return n.selfPeer(), nil
	}
	if lister, ok := n.parts.transport.(transport.PeerLister); ok {
		for _, p := range lister.Peers() {
			if p.Peer.ID == id {
				return p.Peer, nil
			}
		}
	}
	contact, err := n.parts.dht.FindPeer(ctx, id)
	if err != nil {
		return nil, err
	}
	stream, err := n.parts.transport.Dial(ctx, transport.Contact(contact), transport.Open{Protocol: protocolIdentify})
	if err != nil {
		return nil, err
	}
	defer stream.Reset()
	return stream.Peer(), nil
}

// selfPeer is this node as its peers see it.
func (n *Node) selfPeer() *identity.Peer {
	cert := n.self.Certificate()
	peer, err := n.trust.Verify(cert, time.Now())
	if err != nil { // expired while running: still nobody else
		peer = identity.OpenPeer(n.ID(), cert.Label())
	}
	return peer
}

func joinIDs(ids []identity.ID) string {
	slices.SortFunc(ids, identity.ID.Compare)
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = id.String()
	}
	return strings.Join(texts, ", ")
}

// byName orders services for lists.
func byName(a, b Service) int { return cmp.Compare(a.Name, b.Name) }

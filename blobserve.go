package mcc

import (
	"context"
	"net"

	"go.uber.org/zap"

	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/store/blob"
	"github.com/staex-mcc/mcc/store/swarm"
	"github.com/staex-mcc/mcc/transport"
)

const (
	// maxBlobStreams bounds the streams on which this node serves BLOBs,
	// maxPeerBlobStreams those of one peer; past them peers hear that it is busy.
	maxBlobStreams     = 256
	maxPeerBlobStreams = 16
)

// blobNet is the swarm's way to other seeders.
type blobNet struct{ node *Node }

// FindSeeders implements swarm.Network.
func (b blobNet) FindSeeders(ctx context.Context, id blob.ID) ([]swarm.Seeder, error) {
	found, err := b.node.blobs.seeds.Find(ctx, id)
	if err != nil {
		return nil, err
	}
	known := make(map[identity.ID]bool)
	for _, p := range b.node.Peers() {
		known[p.ID] = true
	}
	seeders := make([]swarm.Seeder, 0, len(found))
	for _, s := range found {
		if s.Node != b.node.ID() {
			seeders = append(seeders, swarm.Seeder{Node: s.Node, Addr: s.Addr, Known: known[s.Node]})
		}
	}
	return seeders, nil
}

// Dial implements swarm.Network.
func (b blobNet) Dial(ctx context.Context, s swarm.Seeder, id blob.ID) (net.Conn, error) {
	return b.node.dialPeer(ctx, s.Node, s.Addr, transport.Open{Protocol: protocolBlob, Payload: id[:]})
}

// serveBlob serves the BLOB that a peer asks for.
func (n *Node) serveBlob(a arrival) {
	id := blob.ID{}
	if copy(id[:], a.Open().Payload) != len(id) || len(a.Open().Payload) != len(id) {
		n.refuse(a, transport.ReasonNotFound, "the header names no BLOB")
		return
	}
	if !a.Peer().May("blob") {
		n.refuse(a, transport.ReasonDenied, "your certificate lacks blob")
		return
	}
	leave, ok := n.blobs.serving.take(a.Peer().ID)
	if !ok {
		n.refuse(a, transport.ReasonBusy, "too many streams")
		return
	}
	defer leave()
	if _, err := n.blobs.store.Stat(id); err != nil {
		// No event: a seeder that deleted a BLOB is asked for it until its lease
		// is gone.
		_ = a.Refuse(transport.ReasonNotFound, "no such BLOB here")
		return
	}
	stream, err := a.Accept()
	if err != nil {
		return
	}
	if err := n.blobs.swarm.Serve(n.life.ctx, stream, id); err != nil {
		n.log.Debug("BLOB stream ended", zap.Stringer("peer", a.Peer().ID), zapErr(err))
	}
}

// count adds the gauges and counters of BLOBs.
func (b *blobShelf) count(s *Stats) {
	kept, moved, announced := b.store.Stats(), b.swarm.Stats(), b.seeds.Stats()
	s.Blobs, s.BlobBytes = kept.Blobs, kept.Bytes
	s.Counters["blob_streams_refused"] = b.serving.refusals()
	s.Counters["blob_fetched"] = moved.Completed
	s.Counters["blob_fetches_failed"] = moved.Failed
	s.Counters["blob_fetches_refused"] = moved.Refused
	s.Counters["blob_fetched_bytes"] = moved.FetchedBytes
	s.Counters["blob_duplicate_bytes"] = moved.DuplicateBytes
	s.Counters["blob_seeders_banned"] = moved.Banned
	s.Counters["blob_seeders_outpaced"] = moved.Outpaced
	s.Counters["blob_served_bytes"] = moved.ServedBytes
	s.Counters["blob_malformed_requests"] = moved.Malformed
	s.Counters["blob_announced"] = announced.Placed
	s.Counters["blob_announces_unacknowledged"] = announced.Unacknowledged
	s.Counters["blob_announces_failed"] = announced.Failed
	s.Counters["blob_announces_refused"] = announced.Refused
}

package udp

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/transport"
)

// counts are what a Transport counted since its start. Every limit of this
// package has one, so that a full queue is visible.
type counts struct {
	requestsDropped  atomic.Uint64 // requests dropped because nobody accepted them
	answersDropped   atomic.Uint64 // answers dropped because the run loop was behind
	dials            atomic.Uint64 // QUIC handshakes started here
	connsAccepted    atomic.Uint64 // QUIC connections of peers
	connsRefused     atomic.Uint64 // of those, refused because of a limit
	connsClogged     atomic.Uint64 // QUIC connections found without room for a stream
	connsSilent      atomic.Uint64 // QUIC connections on which a header got no sign of life
	certsRefused     atomic.Uint64 // peers whose certificate was refused
	retries          atomic.Uint64 // handshakes asked to prove their address
	dialsQueued      atomic.Uint64 // dials that waited because too many asked the same peer
	streamsDialed    atomic.Uint64 // streams a peer accepted
	streamsAccepted  atomic.Uint64 // streams accepted here
	offersBusy       atomic.Uint64 // offers refused because of a limit
	offersTimedOut   atomic.Uint64 // offers nobody decided in time
	offersBadHeaders atomic.Uint64 // streams without a valid header in time
}

// Counters implements transport.Counters.
func (t *Transport) Counters() []transport.Counter {
	c := &t.counts
	list := []transport.Counter{
		{Name: "requests_dropped", Value: c.requestsDropped.Load()},
		{Name: "answers_dropped", Value: c.answersDropped.Load()},
		{Name: "dials", Value: c.dials.Load()},
		{Name: "conns_accepted", Value: c.connsAccepted.Load()},
		{Name: "conns_refused", Value: c.connsRefused.Load()},
		{Name: "conns_clogged", Value: c.connsClogged.Load()},
		{Name: "conns_silent", Value: c.connsSilent.Load()},
		{Name: "certs_refused", Value: c.certsRefused.Load()},
		{Name: "retries", Value: c.retries.Load()},
		{Name: "dials_queued", Value: c.dialsQueued.Load()},
		{Name: "streams_dialed", Value: c.streamsDialed.Load()},
		{Name: "streams_accepted", Value: c.streamsAccepted.Load()},
		{Name: "offers_busy", Value: c.offersBusy.Load()},
		{Name: "offers_timed_out", Value: c.offersTimedOut.Load()},
		{Name: "offers_bad_headers", Value: c.offersBadHeaders.Load()},
	}
	return slices.Concat(t.mux.Counters(), list, t.calls.counters())
}

// pathQUIC is the path of every peer for as long as there is one socket and no
// relay.
const pathQUIC = "quic"

// Peers implements transport.PeerLister. A peer with both a connection and a
// session of calls is listed once: at the connection's address, with the later
// sign of life and the fresher round trip.
func (t *Transport) Peers() []transport.PeerState {
	merged := make(map[identity.ID]transport.PeerState)
	for _, p := range t.calls.peers() {
		p.Path = pathQUIC
		merged[p.Peer.ID] = p
	}
	for _, s := range t.conns.newest(time.Now()) {
		p := transport.PeerState{
			Peer:     s.peer,
			Addr:     s.addr(),
			Path:     pathQUIC,
			RTT:      s.qc.ConnectionStats().SmoothedRTT,
			LastSeen: s.at,
		}
		if call, ok := merged[s.peer.ID]; ok && call.LastSeen.After(p.LastSeen) {
			p.LastSeen = call.LastSeen
			if call.RTT > 0 {
				p.RTT = call.RTT
			}
		}
		merged[s.peer.ID] = p
	}
	list := make([]transport.PeerState, 0, len(merged))
	for _, p := range merged {
		list = append(list, p)
	}
	return list
}

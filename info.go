package mcc

import (
	"time"

	"github.com/staex-mcc/mcc/identity"
)

// Info describes a node to its operator.
type Info struct {
	ID         identity.ID
	Label      string
	DID        string
	Consortium string // empty in an open mesh
	// Addresses are where the node listens, host:port, and where others have
	// seen it, the former first.
	Addresses []string
	// Version is that of the module; Wire that of the protocol.
	Version string
	Wire    int
	Uptime  time.Duration
	// Peers counts authenticated peers.
	Peers int
	// Reachability is whether others reach this node unasked. This version does
	// not find out: it is always "unknown".
	Reachability string
	// Open reports that no CA is trusted: anybody may take part.
	Open bool
}

// Query narrows a Lookup. The zero Query asks for all.
type Query struct {
	// Tag must be among the provider's tags.
	Tag string
	// HealthyOnly leaves out providers whose health check fails.
	HealthyOnly bool
	// Node is the id or label of the provider wanted.
	Node string
	// Limit bounds the answer; zero is 1000.
	Limit int
}

// Stats are gauges and counters of a node at one moment.
type Stats struct {
	Peers, Contacts, Services, Listeners int
	// Blobs are those of this node, whole; BlobBytes their contents.
	Blobs     int
	BlobBytes int64
	// Counters only ever grow, by name in snake_case, such as
	// "transport_calls_dropped" or "forward_bytes_out".
	Counters map[string]uint64
}

// Sub returns the counters' growth since an earlier Stats; gauges stay.
func (s Stats) Sub(earlier Stats) Stats {
	grown := make(map[string]uint64, len(s.Counters))
	for name, v := range s.Counters {
		grown[name] = v - earlier.Counters[name]
	}
	s.Counters = grown
	return s
}

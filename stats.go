package mcc

import "github.com/staex-mcc/mcc/transport"

// Stats are the node's gauges and counters now.
func (n *Node) Stats() Stats {
	s := Stats{
		Peers:     len(n.Peers()),
		Contacts:  len(n.parts.dht.Contacts()),
		Services:  len(n.offers.list()),
		Listeners: len(n.entrances.List()),
		Counters:  map[string]uint64{"events_dropped": n.events.droppedCount()},
	}
	if c, ok := n.parts.transport.(transport.Counters); ok {
		for _, counter := range c.Counters() {
			s.Counters["transport_"+counter.Name] = counter.Value
		}
	}
	f := n.entrances.Stats()
	s.Counters["forward_connections"] = f.Connections
	s.Counters["forward_bytes_to_service"] = f.ToService
	s.Counters["forward_bytes_from_service"] = f.FromService
	s.Counters["forward_dial_failures"] = f.DialFailures
	s.Counters["forward_stalled"] = f.Stalled
	s.Counters["forward_waits"] = f.Waits
	s.Counters["forward_accept_errors"] = f.AcceptErrors
	s.Counters["dht_long_refused"] = n.longCalls.refusals()
	n.blobs.count(&s)
	d := n.registry.Stats()
	s.Counters["discovery_placed"] = d.Placed
	s.Counters["discovery_unacknowledged"] = d.Unacknowledged
	s.Counters["discovery_failed"] = d.Failed
	s.Counters["discovery_dropped"] = d.Dropped
	return s
}

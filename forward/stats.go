package forward

import "sync/atomic"

// Stats is what entrances, a backend or a gateway counted since their start.
// Counters that have no meaning for one of them stay zero.
type Stats struct {
	// Active is the number of open connections now: a client together with its
	// stream counts once, a pooled stream of a gateway once.
	Active int64
	// Connections counts those opened so far.
	Connections uint64
	// Requests counts HTTP requests.
	Requests uint64
	// ToService and FromService count bytes in the two directions.
	ToService, FromService uint64
	// DialFailures counts clients whose service, or services whose address,
	// could not be reached.
	DialFailures uint64
	// Refused counts connections and requests turned away at a limit.
	Refused uint64
	// Waits counts how often a listener stopped accepting at its limit, which
	// leaves further clients in the backlog of the system.
	Waits uint64
	// AcceptErrors counts failures to accept, such as too many open files.
	AcceptErrors uint64
	// Stalled counts connections reset because a write made no progress.
	Stalled uint64
}

// counters is the live form of Stats.
type counters struct {
	active                                  atomic.Int64
	connections, requests                   atomic.Uint64
	toService, fromService                  atomic.Uint64
	dialFailures, refused, waits, acceptErr atomic.Uint64
	stalled                                 atomic.Uint64
}

func (c *counters) stats() Stats {
	return Stats{
		Active:       c.active.Load(),
		Connections:  c.connections.Load(),
		Requests:     c.requests.Load(),
		ToService:    c.toService.Load(),
		FromService:  c.fromService.Load(),
		DialFailures: c.dialFailures.Load(),
		Refused:      c.refused.Load(),
		Waits:        c.waits.Load(),
		AcceptErrors: c.acceptErr.Load(),
		Stalled:      c.stalled.Load(),
	}
}

// opened counts a connection until the returned function is called.
func (c *counters) opened() (closed func()) {
	c.connections.Add(1)
	c.active.Add(1)
	return func() { c.active.Add(-1) }
}

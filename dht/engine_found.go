package dht

import (
	"net/netip"
	"slices"
	"time"

	"github.com/staex-mcc/mcc/identity"
)

// foundLease collects what several holders say about one provider.
type foundLease struct {
	lease *Lease
	hints []hint
}

// hint is an address and how many holders named it.
type hint struct {
	addr  netip.AddrPort
	votes int
}

// collect takes what an answer holds of what is looked for.
func (op *operation) collect(e *Engine, from Contact, a *Answer) {
	target := op.lookup.target
	if op.wants&WantItem != 0 && op.suits(e, a.Item) {
		op.sightings = append(op.sightings, &sighting{item: a.Item, at: from})
	}
	if op.wants&WantLeases != 0 {
		for _, l := range a.Leases {
			if l.Key == target && (l.Withdrawn() || !e.now.After(l.Expires.Add(ClockTolerance))) {
				op.mergeLease(l)
			}
		}
	}
}

// nextPage asks for what did not fit into the answer.
func (op *operation) nextPage(e *Engine, to Contact, a *Answer, page int) {
	q := &Query{Kind: KindFind, Target: op.lookup.target}
	switch {
	case page > maxPages:
		return
	case a.Flags&FlagMoreLeases != 0 && op.wants&WantLeases != 0 && (page == 1 || len(a.Leases) > 0):
		q.Wants = WantLeases
		if n := len(a.Leases); n > 0 {
			q.After = a.Leases[n-1].Provider
		}
	default:
		return
	}
	op.pages++
	op.queries++
	e.send(&sent{purpose: forPage, to: to, op: op, query: q, place: &place{state: waiting}, page: page + 1})
}

// page handles a page that was asked for.
func (op *operation) page(e *Engine, s *sent, a *Answer) {
	if s.place.state == waiting {
		op.pages--
	}
	s.place.state = answered
	if op.ended {
		return
	}
	op.collect(e, s.to, a)
	op.nextPage(e, s.to, a, s.page)
	op.advance(e)
}

func (op *operation) pageFailed(e *Engine, s *sent) {
	if s.place.state == waiting {
		op.pages--
	}
	s.place.state = failed
	op.advance(e)
}

// mergeLease keeps the newest version of each provider and counts who saw it
// where.
func (op *operation) mergeLease(l FoundLease) {
	at, known := slices.BinarySearchFunc(op.leases, l.Provider, func(f *foundLease, p identity.ID) int {
		return f.lease.Provider.Compare(p)
	})
	if !known {
		op.leases = slices.Insert(op.leases, at, &foundLease{lease: &l.Lease})
		if len(op.leases) > maxFoundLeases {
			op.leases = op.leases[:maxFoundLeases]
		}
		if at == maxFoundLeases {
			return
		}
	}
	f := op.leases[at]
	switch c := compareLeases(&l.Lease, f.lease); {
	case c < 0:
		return
	case c > 0:
		f.lease, f.hints = &l.Lease, nil
	}
	if !l.Addr.IsValid() {
		return
	}
	i := slices.IndexFunc(f.hints, func(h hint) bool { return h.addr == l.Addr })
	if i < 0 {
		if len(f.hints) == leaseHolders {
			return
		}
		i = len(f.hints)
		f.hints = append(f.hints, hint{addr: l.Addr})
	}
	f.hints[i].votes++
}

// livingLeases is the result of a search: withdrawals are out, and each lease
// has the address that most holders saw.
func (op *operation) livingLeases(now time.Time) []FoundLease {
	living := []FoundLease{}
	for _, f := range op.leases {
		if f.lease.Withdrawn() || now.After(f.lease.Expires.Add(ClockTolerance)) {
			continue
		}
		found, votes := FoundLease{Lease: *f.lease}, 0
		for _, h := range f.hints {
			if h.votes > votes || h.votes == votes && h.addr.Compare(found.Addr) < 0 {
				found.Addr, votes = h.addr, h.votes
			}
		}
		living = append(living, found)
	}
	return living
}

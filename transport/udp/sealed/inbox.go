package sealed

import (
	"container/list"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/staex-mcc/mcc/transport"
)

// Requests of peers, from their arrival to their answer.

// ticketLife is how long a request may be answered.
const ticketLife = 10 * time.Second

// incoming is a request that waits for its answer.
type incoming struct {
	key        requestKey
	serial     uint64
	from       netip.AddrPort
	session    *session
	try        uint8
	idempotent bool
	early      bool // came with the INIT
	max        int
	arrived    time.Time
	place      *list.Element
}

// receiveRequest hands a new request to the application. A repeated one is
// answered from what is known of it: executing it again would be wrong if it
// changes something, and a waste if it does not.
func (e *Endpoint) receiveRequest(now time.Time, s *session, from netip.AddrPort, f frame, out *Actions) {
	key := requestKey{peer: s.peer.id, number: f.number}
	if in := e.pending[key]; in != nil {
		in.session, in.from, in.try = s, from, f.try
		e.counts[requestsRepeated]++
		e.sendFrame(s, frame{kind: frameWorking, number: f.number}, out)
		return
	}
	if done := e.ledger.find(key); done != nil {
		e.counts[requestsRepeated]++
		if done.answered {
			e.sendAnswer(now, s, from, f.try, f.number, done.answer, out)
		}
		return
	}
	in := &incoming{
		key: key, from: from, session: s, try: f.try, idempotent: f.idempotent,
		max: transport.MaxAnswer, arrived: now,
	}
	if !e.take(now, in, f.data, out) {
		return
	}
	if !f.idempotent {
		e.ledger.begin(s.peer, key)
	}
}

// take gives a request to the application, if there is room.
func (e *Endpoint) take(now time.Time, in *incoming, data []byte, out *Actions) bool {
	e.lapse(now)
	if len(e.pending) >= e.cfg.MaxRequests {
		e.counts[droppedBusy]++
		return false
	}
	e.lastTicket++
	in.serial = e.lastTicket
	in.place = e.waiting.PushBack(in)
	e.pending[in.key] = in
	e.counts[requestsTaken]++
	out.Requests = append(out.Requests, Request{
		Ticket: Ticket{key: in.key, serial: in.serial}, Peer: in.session.who, From: in.from,
		Data: slices.Clone(data), Early: in.early, MaxAnswer: in.max,
	})
	return true
}

// lapse forgets the requests that were not answered in time. What they may have
// changed stays in the ledger.
func (e *Endpoint) lapse(now time.Time) {
	for {
		front := e.waiting.Front()
		if front == nil || now.Sub(front.Value.(*incoming).arrived) < ticketLife {
			return
		}
		e.counts[requestsLapsed]++
		e.settle(front.Value.(*incoming))
	}
}

func (e *Endpoint) settle(in *incoming) {
	e.waiting.Remove(in.place)
	delete(e.pending, in.key)
}

// Answer answers a request. Only the first answer to a ticket counts, and a
// ticket lapses after 10 s; later ones do nothing. An answer over the request's
// MaxAnswer is transport.ErrTooLong and leaves the ticket valid. Answer does
// not keep data.
func (e *Endpoint) Answer(now time.Time, t Ticket, data []byte, out *Actions) error {
	if e.closed {
		return transport.ErrClosed
	}
	e.lapse(now)
	in := e.pending[t.key]
	if in == nil || in.serial != t.serial {
		return nil
	}
	if len(data) > in.max {
		return fmt.Errorf("answer of %d bytes, at most %d: %w", len(data), in.max, transport.ErrTooLong)
	}
	e.settle(in)
	e.ledger.end(in.key, data)
	s := e.sessionFor(now, in)
	switch {
	case s == nil: // the peer will ask again, in another session
	case s.half == nil:
		e.sendAnswer(now, s, in.from, in.try, in.key.number, data, out)
	case s.sealer == nil:
		e.respond(now, s, data, true, out)
	default: // nothing more may go to the unproven address
		s.half.late = &lateAnswer{number: in.key.number, data: slices.Clone(data)}
	}
	return nil
}

// Decline gives a request back: nobody has looked at it or will. If the peer
// repeats it, it counts as new.
func (e *Endpoint) Decline(t Ticket) {
	in := e.pending[t.key]
	if in == nil || in.serial != t.serial {
		return
	}
	e.counts[requestsDeclined]++
	e.settle(in)
	e.ledger.remove(e.ledger.find(t.key))
}

// sessionFor is where the answer to a request goes: the session it came in, or
// what replaced it.
func (e *Endpoint) sessionFor(now time.Time, in *incoming) *session {
	if e.sessions[in.session.local] == in.session {
		return in.session
	}
	if p := e.peers[in.key.peer]; p != nil && p.current.usable(now) {
		return p.current
	}
	return nil
}

// sendAnswer sends an answer to where the request came from, as far as that is
// allowed, and else to the proven address.
func (e *Endpoint) sendAnswer(now time.Time, s *session, from netip.AddrPort, try uint8, number uint64, data []byte, out *Actions) {
	f := frame{kind: frameAnswer, try: try, number: number, observed: from, data: data}
	size := dataHead + 1 + 1 + 8 + addrSize(from) + len(data) + tagSize
	to := s.addr
	if from != s.addr && s.roam.spend(from, size) {
		to = from
	}
	e.sendFrameTo(s, to, f, out)
	e.renew(now, s, out)
}

// Bounds of the ledger. An entry outlives the repetitions of a request as long
// as no more than this many newer ones push it out.
const (
	maxLedger     = 8192
	maxLedgerPeer = 1024
)

// ledger remembers requests that change something, so that a repeated one is
// answered and not executed again.
type ledger struct {
	entries map[requestKey]*ledgerEntry
	order   list.List // of *ledgerEntry, the oldest first
}

type ledgerEntry struct {
	key      requestKey
	answered bool
	answer   []byte
	place    *list.Element
}

func (l *ledger) find(key requestKey) *ledgerEntry { return l.entries[key] }

// begin enters a request of p that is going to be executed. A peer over its
// share pushes out its own oldest entry, never somebody else's.
func (l *ledger) begin(p *peer, key requestKey) {
	if l.entries == nil {
		l.entries = make(map[requestKey]*ledgerEntry)
	}
	entry := &ledgerEntry{key: key}
	entry.place = l.order.PushBack(entry)
	l.entries[key] = entry
	p.executed = append(p.executed, key.number)
	if len(p.executed) > maxLedgerPeer {
		l.remove(l.entries[requestKey{peer: p.id, number: p.executed[0]}])
		p.executed = slices.Delete(p.executed, 0, 1)
	}
	if l.order.Len() > maxLedger {
		l.remove(l.order.Front().Value.(*ledgerEntry))
	}
}

// end notes the answer to a request, if it was entered.
func (l *ledger) end(key requestKey, answer []byte) {
	if entry := l.entries[key]; entry != nil {
		entry.answered, entry.answer = true, slices.Clone(answer)
	}
}

func (l *ledger) remove(entry *ledgerEntry) {
	if entry != nil {
		l.order.Remove(entry.place)
		delete(l.entries, entry.key)
	}
}

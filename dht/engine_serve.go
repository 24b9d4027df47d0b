package dht

import (
	"slices"
	"strings"

	"github.com/staex-mcc/mcc/identity"
)

// minContacts is how many contacts an answer has room for beside a record or
// leases, if they were asked for, so that the lookup can go on.
const minContacts = 8

// minAnswer is the least room in which every query can be answered; with less
// it is ErrBusy.
const minAnswer = findAnswerFixedSize

// receive answers a peer's query.
func (e *Engine) receive(r Received) {
	from := Contact{ID: r.Peer.ID, Addr: plainAddr(r.From)}
	// An early query proves no address: a check would send packets to whoever
	// is there.
	if !r.Early && r.Peer.May("route") && r.Peer.ID != e.self {
		e.consider(from)
	}
	if err := permitted(r.Peer, r.Query, r.Early); err != nil {
		e.refuse(r, err)
		return
	}
	if r.MaxAnswer < minAnswer {
		e.refuse(r, ErrBusy)
		return
	}
	switch r.Query.Kind {
	case KindPing:
		e.respond(r, &Answer{Kind: KindPing})
	case KindFind:
		e.respond(r, e.find(r))
	case KindPut:
		e.receiveItem(r)
	case KindGet:
		e.receiveGet(r)
	case KindPutLease:
		e.receiveLease(r, from)
	default:
		e.refuse(r, ErrMalformed)
	}
}

func (e *Engine) refuse(r Received, err error) {
	e.actions.Responses = append(e.actions.Responses, Response{Call: r.Call, Err: err})
}

func (e *Engine) respond(r Received, a *Answer) {
	e.actions.Responses = append(e.actions.Responses, Response{Call: r.Call, Answer: a})
}

// find collects what fits into the answer: first a few contacts if they are
// wanted, then the item, then leases, then more contacts.
func (e *Engine) find(r Received) *Answer {
	a := &Answer{Kind: KindFind}
	q := r.Query
	room := r.MaxAnswer - findAnswerFixedSize
	var contacts []Contact
	if q.Wants&WantContacts != 0 {
		contacts = e.handOut(q.Target, r.Peer.ID)
	}
	reserved := 0
	for _, c := range contacts[:min(minContacts, len(contacts))] {
		reserved += contactSize(c)
	}
	if q.Wants&WantItem != 0 {
		if a.Item = fitting(e.items.get(q.Target, e.now), room-reserved); a.Item != nil {
			room -= itemSize(a.Item)
		}
	}
	if q.Wants&WantLeases != 0 {
		room -= e.findLeases(a, q, room-reserved)
	}
	for _, c := range contacts {
		if room -= contactSize(c); room < 0 {
			break
		}
		a.Contacts = append(a.Contacts, c)
	}
	return a
}

// handOut returns the contacts to tell peer about, nearest first.
func (e *Engine) handOut(target Key, peer identity.ID) []Contact {
	contacts := make([]Contact, 0, bucketSize)
	for _, n := range e.table.closest(target, bucketSize+1, false) {
		if n.ID != peer && sendable(n.Addr) && len(contacts) < bucketSize {
			contacts = append(contacts, n.Contact)
		}
	}
	return contacts
}

// findLeases adds the page of leases that fits into room and returns how much
// it took.
func (e *Engine) findLeases(a *Answer, q *Query, room int) (used int) {
	for l := range e.leases.after(q.Target, q.After, e.now) {
		size := addrSize(l.Addr) + 2 + leaseSize(l.Lease) - len(l.Key)
		if used+size > room || len(a.Leases) == 255 {
			a.Flags |= FlagMoreLeases
			break
		}
		used += size
		a.Leases = append(a.Leases, l)
	}
	return used
}

// permitted is ErrDenied if peer may not ask q. Reading is open to every peer
// that may do anything, since a mere caller has to find what it calls; a record
// or value may be brought by anybody who may store, since its owner signed it or
// its key tells; a lease only by its provider, which must be allowed to register
// something or to seed BLOBs. Which service is behind the key is for the
// service's callers to check.
func permitted(peer *identity.Peer, q *Query, early bool) error {
	allowed := q.Idempotent() && len(peer.Permissions) > 0
	switch q.Kind {
	case KindPut:
		allowed = !early && peer.May("store")
	case KindPutLease:
		allowed = !early && q.Lease.Provider == peer.ID && (mayRegister(peer) || peer.May("blob"))
	}
	if !allowed {
		return ErrDenied
	}
	return nil
}

// receiveLease keeps a lease or its withdrawal.
func (e *Engine) receiveLease(r Received, from Contact) {
	l := r.Query.Lease
	if !sendable(from.Addr) {
		from.Addr = Contact{}.Addr
	}
	status, inForce := e.leases.put(l, from.Addr, e.now)
	a := &Answer{Kind: KindPutLease, Status: status}
	if inForce != nil && putAnswerFixedSize+leaseSize(*inForce) <= r.MaxAnswer {
		a.Lease = inForce
	}
	e.respond(r, a)
}

// mayRegister reports whether p may register any service.
func mayRegister(p *identity.Peer) bool {
	return slices.ContainsFunc(p.Permissions, func(s string) bool {
		return s == "all" || strings.HasPrefix(s, "register:")
	})
}

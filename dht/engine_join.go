package dht

import "slices"

// join asks the seeds for the neighbourhood of this node. With none given, the
// table and the contacts of an earlier run are asked.
func (op *operation) join(e *Engine) {
	seeds := op.task.Seeds
	if len(seeds) == 0 {
		for _, n := range e.table.closest(e.key, bucketSize, true) {
			seeds = append(seeds, n.Contact)
		}
		seeds = append(seeds, e.checks.restored...)
	}
	e.joins++
	op.prepare(e, e.key, bucketSize, WantContacts)
	asked := make([]Contact, 0, maxSeeds)
	for _, c := range seeds {
		c.Addr = plainAddr(c.Addr)
		if len(asked) < maxSeeds && c.ID != e.self && c.Addr.IsValid() && !slices.Contains(asked, c) {
			asked = append(asked, c)
		}
	}
	op.seeds = len(asked)
	if op.seeds == 0 {
		op.finish(e, ErrNoPeers)
		return
	}
	for _, c := range asked {
		op.queries++
		e.send(&sent{
			purpose: forSeed, to: c, op: op,
			query: &Query{Kind: KindFind, Target: e.key, Wants: WantContacts},
		})
	}
}

// seedAnswered starts the walk at the first answer; later ones add to it.
func (op *operation) seedAnswered(e *Engine, n node, a *Answer) {
	op.seeds--
	if op.ended {
		return
	}
	if !op.seedHeard {
		op.seedHeard = true
		for _, n := range e.table.closest(e.key, bucketSize, false) {
			op.lookup.add(n, 1)
		}
	}
	op.lookup.addAnswered(n)
	for _, c := range a.Contacts {
		if sendable(c.Addr) && !c.ID.IsZero() {
			op.lookup.add(op.known(e, c), 2)
		}
	}
	op.advance(e)
}

func (op *operation) seedFailed(e *Engine) {
	op.seeds--
	if !op.ended && !op.seedHeard && op.seeds == 0 {
		op.finish(e, ErrNoPeers)
	}
}

// introduce pings the neighbours once more. What they heard of this node so far
// may have been early queries, which make nobody consider the sender; this one
// comes from a proven address.
func (e *Engine) introduce() {
	for _, n := range e.table.closest(e.key, bucketSize, false) {
		e.send(&sent{purpose: forProbe, to: n.Contact, query: &Query{Kind: KindPing}})
	}
}

// joined goes on after this node found its neighbourhood: it looks into the
// rest of the network and offers its own records to whoever is there now.
func (e *Engine) joined() {
	e.handover.settled = true
	e.introduce()
	e.refreshStale()
	e.publishNow()
}

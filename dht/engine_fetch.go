package dht

import "slices"

// sighting is a version of an item that somebody said it has.
type sighting struct {
	item  *Item
	at    Contact
	here  bool // in this node's store
	state candidateState
}

// get begins a read with what is held here.
func (op *operation) get(e *Engine) {
	if it := e.items.get(op.task.Key, e.now); it != nil && it.Immutable() == op.task.Immutable {
		op.sightings = append(op.sightings, &sighting{item: it, here: true})
	}
	op.walk(e, op.task.Key, readWidth, WantContacts|WantItem)
}

// suits reports whether it is an item that the read is after.
func (op *operation) suits(e *Engine, it *Item) bool {
	return it != nil && it.Key == op.lookup.target && it.Immutable() == op.task.Immutable &&
		!it.expired(e.now) && !e.items.past.outdates(it)
}

// fetch goes on after the lookup: the newest version seen is the result, if the
// whole of it is at hand; else its holders are asked for it, the next one when
// one is slow, lies or fails. Where all fail, the next older version is as good
// as it gets, and in the end the whole neighbourhood is asked.
func (op *operation) fetch(e *Engine) {
	newest := op.newest()
	if len(newest) == 0 {
		op.fetchFailed(e)
		return
	}
	for _, s := range newest {
		if s.item.Whole() || s.here {
			op.got(e, s.item)
			return
		}
	}
	in := func(state candidateState) int {
		return slices.IndexFunc(newest, func(s *sighting) bool { return s.state == state })
	}
	if next := in(fresh); next >= 0 && in(waiting) < 0 {
		op.ask(e, newest[next])
	}
}

// newest are the sightings of the newest version. What they say about the size
// and expiry of an immutable value may differ, since nobody signed it.
func (op *operation) newest() []*sighting {
	slices.SortStableFunc(op.sightings, func(a, b *sighting) int { return compareItems(b.item, a.item) })
	for i, s := range op.sightings {
		if !sameContents(s.item, op.sightings[0].item) {
			return op.sightings[:i]
		}
	}
	return op.sightings
}

// ask has a holder send the whole item.
func (op *operation) ask(e *Engine, s *sighting) {
	s.state = waiting
	op.queries++
	e.send(&sent{
		purpose: forFetch, to: s.at, op: op, sighting: s, stream: !s.item.small(),
		query: &Query{Kind: KindGet, Target: op.task.Key},
	})
}

// fetched handles what a holder sent, nil if it sent nothing of use.
func (op *operation) fetched(e *Engine, s *sent, it *Item) {
	if op.ended {
		return
	}
	want := s.sighting.item
	if op.suits(e, it) && it.Whole() && (compareItems(it, want) >= 0 || sameContents(it, want)) {
		op.got(e, it)
		return
	}
	op.sightings = slices.DeleteFunc(op.sightings, func(other *sighting) bool { return other == s.sighting })
	op.fetch(e)
}

// got ends a read that found something.
func (op *operation) got(e *Engine, it *Item) {
	op.item = it
	e.adopt(it)
	op.finish(e, nil)
}

// fetchFailed asks more nodes, or says that there is nothing.
func (op *operation) fetchFailed(e *Engine) {
	if op.widen() {
		op.walked = false
		op.advance(e)
		return
	}
	op.finish(e, ErrNotFound)
}

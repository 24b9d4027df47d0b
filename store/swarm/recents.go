package swarm

import "github.com/staex-mcc/mcc/identity"

// recents is the last nodes that were added, at most as many as it has room
// for: a further one pushes out the oldest. It has no lock of its own.
type recents struct {
	ring []identity.ID
	at   map[identity.ID]int // places in ring
	next int
}

func newRecents(room int) recents {
	return recents{ring: make([]identity.ID, 0, room), at: make(map[identity.ID]int)}
}

func (r *recents) has(id identity.ID) bool {
	_, ok := r.at[id]
	return ok
}

func (r *recents) add(id identity.ID) {
	if r.has(id) {
		return
	}
	if len(r.ring) < cap(r.ring) {
		r.at[id] = len(r.ring)
		r.ring = append(r.ring, id)
		return
	}
	if old := r.ring[r.next]; r.has(old) && r.at[old] == r.next {
		delete(r.at, old)
	}
	r.ring[r.next], r.at[id] = id, r.next
	r.next = (r.next + 1) % len(r.ring)
}

// remove leaves the place in the ring to be overwritten in its turn.
func (r *recents) remove(id identity.ID) { delete(r.at, id) }

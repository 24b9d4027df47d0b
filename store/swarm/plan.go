package swarm

import (
	"iter"
	"slices"
	"time"
)

const (
	// window is how many units ahead of a reader's position are asked for.
	window = 32
	// maxDuplicates is how many units that others owe a seeder may be asked for
	// at a time.
	maxDuplicates = 2
	// stealMargin is waited out on top, so that seeders of like speed do not take
	// from each other.
	stealMargin = 20 * time.Millisecond
)

// want is a range of units that a reader needs, the first one first.
type want struct{ first, end uint64 }

// plan says which units are done, which are owed and by whom, and which one a
// seeder is to be asked for next. It has no clock and no lock of its own.
type plan struct {
	units  uint64
	left   uint64   // units not done
	done   []uint64 // a bit a unit
	owners map[uint64][]*line
}

// newPlan begins with all done but the given ranges of groups.
func newPlan(groups uint64, missing iter.Seq2[uint64, uint64]) *plan {
	units := (groups + unitGroups - 1) / unitGroups
	p := &plan{units: units, done: make([]uint64, (units+63)/64), owners: make(map[uint64][]*line)}
	for i := range p.done {
		p.done[i] = ^uint64(0)
	}
	for first, n := range missing {
		p.reopen(first, n)
	}
	return p
}

// reopen marks the units of n groups as not done.
func (p *plan) reopen(first, n uint64) {
	for unit := first / unitGroups; unit <= (first+n-1)/unitGroups; unit++ {
		if p.has(unit) {
			p.done[unit/64] &^= 1 << (unit % 64)
			p.left++
		}
	}
}

func (p *plan) has(unit uint64) bool { return p.done[unit/64]>>(unit%64)&1 == 1 }

// finish marks a unit as done. Who still owes it sends it in vain.
func (p *plan) finish(unit uint64) {
	if !p.has(unit) {
		p.done[unit/64] |= 1 << (unit % 64)
		p.left--
	}
	delete(p.owners, unit)
}

// claim makes l an owner of the unit.
func (p *plan) claim(unit uint64, l *line) { p.owners[unit] = append(p.owners[unit], l) }

// release takes l's claim back.
func (p *plan) release(unit uint64, l *line) {
	rest := slices.DeleteFunc(p.owners[unit], func(o *line) bool { return o == l })
	if len(rest) == 0 {
		delete(p.owners, unit)
		return
	}
	p.owners[unit] = rest
}

// wanted yields the units that are wanted and not done, the nearest to any
// reader first. A unit that several want may come twice.
func (p *plan) wanted(wants []*want) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		for ahead := range uint64(window) {
			for _, w := range wants {
				unit := w.first + ahead
				if unit < min(w.end, p.units) && !p.has(unit) && !yield(unit) {
					return
				}
			}
		}
	}
}

// next is the unit that l is to be asked for: the nearest nobody owes, else one
// that those who owe it will bring far later than l would.
func (p *plan) next(wants []*want, l *line, now time.Time) (unit uint64, duplicate, ok bool) {
	for unit := range p.wanted(wants) {
		if len(p.owners[unit]) == 0 {
			return unit, false, true
		}
	}
	if l.duplicates() >= maxDuplicates {
		return 0, false, false
	}
	limit := 2*l.quick() + stealMargin
	for unit := range p.wanted(wants) {
		if p.mayTake(unit, l) && p.due(unit, now) > limit {
			return unit, true, true
		}
	}
	return 0, false, false
}

// mayTake does not bound the owners: as soon as one is quick, the unit is not
// late any more, and however many slow ones hold it, a quick one gets it.
func (p *plan) mayTake(unit uint64, l *line) bool {
	return !slices.Contains(p.owners[unit], l) && l.place(unit) < 0
}

// due is when the fastest of its owners brings a unit.
func (p *plan) due(unit uint64, now time.Time) time.Duration {
	least := time.Duration(1<<63 - 1)
	for _, l := range p.owners[unit] {
		if place := l.place(unit); place >= 0 {
			least = min(least, l.due(place, now))
		}
	}
	return least
}

package swarm

import (
	"slices"
	"testing"
	"time"
)

// all says that n groups are missing.
func all(n uint64) func(func(first, n uint64) bool) {
	return func(yield func(uint64, uint64) bool) { yield(0, n) }
}

func TestPlanStart(t *testing.T) {
	tests := []struct {
		groups  uint64
		missing []slice
		units   uint64
		open    []uint64
	}{
		{1, []slice{{0, 1}}, 1, []uint64{0}},
		{64, []slice{{0, 64}}, 1, []uint64{0}},
		{65, []slice{{0, 65}}, 2, []uint64{0, 1}},
		{65, nil, 2, nil},
		{1000, []slice{{63, 2}, {70, 3}, {640, 1}}, 16, []uint64{0, 1, 10}},
		{64 * 64, []slice{{64 * 63, 64}}, 64, []uint64{63}},
	}
	for _, tt := range tests {
		p := newPlan(tt.groups, func(yield func(uint64, uint64) bool) {
			for _, s := range tt.missing {
				yield(s.first, s.n)
			}
		})
		var open []uint64
		for u := range p.units {
			if !p.has(u) {
				open = append(open, u)
			}
		}
		if p.units != tt.units || !slices.Equal(open, tt.open) || p.left != uint64(len(tt.open)) {
			t.Errorf("%d groups without %v: %d units, open %v, left %d; want %d, %v", tt.groups, tt.missing, p.units, open, p.left, tt.units, tt.open)
		}
	}
}

// give claims the next unit for l and returns it, or -1.
func give(p *plan, l *line, now time.Time, wants ...*want) int {
	unit, duplicate, ok := p.next(wants, l, now)
	if !ok {
		return -1
	}
	p.claim(unit, l)
	l.push(owed{unit: unit, slice: slice{unit * unitGroups, unitGroups}, bytes: unitSize, asked: now, duplicate: duplicate})
	return int(unit)
}

func TestPlanOrder(t *testing.T) {
	p, now := newPlan(100*unitGroups, all(100*unitGroups)), time.Unix(0, 0)
	l := newLine()
	near, far := &want{10, 10 + window}, &want{90, 90 + window}
	var got []int
	for range 6 {
		got = append(got, give(p, &l, now, near, far))
	}
	if want := []int{10, 90, 11, 91, 12, 92}; !slices.Equal(got, want) {
		t.Errorf("claimed %v, want %v", got, want)
	}
	n := 6
	for give(p, &l, now, near, far) >= 0 {
		n++
	}
	if want := window + 10; n != want {
		t.Errorf("claimed %d units in two windows, want %d", n, want)
	}
	if unit := give(p, &l, now, new(want)); unit >= 0 {
		t.Errorf("unit %d is claimed for nobody", unit)
	}
}

func TestPlanSteal(t *testing.T) {
	p, now := newPlan(4*unitGroups, all(4*unitGroups)), time.Unix(0, 0)
	slow, quick, second := newLine(), newLine(), newLine()
	quick.unitTime, second.unitTime = 10*time.Millisecond, 10*time.Millisecond
	w := &want{0, window}
	for range 4 {
		give(p, &slow, now, w)
	}
	if unit := give(p, &quick, now, w); unit >= 0 {
		t.Errorf("unit %d is taken over at once", unit)
	}
	now = now.Add(time.Second)
	if a, b, c := give(p, &quick, now, w), give(p, &quick, now, w), give(p, &quick, now, w); a != 0 || b != 1 || c != -1 {
		t.Errorf("took over %d, %d, %d; want 0, 1, none: at most %d", a, b, c, maxDuplicates)
	}
	if a := give(p, &second, now, w); a != 2 {
		t.Errorf("another took over %d, want 2: the first two are in good hands", a)
	}
	p.finish(0)
	p.finish(0)
	if p.left != 3 || len(p.owners[0]) != 0 {
		t.Errorf("%d units left, unit 0 is owed by %d", p.left, len(p.owners[0]))
	}
	p.release(1, &quick)
	if n := len(p.owners[1]); n != 1 {
		t.Errorf("unit 1 is owed by %d, want by the slow one", n)
	}
}

func TestLineDepth(t *testing.T) {
	tests := map[string]struct {
		each time.Duration // at depth 1, a round trip; the rate grows with depth
		rtt  bool
		want int
	}{
		"rate bound":  {10 * time.Millisecond, false, 2 * minDepth},
		"delay bound": {200 * time.Millisecond, true, maxDepth},
	}
	for name, tt := range tests {
		l, now := newLine(), time.Unix(0, 0)
		for unit := range uint64(200) {
			for len(l.queue) < l.depth {
				l.push(owed{unit: unit, bytes: unitSize, asked: now})
			}
			step := tt.each
			if tt.rtt {
				step /= time.Duration(l.depth)
			}
			now = now.Add(step)
			l.landed(unitSize, now)
			l.pop(now)
		}
		if l.depth != tt.want {
			t.Errorf("%s: depth %d, want %d", name, l.depth, tt.want)
		}
	}
}

func TestLineRoom(t *testing.T) {
	now := time.Unix(0, 0)
	l := newLine()
	if !l.room(now) {
		t.Error("an empty line has no room")
	}
	l.push(owed{bytes: unitSize, asked: now})
	if l.room(now) {
		t.Error("a line of which nothing is known has room for two")
	}
	now = now.Add(time.Second)
	l.landed(unitSize/4, now)
	now = now.Add(time.Second)
	l.landed(unitSize/4, now)
	if got, want := l.due(0, now), 2*time.Second; got != want {
		t.Errorf("half is due in %v, want %v: a quarter took 1 s", got, want)
	}
	if l.room(now) {
		t.Error("a slow line has room too early")
	}
	l.landed(unitSize*7/16, now.Add(time.Second))
	if !l.room(now.Add(time.Second)) {
		t.Error("a slow line has no room though its unit is nearly here")
	}
}

package swarm

import "time"

const (
	minDepth = 2  // units in flight at a seeder, to begin with
	maxDepth = 16 // and at most
	// nominalUnit is how long a unit is taken to need at a seeder that has not
	// delivered one yet.
	nominalUnit = 500 * time.Millisecond
	// slowUnit: a seeder that needs longer for a unit is asked for the next one
	// only when the one under way will be here that soon.
	slowUnit = 500 * time.Millisecond
)

// owed is a unit that a seeder was asked for and has not sent yet.
type owed struct {
	unit      uint64
	slice     slice
	bytes     int64
	asked     time.Time
	duplicate bool // somebody else was asked before
}

// line is what is in flight at one seeder: its queue, how fast it moves, and how
// deep it may be. It has no clock and no lock of its own.
type line struct {
	queue []owed
	depth int

	headStart time.Time     // when the first of the queue began to be awaited
	headFirst time.Time     // when its first group arrived
	headAhead int64         // how large that was
	headBytes int64         // how much of it has arrived in all
	unitTime  time.Duration // what a unit takes, smoothed; zero before the first

	round round
	speed float64 // bytes a second of the best round so far

	meter meter
}

// round is a measurement of the throughput at one depth.
type round struct {
	start time.Time
	bytes int64
	left  int // units until it is over
}

func newLine() line { return line{depth: minDepth} }

// push adds a unit that is being asked for.
func (l *line) push(o owed) {
	if len(l.queue) == 0 {
		l.startHead(o.asked)
		l.round = round{start: o.asked, left: l.depth}
		l.meter.start(o.asked)
	}
	l.queue = append(l.queue, o)
}

// pop takes off the first unit, which has arrived whole.
func (l *line) pop(now time.Time) {
	head := l.queue[0]
	l.queue = l.queue[1:]
	l.measure(head.bytes, now.Sub(l.headStart))
	l.deepen(head.bytes, now)
	l.startHead(now)
	if len(l.queue) == 0 {
		l.meter.stop(now)
	}
}

func (l *line) startHead(now time.Time) {
	l.headStart, l.headFirst, l.headAhead, l.headBytes = now, time.Time{}, 0, 0
}

// landed notes that a group of the first unit is here.
func (l *line) landed(n int64, now time.Time) {
	if l.headBytes == 0 {
		l.headFirst, l.headAhead = now, n
	}
	l.headBytes += n
	l.meter.bytes += n
}

// room says that one more unit may be asked for. A slow seeder does not hold
// units that others could bring sooner.
func (l *line) room(now time.Time) bool {
	switch {
	case len(l.queue) == 0:
		return true
	case len(l.queue) >= l.depth:
		return false
	case l.unitTime == 0 && l.headBytes <= l.headAhead:
		return false // nothing is known of it yet
	case l.unitTime > 0 && l.unitTime <= slowUnit:
		return true
	}
	return l.headRest(now) <= slowUnit
}

// measure smooths over about four units.
func (l *line) measure(bytes int64, took time.Duration) {
	sample := max(1, time.Duration(float64(took)*unitSize/float64(max(bytes, 1))))
	if l.unitTime == 0 {
		l.unitTime = sample
		return
	}
	l.unitTime += (sample - l.unitTime) / 4
}

// deepen lets more be in flight as long as that brings more in: until the depth
// covers the seeder's rate times its round trip.
func (l *line) deepen(bytes int64, now time.Time) {
	l.round.bytes += bytes
	if l.round.left--; l.round.left > 0 {
		return
	}
	speed := float64(l.round.bytes) / max(now.Sub(l.round.start).Seconds(), 1e-6)
	if speed > 1.1*l.speed {
		l.speed = speed
		l.depth = min(2*l.depth, maxDepth)
	}
	l.round = round{start: now, left: l.depth}
}

// quick is when the line would deliver one more unit, by what is known.
func (l *line) quick() time.Duration {
	if l.unitTime == 0 {
		return nominalUnit
	}
	return l.unitTime * time.Duration(len(l.queue)+1)
}

// due is in how long the unit at that place of the queue will be here. The first
// is judged by how it has gone so far, not only by its forerunners, so a seeder
// that slows down shows at once.
func (l *line) due(place int, now time.Time) time.Duration {
	each, rest := l.unitTime, l.headRest(now)
	if each == 0 {
		each = rest
	}
	return rest + time.Duration(place)*each
}

func (l *line) headRest(now time.Time) time.Duration {
	head, age := l.queue[0], now.Sub(l.headStart)
	missing := float64(max(0, head.bytes-l.headBytes))
	known := time.Duration(float64(l.unitTime) * missing / unitSize)
	since := l.headBytes - l.headAhead
	if since <= 0 {
		// What has lasted a while is expected to last that long again.
		return max(known, age)
	}
	// The first group took a round trip, which the rest does not.
	return max(known, time.Duration(float64(now.Sub(l.headFirst))*missing/float64(since)))
}

// duplicates counts the units of the queue that others owe too.
func (l *line) duplicates() int {
	n := 0
	for _, o := range l.queue {
		if o.duplicate {
			n++
		}
	}
	return n
}

// place is where in the queue a unit stands, or -1.
func (l *line) place(unit uint64) int {
	for i, o := range l.queue {
		if o.unit == unit {
			return i
		}
	}
	return -1
}

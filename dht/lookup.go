package dht

import (
	"slices"
	"time"
)

// Bounds of one lookup (spec 6.5).
const (
	// maxCandidates bounds the shortlist: past it the farthest that has not
	// been asked is forgotten.
	maxCandidates = 256
	// maxQueries ends a lookup that a hostile region would keep going.
	maxQueries = 200
	// maxSameAddr bounds the candidates at one address and port: a node, and
	// what it was before it came back with another key.
	maxSameAddr = 2
	// openFactor times alpha bounds the queries under way, slow ones included.
	openFactor = 4
	// softFactor times the median round trip makes a query slow.
	softFactor = 2
	softLeast  = 50 * time.Millisecond
	softMost   = time.Second
	// softUnknown is for the first query of a node that knows no round trip.
	softUnknown = 500 * time.Millisecond
	// maxSamples is how many round trips the median is taken of.
	maxSamples = 15
)

// candidateState is how far a lookup got with a candidate.
type candidateState uint8

const (
	fresh    candidateState = iota // not asked
	waiting                        // asked
	slow                           // asked, and somebody else was asked instead
	lost                           // asked, and no longer waited for
	answered                       // has answered
	failed                         // will not answer
)

// candidate is a node a lookup has heard of.
type candidate struct {
	node
	state candidateState
	hop   int // length of the chain of nodes that led to it, 1 from the own table
}

// lookup walks towards target: it asks the nearest candidate not asked yet, up
// to alpha at a time, until the width nearest have answered. A slow candidate
// frees its place without being given up.
//
// It is a pure state machine. The owner asks every candidate that next returns,
// and reports what became of it, until done.
type lookup struct {
	target     Key
	own        Key // never a candidate
	width      int
	alpha      int
	candidates []*candidate // by distance, then id
	waiting    int
	open       int // waiting, slow or lost
	asked      int
	answers    int
	samples    []time.Duration // sorted
	guess      time.Duration   // round trip before there are samples; may be 0
}

func newLookup(target, own Key, width, alpha int, guess time.Duration) *lookup {
	return &lookup{target: target, own: own, width: width, alpha: alpha, guess: guess}
}

// add puts n on the shortlist unless it is there.
func (l *lookup) add(n node, hop int) {
	if n.key == l.own {
		return
	}
	at, known := l.find(n)
	if known {
		return
	}
	if len(l.candidates) >= maxCandidates {
		last := l.lastFresh()
		if last < 0 || last < at {
			return
		}
		l.candidates = slices.Delete(l.candidates, last, last+1)
	}
	l.candidates = slices.Insert(l.candidates, at, &candidate{node: n, hop: hop})
}

// crowded reports whether c was made up as likely as not: maxSameAddr others on
// the shortlist are said to be at its very address. Without that bound a hostile
// node could aim a whole lookup at somebody who is no node.
func (l *lookup) crowded(c Contact) bool {
	same := 0
	for _, have := range l.candidates {
		if have.Addr == c.Addr && have.ID != c.ID {
			same++
		}
	}
	return same >= maxSameAddr
}

// addAnswered puts a node on the shortlist that has been asked elsewhere.
func (l *lookup) addAnswered(n node) {
	l.add(n, 1)
	if at, known := l.find(n); known && l.candidates[at].state == fresh {
		l.candidates[at].state = answered
		l.answers++
	}
}

func (l *lookup) find(n node) (at int, known bool) {
	return slices.BinarySearchFunc(l.candidates, n, func(c *candidate, n node) int {
		return compareNodes(l.target, c.node, n)
	})
}

func (l *lookup) lastFresh() int {
	for i := len(l.candidates) - 1; i >= 0; i-- {
		if l.candidates[i].state == fresh {
			return i
		}
	}
	return -1
}

// next returns a candidate to ask now, or nil.
func (l *lookup) next() *candidate {
	if l.waiting >= l.alpha || l.open >= l.alpha*openFactor || l.asked >= maxQueries || l.done(false) {
		return nil
	}
	for _, c := range l.candidates {
		if c.state == fresh {
			c.state = waiting
			l.waiting++
			l.open++
			l.asked++
			return c
		}
	}
	return nil
}

// answer notes that c answered after rtt.
func (l *lookup) answer(c *candidate, rtt time.Duration) {
	l.close(c, answered)
	l.answers++
	at, _ := slices.BinarySearch(l.samples, rtt)
	l.samples = slices.Insert(l.samples, at, rtt)
	if len(l.samples) > maxSamples {
		// Trimming the ends in turn keeps the median.
		if l.answers%2 == 0 {
			l.samples = l.samples[1:]
		} else {
			l.samples = l.samples[:maxSamples]
		}
	}
}

// fail notes that c will not answer.
func (l *lookup) fail(c *candidate) { l.close(c, failed) }

func (l *lookup) close(c *candidate, to candidateState) {
	if c.state == waiting {
		l.waiting--
	}
	l.open--
	c.state = to
}

// delay notes that c is slow; the second time it is lost. It returns whether
// that changed anything.
func (l *lookup) delay(c *candidate) bool {
	switch c.state {
	case waiting:
		l.waiting--
		c.state = slow
	case slow:
		c.state = lost
	default:
		return false
	}
	return true
}

// soft is how long to wait before asking somebody else as well.
func (l *lookup) soft() time.Duration {
	rtt := l.guess
	if n := len(l.samples); n > 0 {
		rtt = l.samples[n/2]
	}
	if rtt == 0 {
		return softUnknown
	}
	return min(max(softFactor*rtt, softLeast), softMost)
}

// done reports whether the width nearest have answered, passing over those that
// failed or are slow, or nobody is left to ask. A patient caller, about to say
// that nothing was found, also waits for the slow ones if fewer than width
// answered; nobody goes away while there is no answer at all and some query is
// under way.
func (l *lookup) done(patient bool) bool {
	count, late := 0, 0
	for _, c := range l.candidates {
		switch c.state {
		case waiting:
			return false
		case fresh:
			if l.asked < maxQueries {
				return false
			}
		case slow:
			late++
		case answered:
			if count++; count == l.width {
				return true
			}
		}
	}
	if patient && late > 0 {
		return false
	}
	return l.answers > 0 || l.open == 0
}

// nearest returns the nodes that answered, nearest first.
func (l *lookup) nearest() []node { return l.in(answered) }

// in returns the candidates in a state, nearest first.
func (l *lookup) in(state candidateState) []node {
	var nodes []node
	for _, c := range l.candidates {
		if c.state == state {
			nodes = append(nodes, c.node)
		}
	}
	return nodes
}

// hops is the length of the chain that led to the nearest node that answered.
func (l *lookup) hops() int {
	for _, c := range l.candidates {
		if c.state == answered {
			return c.hop
		}
	}
	return 0
}

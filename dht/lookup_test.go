package dht

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestLookupProperties lets lookups run through random networks whose nodes
// answer, fail, or are slow in random order, and lie about whom they know.
func TestLookupProperties(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 3))
		net := make([]node, 5+rng.IntN(300))
		for i := range net {
			net[i] = nodeAt(randomKey(rng))
		}
		own, target := nodeAt(randomKey(rng)), randomKey(rng)
		l := newLookup(target, own.key, 1+rng.IntN(20), 1+rng.IntN(8), 0)
		for range 1 + rng.IntN(5) {
			l.add(net[rng.IntN(len(net))], 1)
		}
		walkAtRandom(t, seed, rng, l, append(net, own))
	}
}

func walkAtRandom(t *testing.T, seed uint64, rng *rand.Rand, l *lookup, net []node) {
	t.Helper()
	asked := map[Key]bool{}
	var open []*candidate
	for step := 0; ; step++ {
		if step > 10*maxQueries {
			t.Fatalf("seed %d: no end", seed)
		}
		for c := l.next(); c != nil; c = l.next() {
			if asked[c.key] || c.key == l.own {
				t.Fatalf("seed %d: asked %s twice, or itself", seed, c.key)
			}
			asked[c.key] = true
			open = append(open, c)
		}
		if l.waiting > l.alpha || l.open > l.alpha*openFactor || len(l.candidates) > maxCandidates {
			t.Fatalf("seed %d: %d waiting, %d open, %d candidates", seed, l.waiting, l.open, len(l.candidates))
		}
		if l.done(true) {
			break
		}
		if len(open) == 0 {
			t.Fatalf("seed %d: not done, and nobody is asked", seed)
		}
		i := rng.IntN(len(open))
		switch c := open[i]; rng.IntN(4) {
		case 0:
			l.fail(c)
		case 1:
			l.delay(c)
			continue
		default:
			l.answer(c, time.Duration(rng.IntN(1e9)))
			for range rng.IntN(20) {
				l.add(net[rng.IntN(len(net))], c.hop+1)
			}
		}
		open = slices.Delete(open, i, i+1)
	}
	found := l.nearest()
	if !slices.IsSortedFunc(found, func(a, b node) int { return compareNodes(l.target, a, b) }) {
		t.Fatalf("seed %d: the result is out of order", seed)
	}
	if !slices.IsSortedFunc(l.candidates, func(a, b *candidate) int { return compareNodes(l.target, a.node, b.node) }) {
		t.Fatalf("seed %d: the shortlist is out of order", seed)
	}
	if !slices.IsSorted(l.samples) || len(l.samples) > maxSamples {
		t.Fatalf("seed %d: samples %v", seed, l.samples)
	}
}

// TestLookupBounds floods a lookup with nearer and nearer candidates.
func TestLookupBounds(t *testing.T) {
	l := newLookup(Key{}, Key{0xff}, 20, 3, 0)
	rng := rand.New(rand.NewPCG(1, 1))
	l.add(nodeAt(randomKey(rng)), 1)
	var open []*candidate
	for queries := 0; ; {
		for c := l.next(); c != nil; c = l.next() {
			queries++
			open = append(open, c)
		}
		if len(open) == 0 {
			if !l.done(true) || queries != maxQueries {
				t.Fatalf("stopped after %d queries, done %v, want %d", queries, l.done(true), maxQueries)
			}
			return
		}
		c := open[0]
		open = open[1:]
		l.answer(c, time.Millisecond)
		for range 20 {
			key := randomKey(rng)
			copy(key[:], make([]byte, min(queries/8, 31))) // ever nearer
			l.add(nodeAt(key), c.hop+1)
		}
	}
}

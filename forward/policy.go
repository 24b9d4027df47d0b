package forward

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// Policies of a [Choice].
const (
	// Nearest takes the shortest round trip; providers without a measured one
	// come after those with one.
	Nearest = "nearest"
	// Random takes each with the same chance.
	Random = "random"
	// RoundRobin takes one after the other.
	RoundRobin = "round-robin"
	// Weighted takes each with a chance that follows its weight.
	Weighted = "weighted"
	// Sticky takes the same for the same key as long as it is there; when it
	// goes, only its keys move.
	Sticky = "sticky"
)

// Candidate is a provider to choose from.
type Candidate struct {
	// Key names it, the same way on every node.
	Key string
	// RTT is its round trip; zero is unknown.
	RTT time.Duration
	// Weight is for Weighted; zero is 1.
	Weight int
	// Healthy candidates come before all others.
	Healthy bool
}

// Draw is what a choice depends on besides the candidates. Nearest needs none
// of it.
type Draw struct {
	// Rand is for Random and Weighted, which need it.
	Rand *rand.Rand
	// Turn is for RoundRobin: a number that grows by one each time.
	Turn uint64
	// Key is for Sticky.
	Key string
}

// CheckPolicy returns ErrInvalid for a policy that does not exist. The empty
// string is Nearest.
func CheckPolicy(policy string) error {
	switch policy {
	case "", Nearest, Random, RoundRobin, Weighted, Sticky:
		return nil
	}
	return fmt.Errorf("%w policy %q; expected %s, %s, %s, %s or %s",
		ErrInvalid, policy, Nearest, Random, RoundRobin, Weighted, Sticky)
}

// everyTime reports whether the policy means a new choice for each request, so
// that streams must not be kept for the next one.
func everyTime(policy string) bool {
	return policy == Random || policy == RoundRobin || policy == Weighted
}

// Order returns the indexes of the candidates in the order in which to try
// them: the healthy ones first, and both groups as the policy says. It depends
// on nothing but its arguments; the order of the candidates does not matter. An
// unknown policy is ErrInvalid.
func Order(policy string, candidates []Candidate, d Draw) ([]int, error) {
	if err := CheckPolicy(policy); err != nil {
		return nil, err
	}
	var healthy, ill []int
	for i, c := range candidates {
		if c.Healthy {
			healthy = append(healthy, i)
		} else {
			ill = append(ill, i)
		}
	}
	arrange(policy, candidates, healthy, d)
	arrange(policy, candidates, ill, d)
	return append(healthy, ill...), nil
}

func arrange(policy string, candidates []Candidate, group []int, d Draw) {
	// By key first: what follows must not depend on the order it came in.
	slices.SortStableFunc(group, func(i, j int) int {
		return cmp.Compare(candidates[i].Key, candidates[j].Key)
	})
	switch policy {
	case Random:
		d.Rand.Shuffle(len(group), func(i, j int) { group[i], group[j] = group[j], group[i] })
	case RoundRobin:
		rotate(group, d.Turn)
	case Weighted:
		sortByScore(group, candidates, func(c Candidate) float64 { return weightedScore(c.Weight, d.Rand) })
	case Sticky:
		sortByScore(group, candidates, func(c Candidate) float64 { return stickyScore(d.Key, c.Key) })
	default:
		sortByScore(group, candidates, func(c Candidate) float64 { return nearScore(c.RTT) })
	}
}

func rotate(group []int, turn uint64) {
	if len(group) < 2 {
		return
	}
	first := int(turn % uint64(len(group)))
	copy(group, slices.Concat(group[first:], group[:first]))
}

// sortByScore puts the lowest first and computes each score once.
func sortByScore(group []int, candidates []Candidate, score func(Candidate) float64) {
	scores := make(map[int]float64, len(group))
	for _, i := range group {
		scores[i] = score(candidates[i])
	}
	slices.SortStableFunc(group, func(i, j int) int { return cmp.Compare(scores[i], scores[j]) })
}

func nearScore(rtt time.Duration) float64 {
	if rtt <= 0 {
		return math.Inf(1)
	}
	return float64(rtt)
}

// weightedScore makes an ascending sort a draw without replacement in which
// each candidate's chance to be next follows its weight (Efraimidis and
// Spirakis 2006).
func weightedScore(weight int, r *rand.Rand) float64 {
	return r.ExpFloat64() / float64(max(weight, 1))
}

// stickyScore is rendezvous hashing: every key ranks the candidates in its own
// way, and a candidate's rank against another does not depend on third ones.
func stickyScore(key, candidate string) float64 {
	h := fnv.New64a()
	h.Write([]byte(key))
	h.Write([]byte{0})
	h.Write([]byte(candidate))
	return float64(mix(h.Sum64()))
}

// mix spreads what FNV leaves alike in keys that differ in their last byte; it
// is the finishing step of splitmix64.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

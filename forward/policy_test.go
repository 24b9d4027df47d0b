package forward

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func keysInOrder(t *testing.T, policy string, c []Candidate, d Draw) []string {
	t.Helper()
	order, err := Order(policy, c, d)
	if err != nil {
		t.Fatal(err)
	}
	keys := make([]string, len(order))
	for i, j := range order {
		keys[i] = c[j].Key
	}
	return keys
}

func TestOrderNearest(t *testing.T) {
	c := []Candidate{
		{Key: "unknown", Healthy: true},
		{Key: "ill and near", RTT: 1},
		{Key: "far", RTT: 90 * time.Millisecond, Healthy: true},
		{Key: "near", RTT: 2 * time.Millisecond, Healthy: true},
		{Key: "also unknown", Healthy: true},
		{Key: "ill", RTT: 5 * time.Millisecond},
	}
	want := []string{"near", "far", "also unknown", "unknown", "ill and near", "ill"}
	for _, policy := range []string{"", Nearest} {
		if diff := cmp.Diff(want, keysInOrder(t, policy, c, Draw{})); diff != "" {
			t.Error(diff)
		}
	}
	slices.Reverse(c)
	if diff := cmp.Diff(want, keysInOrder(t, Nearest, c, Draw{})); diff != "" {
		t.Error("the order of the candidates matters:", diff)
	}
}

func TestOrderRoundRobin(t *testing.T) {
	c := []Candidate{{Key: "c", Healthy: true}, {Key: "a", Healthy: true}, {Key: "ill"}, {Key: "b", Healthy: true}}
	for turn, want := range [][]string{
		{"a", "b", "c", "ill"}, {"b", "c", "a", "ill"}, {"c", "a", "b", "ill"}, {"a", "b", "c", "ill"},
	} {
		if diff := cmp.Diff(want, keysInOrder(t, RoundRobin, c, Draw{Turn: uint64(turn)})); diff != "" {
			t.Errorf("turn %d: %s", turn, diff)
		}
	}
}

func firstCounts(t *testing.T, policy string, c []Candidate, draws int) map[string]int {
	t.Helper()
	d := Draw{Rand: rand.New(rand.NewPCG(1, 2))}
	counts := make(map[string]int)
	for range draws {
		counts[keysInOrder(t, policy, c, d)[0]]++
	}
	return counts
}

func TestOrderRandomAndWeighted(t *testing.T) {
	c := []Candidate{{Key: "a", Healthy: true, Weight: 1}, {Key: "b", Healthy: true, Weight: 3}, {Key: "ill", Weight: 1000}}
	even := firstCounts(t, Random, c, 4000)
	if even["a"] < 1850 || even["a"] > 2150 || even["ill"] != 0 {
		t.Errorf("random: %v; want halves", even)
	}
	skewed := firstCounts(t, Weighted, c, 4000)
	if skewed["a"] < 880 || skewed["a"] > 1120 || skewed["ill"] != 0 {
		t.Errorf("weighted: %v; want a quarter for a", skewed)
	}
}

func TestOrderSticky(t *testing.T) {
	var c []Candidate
	for i := range 10 {
		c = append(c, Candidate{Key: fmt.Sprintf("provider-%d", i), Healthy: true})
	}
	first := make(map[string]string)
	counts := make(map[string]int)
	for i := range 1000 {
		key := fmt.Sprintf("10.0.%d.%d", i/250, i%250)
		first[key] = keysInOrder(t, Sticky, c, Draw{Key: key})[0]
		counts[first[key]]++
	}
	for key, n := range counts {
		if n < 60 || n > 150 {
			t.Errorf("%s has %d of 1000 keys; want about 100", key, n)
		}
	}
	gone := c[3].Key
	left := slices.Delete(slices.Clone(c), 3, 4)
	for key, was := range first {
		if now := keysInOrder(t, Sticky, left, Draw{Key: key})[0]; was != gone && now != was {
			t.Fatalf("key %s moved from %s to %s though %s left", key, was, now, gone)
		}
	}
}

func TestOrderIsPermutation(t *testing.T) {
	d := Draw{Rand: rand.New(rand.NewPCG(3, 4)), Turn: 17, Key: "k"}
	for _, policy := range []string{"", Nearest, Random, RoundRobin, Weighted, Sticky} {
		for n := range 6 {
			c := make([]Candidate, n)
			for i := range c {
				c[i] = Candidate{Key: fmt.Sprint(i), Healthy: i%2 == 0}
			}
			order, err := Order(policy, c, d)
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(order)
			for i, j := range order {
				if i != j {
					t.Fatalf("%s of %d: %v is no permutation", policy, n, order)
				}
			}
			if len(order) != n {
				t.Fatalf("%s of %d: %v", policy, n, order)
			}
		}
	}
}

func TestCheckPolicy(t *testing.T) {
	if _, err := Order("fastest", nil, Draw{}); !errors.Is(err, ErrInvalid) {
		t.Errorf("unknown policy: %v", err)
	}
	if err := CheckPolicy(Sticky); err != nil {
		t.Error(err)
	}
}

func TestPickerTurnsByService(t *testing.T) {
	p := NewPicker(nil)
	c := []Candidate{{Key: "a", Healthy: true}, {Key: "b", Healthy: true}}
	first := func(service, policy string) int {
		order, err := p.Order(service, Choice{Policy: policy}, c)
		if err != nil {
			t.Fatal(err)
		}
		return order[0]
	}
	got := []int{
		first("x", RoundRobin), first("y", RoundRobin), first("x", Nearest),
		first("x", RoundRobin), first("y", RoundRobin), first("x", RoundRobin),
	}
	if diff := cmp.Diff([]int{0, 0, 0, 1, 1, 0}, got); diff != "" {
		t.Error(diff)
	}
	for i := range 2 * maxTurns {
		first(fmt.Sprint(i), RoundRobin)
	}
	if len(p.turns) > maxTurns {
		t.Errorf("%d services remembered, bound is %d", len(p.turns), maxTurns)
	}
}

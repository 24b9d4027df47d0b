package swarm

import (
	"testing"
	"time"
)

func TestMeter(t *testing.T) {
	var m meter
	now := time.Unix(1000, 0)
	want := func(when string, rate float64, known bool) {
		t.Helper()
		if got, ok := m.rate(now); ok != known || known && got != rate {
			t.Errorf("%s: rate %v, known %v; want %v, %v", when, got, ok, rate, known)
		}
	}
	want("at first", 0, false)
	m.start(now)
	m.bytes += 1000
	now = now.Add(time.Second)
	want("too early", 0, false)
	m.bytes += 3000
	now = now.Add(time.Second)
	want("after two seconds", 2000, true)
	m.stop(now)
	now = now.Add(time.Hour)
	want("idle", 2000, true)
	m.fade(now)
	want("idle and faded", 0, false)
	m.start(now)
	now = now.Add(3 * time.Second)
	want("silent", 500, true)
	m.fade(now)
	now = now.Add(2 * time.Second)
	want("silent for long", 250, true)
}

func TestMarkSlow(t *testing.T) {
	for _, test := range []struct {
		rates []float64
		slow  int // of the first ones
	}{
		{nil, 0},
		{[]float64{slowRate - 1}, 1},
		{[]float64{slowRate, 2 * slowRate}, 0},
		{[]float64{0, slowRate, 8 * slowRate}, 1},
		{[]float64{slowRate, 2*slowRate - 1, 2 * slowRate, 16 * slowRate}, 2},
	} {
		links := make([]measuredLink, len(test.rates))
		for i, r := range test.rates {
			links[i] = measuredLink{&link{slow: i%2 == 0}, r}
		}
		markSlow(links)
		for i, m := range links {
			if m.link.slow != (i < test.slow) {
				t.Errorf("rates %v: link %d slow %v", test.rates, i, m.link.slow)
			}
		}
	}
}

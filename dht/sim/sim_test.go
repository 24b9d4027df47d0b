package sim_test

import (
	"bytes"
	"flag"
	"testing"
	"time"

	"github.com/staex-mcc/mcc/dht"
	"github.com/staex-mcc/mcc/dht/sim"
)

var seed = flag.Uint64("seed", 1, "seed of the simulations")

// world makes one and says how to repeat the test if it fails.
func world(t *testing.T, cfg sim.Config) *sim.World {
	t.Helper()
	cfg.Seed = *seed
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("repeat with: go test ./dht/sim -run '^%s$' -seed %d", t.Name(), *seed)
		}
	})
	return sim.New(cfg)
}

func size(full int) int {
	if testing.Short() {
		return min(full, 200)
	}
	return full
}

func TestRepeatable(t *testing.T) {
	run := func(seed uint64) (uint64, string) {
		w := sim.New(sim.Config{Seed: seed, Loss: 0.02})
		w.Populate(60, 100*time.Millisecond)
		w.Churn(10*time.Second, time.Second)
		return w.Trace(), w.Measure(20).String()
	}
	trace, report := run(*seed)
	for range 3 {
		if again, reportAgain := run(*seed); again != trace || reportAgain != report {
			t.Fatalf("seed %d: trace %x and %q, then %x and %q", *seed, trace, report, again, reportAgain)
		}
	}
	if other, _ := run(*seed + 1); other == trace {
		t.Errorf("seeds %d and %d have the same trace", *seed, *seed+1)
	}
}

func TestThousand(t *testing.T) {
	w := world(t, sim.Config{})
	w.Populate(size(1000), 50*time.Millisecond)
	w.Run(time.Minute)
	r := w.Measure(size(400))
	t.Logf("%d nodes, %d requests so far: %v", w.Len(), w.Requests, r)
	if r.Success < 0.99 || r.Recall < 0.99 || r.Puts < 1 || r.Gets < 0.99 {
		t.Errorf("too little found: %v", r)
	}
	if r.HopsP90 > 5 || r.Messages > 40 {
		t.Errorf("too far: %v", r)
	}
}

func TestLoss(t *testing.T) {
	w := world(t, sim.Config{Loss: 0.05})
	w.Populate(200, 50*time.Millisecond)
	w.Run(time.Minute)
	r := w.Measure(100)
	t.Logf("5%% loss each way: %v", r)
	if r.Success < 0.9 || r.Gets < 0.97 {
		t.Errorf("too little found: %v", r)
	}
}

func TestChurn(t *testing.T) {
	w := world(t, sim.Config{})
	w.Populate(200, 50*time.Millisecond)
	w.Run(time.Minute)
	w.Churn(10*time.Minute, 6*time.Second) // half of the nodes
	r := w.Measure(100)
	t.Logf("half of the nodes replaced within ten minutes: %v", r)
	if r.Success < 0.95 || r.Gets < 0.97 {
		t.Errorf("too little found: %v", r)
	}
}

func TestMassDeath(t *testing.T) {
	w := world(t, sim.Config{})
	w.Populate(200, 50*time.Millisecond)
	w.Run(time.Minute)
	for i := range 100 {
		w.Kill(w.Node(2 * i))
	}
	r := w.Measure(40)
	t.Logf("half of the nodes dead at once: %v", r)
	// Nobody waits for the dead one after the other: some 20 of the nearest
	// would be 20 s.
	if r.TookP90 > 6*time.Second || r.Gets < 0.95 {
		t.Errorf("dead nodes hold up lookups: %v", r)
	}
}

// TestLarge: large values and their hand-over work under churn as small ones
// do, and what stays is not sent again.
func TestLarge(t *testing.T) {
	w := world(t, sim.Config{})
	w.Populate(100, 50*time.Millisecond)
	w.Run(time.Minute)
	var items []*dht.Item
	for i := range 20 {
		value := bytes.Repeat([]byte{byte(i)}, dht.MaxValue)
		it := dht.ValueItem(value, w.Now().Add(time.Hour))
		res, _ := w.Do(w.Node(i), dht.Task{Kind: dht.TaskPut, Item: it, Own: true})
		if res.Err != nil || res.Acks < 20 {
			t.Fatalf("put: %d acks, %v", res.Acks, res.Err)
		}
		items = append(items, it)
	}
	w.Run(30 * time.Minute) // republished three times
	put := w.Streams
	w.Churn(10*time.Minute, 6*time.Second) // as many nodes come and go
	found, handed := 0, w.Streams-put
	for _, it := range items {
		res, _ := w.Do(w.Random(), dht.Task{Kind: dht.TaskGet, Key: it.Key, Immutable: true})
		if res.Item != nil {
			found++
		}
	}
	t.Logf("of 20 values %d found; %d streams to put them, %d while nodes came and went", found, put, handed)
	// A slow holder is replaced by another, and several hand over at once.
	if found < 20 || put > 20*24 || handed == 0 || handed > 20*20*3 {
		t.Errorf("%d found, %d streams to put, %d to hand over", found, put, handed)
	}
}

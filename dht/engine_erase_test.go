package dht

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/staex-mcc/mcc/identity"
)

// slowDisk is what an engine wrote, and what it still waits for.
type slowDisk struct {
	r     *rig
	has   map[Key]bool
	queue []Write
	// most are the deletions that were under way at one time.
	most, deletions int
}

func (d *slowDisk) take(act *Actions) {
	d.queue = append(d.queue, act.Writes...)
	deletions := 0
	for _, w := range d.queue {
		if w.Kept == nil {
			deletions++
		}
	}
	d.most = max(d.most, deletions)
}

var errHalf = errors.New("it may have been written, or not")

// work ends the write that waited longest. With err it did nothing, or with
// errHalf all.
func (d *slowDisk) work(err error) {
	w := d.queue[0]
	d.queue = d.queue[1:]
	if w.Kept == nil {
		d.deletions++
	}
	if err == nil || err == errHalf {
		d.has[w.Key] = w.Kept != nil
		if w.Kept == nil {
			delete(d.has, w.Key)
		}
	}
	d.take(d.r.step(Stored{Write: w.ID, Err: err}))
}

// drain works until nothing is left, failing each write with a chance.
func (d *slowDisk) drain(failing float64, rng *rand.Rand) {
	for len(d.queue) > 0 {
		var err error
		if rng.Float64() < failing {
			err = ErrBusy
		}
		d.work(err)
	}
}

// wait lets time go by on a disk that works all the time.
func (d *slowDisk) wait(t time.Duration, failing float64, rng *rand.Rand) {
	for end := d.r.now.Add(t); ; d.drain(failing, rng) {
		if next := d.r.NextDeadline(); next.Before(end) {
			d.r.now = next
		} else {
			d.r.now = end
		}
		d.take(d.r.step(Tick{}))
		if len(d.queue) == 0 && !d.r.now.Before(end) {
			return
		}
	}
}

// TestExpiredLeaveTheDisk: however many expire together, and however many
// deletions fail, nothing of them stays on disk.
func TestExpiredLeaveTheDisk(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	r := newRig(t)
	d := &slowDisk{r: r, has: map[Key]bool{}}
	const count = 3000
	for i := range count {
		d.take(r.brought(i%40, unsigned(identity.ID{1, byte(i % 7)}, fmt.Sprint(i), 1, "v"), MaxCall))
		d.drain(0, rng)
	}
	if len(d.has) != count {
		t.Fatalf("%d on disk, want %d", len(d.has), count)
	}
	d.wait(time.Hour+ClockTolerance, 0, rng)
	d.wait(30*time.Minute, 0.3, rng)
	s := r.Stats()
	if len(d.has) != 0 || s.Records != 0 || s.Erasing != 0 || s.RecordsExpired != count {
		t.Errorf("%d stay on disk: %+v", len(d.has), s)
	}
	if s.ErasuresFailed == 0 || d.deletions != count+int(s.ErasuresFailed) {
		t.Errorf("%d deletions, %d failed", d.deletions, s.ErasuresFailed)
	}
	if d.most > erasuresAtOnce {
		t.Errorf("%d deletions under way, at most %d", d.most, erasuresAtOnce)
	}
}

// TestSweepSlices: one step forgets only so many.
func TestSweepSlices(t *testing.T) {
	r := newRig(t)
	for i := range 3 * sweepSlice {
		r.items.insert(kept(unsigned(identity.ID{1}, fmt.Sprint(i), 1, "")))
	}
	r.now = r.now.Add(2 * time.Hour)
	if act := r.step(Tick{}); len(r.items.sorted) != 2*sweepSlice || len(act.Writes) != erasuresAtOnce {
		t.Errorf("one step leaves %d and deletes %d", len(r.items.sorted), len(act.Writes))
	}
}

// TestErasedAndPutAgain plays puts, evictions, expiry and a disk that is late
// and fails at random: in the end what is held is on disk, and nothing else.
func TestErasedAndPutAgain(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 3))
		r := newRig(t)
		r.items.limit = 10
		d := &slowDisk{r: r, has: map[Key]bool{}}
		for i := range 2000 {
			it := unsigned(identity.ID{1}, fmt.Sprint(rng.IntN(25)), uint64(i), "v")
			it.Expires = r.now.Add(time.Duration(rng.IntN(600)) * time.Second)
			d.take(r.brought(1, it, MaxCall))
			for len(d.queue) > rng.IntN(30) {
				var err error
				if n := rng.IntN(6); n < 2 {
					err = []error{ErrBusy, errHalf}[n]
				}
				d.work(err)
			}
			if rng.IntN(10) == 0 {
				r.now = r.now.Add(time.Duration(rng.IntN(60)) * time.Second)
				d.take(r.step(Tick{}))
			}
		}
		d.wait(time.Minute, 0, rng)
		var held, onDisk []Key
		for _, h := range r.items.sorted {
			held = append(held, h.Item.Key)
		}
		for key := range d.has {
			onDisk = append(onDisk, key)
		}
		slices.SortFunc(held, Key.Compare)
		slices.SortFunc(onDisk, Key.Compare)
		if !slices.Equal(held, onDisk) || len(r.items.doomed) != 0 || r.items.evicted == 0 || r.items.expired == 0 {
			t.Fatalf("seed %d: %d held, %d on disk; %+v", seed, len(held), len(onDisk), r.Stats())
		}
	}
}

// TestDoomedBound: while too much waits for its deletion, others' new items are
// refused, and own ones are not.
func TestDoomedBound(t *testing.T) {
	s := newItemStore(ownID)
	known := unsigned(identity.ID{1}, "known", 1, "")
	putRecord(s, 1, known, testTime)
	s.doomed = make([]Key, maxDoomed)
	for what, want := range map[string]struct {
		item   *Item
		status Status
	}{
		"a new one":           {unsigned(identity.ID{1}, "n", 1, ""), StatusFull},
		"another of the same": {unsigned(identity.ID{1}, "known", 2, ""), StatusStored},
		"an own one":          {unsigned(ownID, "n", 1, ""), StatusStored},
	} {
		if got := putRecord(s, 1, want.item, testTime); got != want.status {
			t.Errorf("%s: status %d, want %d", what, got, want.status)
		}
	}
}

// TestRestoredTooMany: what an earlier run left and is not taken leaves the
// disk; own items never do.
func TestRestoredTooMany(t *testing.T) {
	r := newRig(t)
	r.items.limit = 3
	var items []Kept
	for i := range 5 {
		items = append(items, kept(unsigned(identity.ID{1}, fmt.Sprint(i), 1, "")))
		items = append(items, kept(unsigned(ownID, fmt.Sprint("mine", i), 1, "")))
	}
	items = append(items, kept(lasting(identity.ID{1}, "over", 1, -time.Hour)))
	r.restoreItems(items)
	deleted := map[Key]bool{}
	for _, w := range r.step(Tick{}).Writes {
		if deleted[w.Key] = true; w.Kept != nil {
			t.Error("something is written")
		}
	}
	for _, k := range items {
		if deleted[k.Item.Key] == k.Own || !k.Own && r.items.byKey[k.Item.Key] != nil {
			t.Errorf("own %v: deleted %v", k.Own, deleted[k.Item.Key])
		}
	}
}

package discovery

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/staex-mcc/mcc/store"
	"github.com/staex-mcc/mcc/store/memory"
)

// TestSeedsRetry: failures are tried again, less and less often.
func TestSeedsRetry(t *testing.T) {
	for _, alone := range []bool{true, false} {
		t.Run(fmt.Sprint("alone ", alone), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mesh := newFakeMesh()
				d := mesh.node()
				s, reader := newSeeds(t, 1, d, nil), newSeeds(t, 2, mesh.node(), nil)
				if d.alone = alone; !alone {
					d.fault = errors.New("no network")
				}
				s.Announce(testBlob(1))
				time.Sleep(30 * time.Minute)
				var gaps []time.Duration
				puts := d.tried()
				for i := range puts[1:] {
					gaps = append(gaps, puts[i+1].at.Sub(puts[i].at))
				}
				want := []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 10 * time.Minute}
				if diff := cmp.Diff(want, gaps); diff != "" {
					t.Errorf("pauses (-want +got):\n%s", diff)
				}
				d.set(func(d *fakeDHT) { d.alone, d.fault = false, nil })
				time.Sleep(10 * time.Minute)
				wantSeeders(t, reader, 1, Seeder{nodeOf(t, 1), hint})
				got := s.Stats()
				if alone && (got.Unacknowledged != 7 || got.Failed != 0) || !alone && (got.Failed != 7 || got.Unacknowledged != 0) {
					t.Errorf("stats %+v", got)
				}
			})
		})
	}
}

// TestSeedsRenewAfterRetries: an outage does not spoil the pauses of the next.
func TestSeedsRenewAfterRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFakeMesh().node()
		s := newSeeds(t, 1, d, nil)
		d.alone = true
		s.Announce(testBlob(1))
		time.Sleep(5 * time.Minute) // tried at 0 s, 30 s, 90 s, 210 s
		d.set(func(d *fakeDHT) { d.alone = false })
		time.Sleep(3 * time.Minute)
		d.set(func(d *fakeDHT) { d.alone = true })
		before := len(d.tried())
		time.Sleep(31 * time.Minute)
		if puts := d.tried()[before:]; len(puts) < 2 || puts[1].at.Sub(puts[0].at) != firstSeedRetry {
			t.Errorf("tries %v", len(puts))
		}
	})
}

// TestSeedsWithdrawLater: a withdrawal that fails is told in the background,
// until the lease would have ended.
func TestSeedsWithdrawLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := newFakeMesh()
		d := mesh.node()
		s, reader := newSeeds(t, 1, d, nil), newSeeds(t, 2, mesh.node(), nil)
		s.Announce(testBlob(1))
		s.Announce(testBlob(2))
		time.Sleep(time.Second)
		d.set(func(d *fakeDHT) { d.hang = true })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Withdraw(ctx, testBlob(1)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Withdraw: %v", err)
		}
		wantSeeders(t, reader, 1, Seeder{nodeOf(t, 1), hint})
		d.set(func(d *fakeDHT) { d.hang = false })
		time.Sleep(firstSeedRetry + time.Second)
		wantSeeders(t, reader, 1)

		d.set(func(d *fakeDHT) { d.fault = errors.New("no network") })
		if err := s.Withdraw(t.Context(), testBlob(2)); err == nil {
			t.Error("Withdraw without a network: no error")
		}
		time.Sleep(2 * time.Hour)
		if n := len(entriesOf(s)); n != 0 {
			t.Errorf("%d entries after their time", n)
		}
		var end time.Time
		for _, p := range d.tried() {
			if !p.lease.Withdrawn() {
				end = p.lease.Expires
			} else if p.at.After(end) {
				t.Errorf("a withdrawal %v after the lease's end", p.at.Sub(end))
			}
		}
	})
}

// TestSeedsWithdrawUnknown reaches the lease of an earlier life.
func TestSeedsWithdrawUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := newFakeMesh()
		d := mesh.node()
		first, reader := newSeeds(t, 1, d, nil), newSeeds(t, 2, mesh.node(), nil)
		first.Announce(testBlob(1))
		time.Sleep(time.Second)
		killSeeds(first)
		wantSeeders(t, reader, 1, Seeder{nodeOf(t, 1), hint})
		mustWithdraw(t, newSeeds(t, 1, d, nil), 1)
		wantSeeders(t, reader, 1)
	})
}

// TestSeedsChangeMeanwhile changes a mind while a placement is under way: the
// last word counts.
func TestSeedsChangeMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := newFakeMesh()
		d := mesh.node()
		d.latency = 2 * time.Second
		s, reader := newSeeds(t, 1, d, nil), newSeeds(t, 2, mesh.node(), nil)
		var wg sync.WaitGroup
		withdraw := func() {
			wg.Go(func() { _ = s.Withdraw(t.Context(), testBlob(1)) })
			time.Sleep(500 * time.Millisecond)
		}
		s.Announce(testBlob(1))
		time.Sleep(time.Second)
		withdraw()
		wg.Wait()
		time.Sleep(time.Minute)
		wantSeeders(t, reader, 1)

		s.Announce(testBlob(1))
		time.Sleep(time.Second)
		withdraw()
		s.Announce(testBlob(1))
		wg.Wait()
		time.Sleep(time.Minute)
		wantSeeders(t, reader, 1, Seeder{nodeOf(t, 1), hint})
		for _, e := range entriesOf(s) {
			if e.busy != 0 || e.queue != s.schedule.due {
				t.Errorf("in the end %+v", e)
			}
		}
	})
}

// TestSeedsRestartClockBehind: see TestRestartClockBehind.
func TestSeedsRestartClockBehind(t *testing.T) {
	const back = 3 * time.Hour
	for _, withStore := range []bool{true, false} {
		t.Run(fmt.Sprint("store ", withStore), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var kept store.Store
				if withStore {
					kept = memory.New()
				}
				mesh := newFakeMesh()
				d := mesh.node()
				first := newSeeds(t, 1, d, kept)
				if err := first.sequence.reserve(time.Now().Add(back)); err != nil {
					t.Fatal(err)
				}
				first.sequence.next(time.Now().Add(back))
				first.Announce(testBlob(1))
				time.Sleep(time.Second)
				killSeeds(first)
				before := len(d.tried())

				second := newSeeds(t, 1, d, kept)
				second.Announce(testBlob(1))
				time.Sleep(time.Second)
				if tries := len(d.tried()) - before; withStore && tries != 1 || !withStore && tries != 2 {
					t.Errorf("%d tries", tries)
				}
				mustWithdraw(t, second, 1)
				wantSeeders(t, newSeeds(t, 2, mesh.node(), nil), 1)
			})
		})
	}
}

// TestSeedsSequencesApart: a Registry and Seeds on one store do not disturb each
// other.
func TestSeedsSequencesApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept, d := memory.New(), newFakeMesh().node()
		r := newRegistry(t, 1, d, func(c *Config) { c.Store = kept })
		mustRegister(t, r, Entry{Name: "files"})
		time.Sleep(time.Minute)
		s := newSeeds(t, 1, d, kept)
		s.Announce(testBlob(1))
		time.Sleep(time.Second)
		a, errA := kept.Get([]byte(sequenceKey))
		b, errB := kept.Get([]byte(seedsSequenceKey))
		if errA != nil || errB != nil || binary.BigEndian.Uint64(a) >= binary.BigEndian.Uint64(b) {
			t.Errorf("kept %x and %x, %v, %v", a, b, errA, errB)
		}
	})
}

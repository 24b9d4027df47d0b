package discovery

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestSeedsClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := newFakeMesh()
		d := mesh.node()
		s, reader := newSeeds(t, 1, d, nil), newSeeds(t, 2, mesh.node(), nil)
		const blobs = 100
		for n := range blobs {
			s.Announce(testBlob(n))
			time.Sleep(200 * time.Millisecond)
		}
		d.set(func(d *fakeDHT) { d.latency = time.Second })
		before := len(d.tried())
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		start := time.Now()
		err := s.Close(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || err.Error() != "withdraw blobs: 68 of 100 left to lapse: context deadline exceeded" {
			t.Errorf("Close: %v", err)
		}
		if took := time.Since(start); took > 2500*time.Millisecond {
			t.Errorf("Close took %v", took)
		}
		if again := s.Close(t.Context()); again != err {
			t.Errorf("second Close: %v", again)
		}
		for n := range blobs {
			if n >= blobs-32 {
				wantSeeders(t, reader, n)
			} else {
				wantSeeders(t, reader, n, Seeder{nodeOf(t, 1), hint})
			}
		}
		if tries := len(d.tried()) - before; tries != 48 {
			t.Errorf("%d tries", tries)
		}
		s.Announce(testBlob(1))
		_, findErr := s.Find(t.Context(), testBlob(1))
		for _, err := range []error{findErr, s.Withdraw(t.Context(), testBlob(1))} {
			if !errors.Is(err, ErrClosed) {
				t.Errorf("after Close: %v", err)
			}
		}
		if got := s.Stats(); got.Announced != 0 || got.Waiting != 0 {
			t.Errorf("after Close: %+v", got)
		}
	})
}

// TestSeedsCloseEndsCalls: what runs ends with ErrClosed, and nothing is
// announced meanwhile or left behind.
func TestSeedsCloseEndsCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := newFakeMesh()
		d := mesh.node()
		s := newSeeds(t, 1, d, nil)
		s.Announce(testBlob(1))
		s.Announce(testBlob(2))
		time.Sleep(time.Second)
		mustWithdraw(t, s, 2)
		d.set(func(d *fakeDHT) { d.hang = true })
		results := make(chan error, 2)
		go func() { _, err := s.Find(t.Context(), testBlob(1)); results <- err }()
		go func() { results <- s.Withdraw(t.Context(), testBlob(3)) }()
		for n := range 8 {
			s.Announce(testBlob(10 + n))
		}
		time.Sleep(time.Second)
		d.set(func(d *fakeDHT) { d.hang = false }) // what hangs goes on hanging
		before := len(d.tried())
		if err := s.Close(t.Context()); err != nil {
			t.Errorf("Close: %v", err)
		}
		for range 2 {
			if err := <-results; !errors.Is(err, ErrClosed) {
				t.Errorf("call ended by Close: %v", err)
			}
		}
		// The BLOB, the withdrawal that failed, and the four that were being
		// placed; not what was withdrawn before or never tried.
		if tries := len(d.tried()) - before; tries != 6 {
			t.Errorf("%d withdrawals", tries)
		}
		for _, p := range d.tried()[before:] {
			if !p.lease.Withdrawn() {
				t.Errorf("placed %+v", p.lease)
			}
		}
		wantSeeders(t, newSeeds(t, 2, mesh.node(), nil), 1)
	})
}

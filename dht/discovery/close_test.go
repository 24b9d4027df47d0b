package discovery

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/staex-mcc/mcc/store"
	"github.com/staex-mcc/mcc/store/memory"
)

func TestCloseWithdrawsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := newFakeMesh()
		d := mesh.node()
		r := newRegistry(t, 1, d)
		other := newRegistry(t, 2, mesh.node())
		const services = 64
		for i := range services {
			mustRegister(t, r, Entry{Name: fmt.Sprintf("s%d", i)})
		}
		if err := r.RegisterLabel(t.Context()); err != nil {
			t.Fatal(err)
		}
		d.set(func(d *fakeDHT) { d.latency = time.Second })
		start := time.Now()
		for range 2 {
			if err := r.Close(t.Context()); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
		// Side by side: 65 withdrawals in rounds of 16.
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("Close took %v", took)
		}
		for i := range services {
			if n := len(mustFind(t, other, fmt.Sprintf("s%d", i))); n != 0 {
				t.Errorf("service %d has %d providers", i, n)
			}
		}
		if ids, err := other.FindLabel(t.Context(), "nodeb"); err != nil || len(ids) != 0 {
			t.Errorf("label: %v, %v", ids, err)
		}
		wantClosed(t, r)
	})
}

// TestCloseTwiceAtOnce: the second waits for the first.
func TestCloseTwiceAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFakeMesh().node()
		r := newRegistry(t, 1, d)
		mustRegister(t, r, Entry{Name: "files"})
		d.set(func(d *fakeDHT) { d.latency = time.Second })
		start := time.Now()
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if err := r.Close(t.Context()); err != nil || time.Since(start) < time.Second {
					t.Errorf("Close: %v after %v", err, time.Since(start))
				}
			})
		}
		wg.Wait()
	})
}

func wantClosed(t *testing.T, r *Registry) {
	t.Helper()
	_, findErr := r.Find(t.Context(), "acme", "files")
	_, labelErr := r.FindLabel(t.Context(), "web")
	for i, err := range []error{
		r.Register(t.Context(), Entry{Name: "x"}), r.RegisterLabel(t.Context()), r.Withdraw(t.Context(), "s1"),
		r.Update("s1", true), findErr, labelErr,
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("call %d after Close: %v, want ErrClosed", i, err)
		}
	}
	if len(r.Entries()) != 0 {
		t.Error("entries are left after Close")
	}
}

// TestCloseIsBounded: a dead network holds Close for as long as its ctx.
func TestCloseIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFakeMesh().node()
		r := newRegistry(t, 1, d)
		for i := range 40 {
			mustRegister(t, r, Entry{Name: fmt.Sprintf("s%d", i)})
		}
		d.set(func(d *fakeDHT) { d.hang = true })
		results := make(chan error, 2)
		go func() { results <- r.Register(t.Context(), Entry{Name: "hangs"}) }()
		go func() { _, err := r.Find(t.Context(), "acme", "files"); results <- err }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		start := time.Now()
		if err := r.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close: %v, want the deadline's error", err)
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("Close took %v", took)
		}
		for range 2 {
			if err := <-results; !errors.Is(err, ErrClosed) {
				t.Errorf("call ended by Close: %v, want ErrClosed", err)
			}
		}
	})
}

// TestRestartClockBehind restarts a node with its clock set back by hours, and
// wants its new lease to replace the one that the mesh still holds.
func TestRestartClockBehind(t *testing.T) {
	const back = 3 * time.Hour
	for _, withStore := range []bool{true, false} {
		t.Run(fmt.Sprint("store ", withStore), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var kept store.Store
				if withStore {
					kept = memory.New()
				}
				withKept := func(c *Config) { c.Store = kept }
				d := newFakeMesh().node()
				first := newRegistry(t, 1, d, withKept)
				// A clock that was ahead: its numbers are from the future.
				if err := first.sequence.reserve(time.Now().Add(back)); err != nil {
					t.Fatal(err)
				}
				first.sequence.next(time.Now().Add(back))
				mustRegister(t, first, Entry{Name: "files", Weight: 1})
				kill(first)
				before := len(d.tried())

				second := newRegistry(t, 1, d, withKept)
				mustRegister(t, second, Entry{Name: "files", Weight: 2})
				if got := mustFind(t, second, "files"); len(got) != 1 || got[0].Weight != 2 {
					t.Errorf("after the restart: %+v, want weight 2", got)
				}
				// With a store the first try is right; without, the mesh says so.
				if tries := len(d.tried()) - before; withStore && tries != 1 || !withStore && tries != 2 {
					t.Errorf("%d tries", tries)
				}
			})
		})
	}
}

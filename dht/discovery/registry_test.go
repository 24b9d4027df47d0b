package discovery

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/staex-mcc/mcc/dht"
	"github.com/staex-mcc/mcc/identity"
)

var fullEntry = Entry{Name: "files", Tags: []string{"blue", "a"}, Meta: map[string]string{"version": "1"}, Weight: 7}

func TestRegisterAndFind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := newFakeMesh()
		r := newRegistry(t, 1, mesh.node())
		other := newRegistry(t, 2, mesh.node())
		if got := mustFind(t, other, "files"); got == nil || len(got) != 0 {
			t.Errorf("before: %v, want an empty slice", got)
		}
		start := time.Now()
		mustRegister(t, r, fullEntry)
		want := []Provider{{
			ID: newIdentity(t, 1, "").ID(), Label: "nodeb", Consortium: "acme", Tags: []string{"blue", "a"},
			Meta: map[string]string{"version": "1"}, Weight: 7, Healthy: true,
			Expires: start.Add(2 * time.Minute).UTC(), Addr: hint,
		}}
		if diff := cmp.Diff(want, mustFind(t, other, "files"), cmpopts.EquateComparable(hint)); diff != "" {
			t.Errorf("Find (-want +got):\n%s", diff)
		}
		for _, c := range []string{"", "other"} {
			if got, err := other.Find(t.Context(), c, "files"); err != nil || len(got) != 0 {
				t.Errorf("in consortium %q: %v, %v", c, got, err)
			}
		}
	})
}

func TestRegisterRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFakeMesh().node()
		r := newRegistry(t, 1, d)
		mustRegister(t, r, Entry{Name: "a"})
		tests := []struct {
			entry Entry
			want  error
		}{
			{Entry{Name: "a"}, ErrExists},
			{Entry{Name: "A"}, ErrInvalid},
			{Entry{Name: "b", Weight: -1}, ErrInvalid},
			{Entry{Name: "b", Tags: []string{"x", "x"}}, ErrInvalid},
		}
		for _, test := range tests {
			if err := r.Register(t.Context(), test.entry); !errors.Is(err, test.want) {
				t.Errorf("Register(%+v): %v, want %v", test.entry, err, test.want)
			}
		}
		for _, err := range []error{r.Withdraw(t.Context(), "b"), r.Update("b", true)} {
			if !errors.Is(err, ErrNotFound) {
				t.Errorf("unknown name: %v, want ErrNotFound", err)
			}
		}
		if n := len(d.tried()); n != 1 {
			t.Errorf("%d leases placed, want 1", n)
		}
	})
}

func TestRegisterIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, 1, newFakeMesh().node())
		for i := range MaxEntries {
			mustRegister(t, r, Entry{Name: fmt.Sprintf("s%d", i)})
		}
		if err := r.Register(t.Context(), Entry{Name: "more"}); !errors.Is(err, ErrFull) {
			t.Errorf("Register: %v, want ErrFull", err)
		}
	})
}

func TestEntriesAreCopies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, 1, newFakeMesh().node())
		given := fullEntry.clone()
		mustRegister(t, r, given)
		mustRegister(t, r, Entry{Name: "another"})
		if err := r.RegisterLabel(t.Context()); err != nil {
			t.Fatal(err)
		}
		given.Tags[0], given.Meta["version"] = "changed", "changed"
		r.Entries()[1].Tags[0] = "changed"
		want := []Entry{{Name: "another", Weight: 1}, fullEntry}
		if diff := cmp.Diff(want, r.Entries()); diff != "" {
			t.Errorf("Entries (-want +got):\n%s", diff)
		}
		mustFind(t, r, "files")[0].Tags[0] = "changed"
		if got := mustFind(t, r, "files")[0].Tags[0]; got != "blue" {
			t.Errorf("tag is %q, want blue", got)
		}
	})
}

// TestRenewals has services registered at odd times: all are renewed together,
// every 40 s from New on.
func TestRenewals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFakeMesh().node()
		d.set(func(d *fakeDHT) { d.latency = 300 * time.Millisecond })
		start := time.Now()
		r := newRegistry(t, 1, d)
		const services = 40
		for i := range services {
			mustRegister(t, r, Entry{Name: fmt.Sprintf("s%d", i)})
			time.Sleep(200 * time.Millisecond)
		}
		time.Sleep(time.Until(start.Add(125 * time.Second)))
		at := map[time.Duration]int{}
		for _, p := range d.tried()[services:] {
			if want := p.at.Add(dht.LeaseLife).Truncate(time.Second); !p.lease.Expires.Equal(want) {
				t.Errorf("lease placed at %v expires %v", p.at, p.lease.Expires)
			}
			at[p.at.Sub(start).Truncate(10*time.Second)]++
		}
		want := map[time.Duration]int{40 * time.Second: services, 80 * time.Second: services, 120 * time.Second: services}
		if diff := cmp.Diff(want, at); diff != "" {
			t.Errorf("renewals by time (-want +got):\n%s", diff)
		}
		checkSequences(t, d.tried())
	})
}

// checkSequences wants every lease to have a higher number than the one before
// it under its key.
func checkSequences(t *testing.T, puts []put) {
	t.Helper()
	last := map[dht.Key]uint64{}
	for i, p := range puts {
		if p.lease.Seq <= last[p.lease.Key] {
			t.Errorf("lease %d has sequence %d after %d", i, p.lease.Seq, last[p.lease.Key])
		}
		last[p.lease.Key] = p.lease.Seq
	}
}

// TestRenewalHangs: a tick whose calls get no answer does not hold up the next.
func TestRenewalHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := newFakeMesh()
		d := mesh.node()
		r := newRegistry(t, 1, d)
		other := newRegistry(t, 2, mesh.node())
		mustRegister(t, r, Entry{Name: "files"})
		d.set(func(d *fakeDHT) { d.hang = true })
		time.Sleep(RenewEvery + time.Second)
		d.set(func(d *fakeDHT) { d.hang = false })
		time.Sleep(2 * RenewEvery)
		if n := len(mustFind(t, other, "files")); n != 1 {
			t.Errorf("%d providers after a tick without answers", n)
		}
	})
}

func TestServiceLivesAndDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := newFakeMesh()
		r := newRegistry(t, 1, mesh.node())
		other := newRegistry(t, 2, mesh.node())
		mustRegister(t, r, Entry{Name: "files"})
		for range 30 {
			time.Sleep(20 * time.Second)
			if n := len(mustFind(t, other, "files")); n != 1 {
				t.Fatalf("%d providers while it lives", n)
			}
		}
		kill(r)
		if n := len(mustFind(t, other, "files")); n != 1 {
			t.Errorf("%d providers right after the crash, want 1: kill withdraws", n)
		}
		time.Sleep(dht.LeaseLife)
		if n := len(mustFind(t, other, "files")); n != 0 {
			t.Errorf("%d providers two minutes after the crash", n)
		}
	})
}

func TestWithdraw(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := newFakeMesh()
		d := mesh.node()
		r := newRegistry(t, 1, d)
		mustRegister(t, r, Entry{Name: "files"})
		mustRegister(t, r, Entry{Name: "kept"})
		if err := r.Withdraw(t.Context(), "files"); err != nil {
			t.Fatal(err)
		}
		if n := len(mustFind(t, r, "files")); n != 0 {
			t.Errorf("%d providers after Withdraw", n)
		}
		time.Sleep(5 * time.Minute)
		if n := len(mustFind(t, r, "files")); n != 0 {
			t.Errorf("%d providers: a withdrawn service is renewed", n)
		}
		mustRegister(t, r, Entry{Name: "files"})
		if n := len(mustFind(t, r, "files")); n != 1 {
			t.Errorf("%d providers after it came back", n)
		}
		checkSequences(t, d.tried())
	})
}

// TestWithdrawCutShort leaves the telling to the background.
func TestWithdrawCutShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFakeMesh().node()
		r := newRegistry(t, 1, d)
		mustRegister(t, r, Entry{Name: "files"})
		d.set(func(d *fakeDHT) { d.latency = time.Second })
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := r.Withdraw(ctx, "files"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Withdraw: %v, want the deadline's error", err)
		}
		if len(r.Entries()) != 0 {
			t.Error("the name is still taken")
		}
		time.Sleep(5 * time.Second)
		if n := len(mustFind(t, r, "files")); n != 0 {
			t.Errorf("%d providers", n)
		}
	})
}

func TestUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFakeMesh().node()
		r := newRegistry(t, 1, d)
		mustRegister(t, r, Entry{Name: "files"})
		for i, healthy := range []bool{true, false, false, true} {
			if err := r.Update("files", healthy); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if got := mustFind(t, r, "files")[0].Healthy; got != healthy {
				t.Errorf("step %d: healthy is %v", i, got)
			}
		}
		// The first and the third say nothing new.
		if n := len(d.tried()); n != 3 {
			t.Errorf("%d leases placed, want 3", n)
		}
	})
}

// TestNobodyThere: an unreachable mesh is no error, and is tried again.
func TestNobodyThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFakeMesh().node()
		r := newRegistry(t, 1, d)
		d.set(func(d *fakeDHT) { d.fault = dht.ErrNoPeers })
		mustRegister(t, r, Entry{Name: "files"})
		if s := r.Stats(); s.Failed != 1 || s.Placed != 0 {
			t.Errorf("%+v, want one failed", s)
		}
		d.set(func(d *fakeDHT) { d.fault = nil })
		time.Sleep(RenewEvery + time.Second)
		if n := len(mustFind(t, r, "files")); n != 1 {
			t.Errorf("%d providers after the next tick", n)
		}
		if s := r.Stats(); s.Placed != 1 {
			t.Errorf("%+v, want one placed", s)
		}
	})
}

func TestRegisterGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFakeMesh().node()
		r := newRegistry(t, 1, d)
		d.set(func(d *fakeDHT) { d.hang = true })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.Register(ctx, Entry{Name: "files"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Register: %v, want the deadline's error", err)
		}
		d.set(func(d *fakeDHT) { d.hang = false })
		time.Sleep(time.Minute)
		if len(r.Entries()) != 0 || len(mustFind(t, r, "files")) != 0 {
			t.Error("it is offered after Register failed")
		}
		broken := newRegistry(t, 2, d, func(c *Config) { c.Identity = unsigning{c.Identity} })
		if err := broken.Register(t.Context(), Entry{Name: "files"}); !errors.Is(err, errNoKey) {
			t.Errorf("Register without a key: %v", err)
		}
		if len(broken.Entries()) != 0 {
			t.Error("it is registered without a signature")
		}
	})
}

// TestRegisterTakenBack: what a Register that gave up has placed all the same is
// withdrawn.
func TestRegisterTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFakeMesh().node()
		r := newRegistry(t, 1, d)
		d.set(func(d *fakeDHT) { d.deaf = true })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.Register(ctx, Entry{Name: "files"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Register: %v", err)
		}
		synctest.Wait()
		if n := len(mustFind(t, r, "files")); n != 0 {
			t.Errorf("%d providers after Register failed", n)
		}
	})
}

var errNoKey = errors.New("key is gone")

// unsigning is an identity whose key cannot be reached.
type unsigning struct{ identity.Identity }

func (unsigning) Sign([]byte) ([]byte, error) { return nil, errNoKey }

package discovery

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/staex-mcc/mcc/dht"
)

// watcher collects what a Watch yields.
type watcher struct {
	changes chan string
	err     error
	ended   chan struct{}
}

func watch(changes iter.Seq2[Change, error]) *watcher {
	w := &watcher{changes: make(chan string, 1000), ended: make(chan struct{})}
	go func() {
		defer close(w.ended)
		for c, err := range changes {
			if err != nil {
				w.err = err
				continue
			}
			w.changes <- fmt.Sprintf("%s %s %d", c.Kind, c.Provider.Label, c.Provider.Weight)
		}
	}()
	return w
}

// wantNext checks what has come since the last call.
func (w *watcher) wantNext(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	var got []string
	for len(w.changes) > 0 {
		got = append(got, <-w.changes)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := newFakeMesh()
		a := newRegistry(t, 1, mesh.node())
		mustRegister(t, a, Entry{Name: "files"})
		b := newRegistry(t, 2, mesh.node())
		ctx, cancel := context.WithCancel(t.Context())
		w := watch(newRegistry(t, 9, mesh.node()).Watch(ctx, "acme", "files"))
		w.wantNext(t, "added nodeb 1")

		mustRegister(t, b, Entry{Name: "files", Weight: 5})
		mustRegister(t, b, Entry{Name: "other"})
		w.wantNext(t)
		time.Sleep(DefaultPoll)
		w.wantNext(t, "added nodec 5")

		if err := b.Update("files", false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(DefaultPoll)
		w.wantNext(t, "updated nodec 5")

		// Renewals that say the same are no change.
		time.Sleep(10 * time.Minute)
		w.wantNext(t)

		if err := b.Withdraw(t.Context(), "files"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(DefaultPoll)
		w.wantNext(t, "removed nodec 5")

		kill(a)
		time.Sleep(dht.LeaseLife + DefaultPoll)
		w.wantNext(t, "removed nodeb 1")

		cancel()
		<-w.ended
		if w.err != nil {
			t.Errorf("the end of ctx is told as %v", w.err)
		}
	})
}

// TestWatchWhileCutOff keeps what it knows while looks fail, for as long as the
// last lease seen could live.
func TestWatchWhileCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := newFakeMesh()
		r := newRegistry(t, 1, mesh.node())
		mustRegister(t, r, Entry{Name: "files"})
		d := mesh.node()
		w := watch(newRegistry(t, 2, d).Watch(t.Context(), "acme", "files"))
		w.wantNext(t, "added nodeb 1")
		d.set(func(d *fakeDHT) { d.fault = dht.ErrNoPeers })
		time.Sleep(dht.LeaseLife - DefaultPoll)
		w.wantNext(t)
		d.set(func(d *fakeDHT) { d.fault, d.hang = nil, true })
		time.Sleep(attemptTimeout + 2*DefaultPoll)
		w.wantNext(t, "removed nodeb 1")
		d.set(func(d *fakeDHT) { d.hang = false })
		time.Sleep(attemptTimeout + 2*DefaultPoll)
		w.wantNext(t, "added nodeb 1")
	})
}

// TestWatchSkewedProvider: a provider whose clock is behind by more than a
// lease's life is there all the same.
func TestWatchSkewedProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := newFakeMesh()
		d := mesh.node()
		d.skew = -dht.LeaseLife
		l, err := dht.SignLease(newIdentity(t, 1, "slow"), dht.Lease{
			Key: Key("acme", "files"), Seq: 1, Expires: time.Now().Add(d.skew + time.Minute),
			Body: []byte("\x01\x01\x00\x01\x04slow\x04acme\x00\x00"),
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.PutLease(t.Context(), l); err != nil {
			t.Fatal(err)
		}
		w := watch(newRegistry(t, 2, mesh.node()).Watch(t.Context(), "acme", "files"))
		w.wantNext(t, "added slow 1")
		time.Sleep(30 * time.Second)
		w.wantNext(t)
	})
}

func TestView(t *testing.T) {
	now := time.Now()
	at := func(seq uint64, weight int, tags ...string) lease {
		l := lease{body: body{weight: weight, tags: tags, meta: map[string]string{}}}
		l.Seq, l.Body = seq, []byte{byte(weight)}
		return l
	}
	v := view{}
	added := v.update(now, []lease{at(5, 1, "blue")})
	if len(added) != 1 || added[0].Kind != Added {
		t.Fatalf("first sight: %v", added)
	}
	// A change belongs to its receiver.
	added[0].Provider.Tags[0], added[0].Provider.Meta["k"] = "changed", "changed"
	// A holder that missed the renewal has an older lease.
	if changes := v.update(now, []lease{at(4, 9)}); len(changes) != 0 {
		t.Errorf("an older lease: %v", changes)
	}
	removed := v.update(now, nil)
	if len(removed) != 1 || removed[0].Kind != Removed || removed[0].Provider.Tags[0] != "blue" || len(removed[0].Provider.Meta) != 0 {
		t.Errorf("gone: %v", removed)
	}
}

func TestWatchEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := newFakeMesh()
		d := mesh.node()
		r := newRegistry(t, 1, d, func(c *Config) { c.Poll = time.Hour })
		mustRegister(t, r, Entry{Name: "files"})

		for _, err := range r.Watch(t.Context(), "acme", "Files") {
			if !errors.Is(err, ErrInvalid) {
				t.Errorf("bad name: %v", err)
			}
		}
		for c, err := range r.Watch(t.Context(), "acme", "files") {
			if err != nil || c.Kind != Added {
				t.Errorf("%v, %v", c, err)
			}
			break // must not go on
		}
		waiting := watch(r.Watch(t.Context(), "acme", "files"))
		synctest.Wait()
		looking := watch(newRegistry(t, 2, d).Watch(t.Context(), "acme", "files"))
		synctest.Wait()
		if err := r.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-waiting.ended
		if !errors.Is(waiting.err, ErrClosed) {
			t.Errorf("Watch ended by Close: %v, want ErrClosed", waiting.err)
		}
		looking.wantNext(t, "added nodeb 1")
	})
}

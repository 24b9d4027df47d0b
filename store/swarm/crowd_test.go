package swarm

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/store/blob"
)

// crowd is a network in which somebody names seeders that do not exist, besides
// those of a world. A dial to one of them hears nothing.
type crowd struct {
	*world
	fakes []Seeder
	known bool           // the honest ones are known to this node
	at    netip.AddrPort // and where they were seen
	now   atomic.Int64   // dials to fakes now
	most  atomic.Int64
	dials atomic.Int64
}

// newCrowd has n fakes whose ids are lower than those of honest seeders; addr
// says where the fakes are.
func newCrowd(t *testing.T, size, n int, addr func(int) netip.AddrPort) *crowd {
	c := &crowd{world: newWorld(t, size), at: netip.MustParseAddrPort("198.51.100.1:9")}
	for i := range n {
		id := identity.ID{0, byte(i >> 8), byte(i), 1}
		c.fakes = append(c.fakes, Seeder{Node: id, Addr: addr(i)})
	}
	c.close()
	c.store = openStore(t, c.dir)
	c.here = New(Config{Store: c.store, Network: c, Self: node(0)})
	return c
}

func (c *crowd) FindSeeders(ctx context.Context, id blob.ID) ([]Seeder, error) {
	honest, err := c.world.FindSeeders(ctx, id)
	for i := range honest {
		honest[i].Known, honest[i].Addr = c.known, c.at
	}
	return append(c.fakes[:len(c.fakes):len(c.fakes)], honest...), err
}

func (c *crowd) Dial(ctx context.Context, s Seeder, id blob.ID) (net.Conn, error) {
	if s.Node[0] > 0 {
		return c.world.Dial(ctx, s, id)
	}
	c.dials.Add(1)
	c.most.Store(max(c.most.Load(), c.now.Add(1)))
	defer c.now.Add(-1)
	<-ctx.Done()
	return nil, errors.Join(ctx.Err(), ErrNotFound) // the peer, not the BLOB
}

func atOnce(int) netip.AddrPort { return netip.MustParseAddrPort("192.0.2.7:53") }

func scattered(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 53)
}

// TestCrowd: seeders that do not exist do not hide the one that does, wherever
// they are said to be.
func TestCrowd(t *testing.T) {
	for _, test := range []struct {
		name  string
		fakes int
		addr  func(int) netip.AddrPort
		known bool
		most  time.Duration // for a fetch, of which 1 s is the transfer
	}{
		{"one address", 250, atOnce, false, 3 * time.Second},
		{"no address", 64, func(int) netip.AddrPort { return netip.AddrPort{} }, false, 3 * time.Second},
		{"a large crowd at one address", 4000, atOnce, false, 3 * time.Second},
		{"scattered", 64, scattered, false, 12 * time.Second},
		{"very scattered", 200, scattered, false, 30 * time.Second},
		{"scattered, but known", 250, scattered, true, 3 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCrowd(t, mib, test.fakes, test.addr)
				c.known = test.known
				c.seeder(mib, 10*time.Millisecond)
				start := time.Now()
				if info, err := c.here.Stat(t.Context(), c.id); err != nil || info.Size != mib {
					t.Errorf("stat: %+v, %v", info, err)
				}
				asked := time.Since(start)
				c.here.past = newPast() // nothing learned
				start = time.Now()
				c.fetch()
				took := time.Since(start)
				t.Logf("stat took %v, fetch %v, %d dials, %d at once", asked, took, c.dials.Load(), c.most.Load())
				if asked > test.most || took > test.most {
					t.Errorf("stat took %v and fetch %v, want %v at most", asked, took, test.most)
				}
				if got := c.most.Load(); got > maxDials {
					t.Errorf("%d dials at once, want at most %d", got, maxDials)
				}
			})
		})
	}
}

// TestCrowdThirdParty: an address that never asked for it gets few dials, however
// many BLOBs are fetched; and it is no reason to say that nobody has the BLOB.
func TestCrowdThirdParty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, mib, 250, atOnce)
		const opens = 8
		done, start := make(chan error, opens), time.Now()
		for i := range opens {
			go func() {
				_, err := c.here.Open(t.Context(), blob.ID{byte(i)})
				done <- err
			}()
		}
		for range opens {
			// This node itself is among those found, and counts for nothing.
			if err := <-done; !errors.Is(err, ErrUnreachable) || errors.Is(err, blob.ErrNotFound) || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("open: got %v, want ErrUnreachable", err)
			}
		}
		if took := time.Since(start); took > patience+5*time.Second {
			t.Errorf("gave up after %v, want about %v", took, patience)
		}
		if _, err := c.here.Stat(t.Context(), c.id); !errors.Is(err, ErrUnreachable) || errors.Is(err, blob.ErrNotFound) {
			t.Errorf("stat: got %v, want ErrUnreachable", err)
		}
		dials, most := c.dials.Load(), c.most.Load()
		t.Logf("%d dials in %v, %d at once", dials, time.Since(start), most)
		if dials != maxSiteTries || most > maxSiteDials {
			t.Errorf("%d dials, %d at once, want %d, and %d at most", dials, most, maxSiteTries, maxSiteDials)
		}
	})
}

// TestCrowdPatience: as long as there are seeders to try, a fetch goes on, and
// not longer than it may.
func TestCrowdPatience(t *testing.T) {
	for _, test := range []struct {
		fakes       int
		least, most time.Duration
	}{{10, openPatience, openPatience + 5*time.Second}, {4000, mostPatience, mostPatience + time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			c := newCrowd(t, mib, test.fakes, scattered)
			start := time.Now()
			if _, err := c.here.Open(t.Context(), c.id); !errors.Is(err, ErrUnreachable) {
				t.Errorf("open: got %v, want ErrUnreachable", err)
			}
			if took := time.Since(start); took < test.least || took > test.most {
				t.Errorf("%d fakes: gave up after %v, want %v", test.fakes, took, test.least)
			}
		})
	}
}

// TestWrongHint: an address that leads nowhere is left out the second time.
func TestWrongHint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, mib, 0, nil)
		c.seeder(mib, time.Millisecond)
		c.here.network = misled{c}
		start := time.Now()
		c.fetch()
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("took %v, want 2 s for the wrong address and 1 s for the transfer", took)
		}
	})
}

// TestSlowSize: the first eight bytes have a time of their own, so that nobody
// holds a dial's place for long.
func TestSlowSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, mib)
		w.liar(func(ctx context.Context, c net.Conn) {
			_ = w.home.Serve(ctx, &trickle{Conn: c}, w.id)
		})
		start := time.Now()
		if _, err := w.here.Stat(t.Context(), w.id); !errors.Is(err, ErrUnreachable) {
			t.Errorf("stat: got %v, want ErrUnreachable", err)
		}
		if took := time.Since(start); took > silence+time.Second {
			t.Errorf("took %v, want %v for the size", took, silence)
		}
	})
}

// misled reaches a seeder only without the hint.
type misled struct{ *crowd }

func (m misled) Dial(ctx context.Context, s Seeder, id blob.ID) (net.Conn, error) {
	if s.Addr.IsValid() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return m.crowd.Dial(ctx, s, id)
}

// dripper serves properly, but after a swift start only so many bytes a second.
type dripper struct {
	net.Conn
	swift, rate int
}

func (d *dripper) Write(b []byte) (int, error) {
	n := 0
	for n < len(b) {
		part := b[n:min(len(b), n+d.rate)]
		if d.swift -= len(part); d.swift < 0 {
			time.Sleep(time.Duration(len(part)) * time.Second / time.Duration(d.rate))
			_ = d.SetWriteDeadline(time.Now().Add(time.Minute))
		}
		m, err := d.Conn.Write(part)
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

func (d *dripper) Reset() { d.Conn.(*wire).Reset() }

// drips adds one that sends the proof and then drips.
func (w *world) drips(rate int) *far {
	return w.liar(func(ctx context.Context, c net.Conn) {
		_ = w.home.Serve(ctx, &dripper{c, 20_000, rate}, w.id)
	})
}

// TestDrippers: seeders that send the right bytes, but hardly any, do not keep
// a quick one out, nor if they are just above what counts as slow.
func TestDrippers(t *testing.T) {
	for _, test := range []struct {
		n, rate int
		most    time.Duration
	}{
		{4, 2500, 8 * time.Second},
		{8, 2500, 15 * time.Second},
		{8, 4 * slowRate, 5 * time.Second},
		{40, 2500, 60 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 8*mib)
			for range test.n {
				w.drips(test.rate)
			}
			w.seeder(50*mib, 10*time.Millisecond)
			w.here.network = ranked{w}
			start := time.Now()
			w.fetch()
			took := time.Since(start)
			stats := w.here.Stats()
			t.Logf("%d of %d B/s: took %v, %d replaced", test.n, test.rate, took, stats.Outpaced)
			if took > test.most {
				t.Errorf("%d of %d B/s: took %v, want at most %v", test.n, test.rate, took, test.most)
			}
		})
	}
}

// ranked has all seeders but the last tried first.
type ranked struct{ *world }

func (r ranked) FindSeeders(ctx context.Context, id blob.ID) ([]Seeder, error) {
	found, err := r.world.FindSeeders(ctx, id)
	for i := range found[:len(found)-1] {
		found[i].Known = true
	}
	return found, err
}

// TestSlowKeepTheirPlace: who is slow is not given up for those who only say
// that they have the BLOB.
func TestSlowKeepTheirPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate = 20 << 10
		c := newCrowd(t, 8*mib, 250, scattered)
		c.known = true
		for range maxLinks {
			c.seeder(rate, 10*time.Millisecond)
		}
		r := c.mustOpen()
		defer r.Close()
		start := time.Now()
		if _, err := io.CopyN(io.Discard, r, 4*mib); err != nil {
			t.Fatal(err)
		}
		took, stats := time.Since(start), c.here.Stats()
		t.Logf("took %v, %d replaced", took, stats.Outpaced)
		if most := 8 * mib * time.Second / (rate * maxLinks) * 5 / 4; took > most || stats.Outpaced > 0 {
			t.Errorf("took %v with %d replaced, want at most %v and none", took, stats.Outpaced, most)
		}
	})
}

// TestLinksBounded: whatever comes, links and dials stay within their bounds.
func TestLinksBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 8*mib)
		for range 60 {
			w.drips(2500)
		}
		r := w.mustOpen()
		defer r.Close()
		go func() { _, _ = io.Copy(io.Discard, r) }()
		most := census{}
		for range 600 {
			time.Sleep(100 * time.Millisecond)
			r.f.state.mu.Lock()
			n := r.f.state.census(time.Now())
			r.f.state.mu.Unlock()
			most.up, most.dialling = max(most.up, n.up), max(most.dialling, n.dialling)
		}
		t.Logf("at most %d up, %d being dialled", most.up, most.dialling)
		if bound := 2*maxLinks + 1; most.up > bound || most.up < maxLinks || most.dialling > maxDials {
			t.Errorf("%d links up, %d being dialled; want at most %d and %d", most.up, most.dialling, bound, maxDials)
		}
	})
}

package discovery

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/staex-mcc/mcc/dht"
	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/store"
)

// newSeeds starts one that the test closes at the latest when it ends.
func newSeeds(t *testing.T, number byte, d dht.Leases, kept store.Store) *Seeds {
	t.Helper()
	s := NewSeeds(SeedsConfig{DHT: d, Identity: newIdentity(t, number, "x"), Store: kept})
	t.Cleanup(func() { killSeeds(s) })
	return s
}

// killSeeds ends Seeds as a crash would: without withdrawing.
func killSeeds(s *Seeds) {
	s.mu.Lock()
	s.schedule.clear()
	s.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = s.Close(ctx)
}

func entriesOf(s *Seeds) (entries []seedEntry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.schedule.entries {
		entries = append(entries, *e)
	}
	return entries
}

func testBlob(n int) (id [32]byte) {
	binary.BigEndian.PutUint32(id[:], uint32(n))
	return id
}

func nodeOf(t testing.TB, number byte) identity.ID { return newIdentity(t, number, "").ID() }

func wantSeeders(t *testing.T, s *Seeds, blob int, want ...Seeder) {
	t.Helper()
	got, err := s.Find(t.Context(), testBlob(blob))
	if err != nil || got == nil {
		t.Fatalf("Find: %v, %v", got, err)
	}
	slices.SortFunc(want, func(a, b Seeder) int { return a.Node.Compare(b.Node) })
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.AddrPort{}), cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("seeders of %d at %v (-want +got):\n%s", blob, time.Now(), diff)
	}
}

func mustWithdraw(t *testing.T, s *Seeds, blob int) {
	t.Helper()
	if err := s.Withdraw(t.Context(), testBlob(blob)); err != nil {
		t.Fatal(err)
	}
}

func TestSeedsAnnounceFindWithdraw(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := newFakeMesh()
		d := mesh.node()
		d.latency = time.Second
		one, two, reader := newSeeds(t, 1, d, nil), newSeeds(t, 2, mesh.node(), nil), newSeeds(t, 3, mesh.node(), nil)
		first, second := Seeder{nodeOf(t, 1), hint}, Seeder{nodeOf(t, 2), hint}
		wantSeeders(t, reader, 7)
		start := time.Now()
		one.Announce(testBlob(7))
		if !time.Now().Equal(start) {
			t.Error("Announce waited")
		}
		wantSeeders(t, one, 7, Seeder{Node: first.Node}) // before anybody else knows
		two.Announce(testBlob(7))
		time.Sleep(5 * time.Second)
		wantSeeders(t, reader, 7, first, second)
		wantSeeders(t, one, 7, Seeder{Node: first.Node}, second)
		wantSeeders(t, reader, 8)

		mustWithdraw(t, one, 7)
		wantSeeders(t, reader, 7, second)
		wantSeeders(t, one, 7, second)
		if n := len(entriesOf(one)); n != 1 {
			t.Errorf("%d entries, want that of the withdrawal", n)
		}
		one.Announce(testBlob(7))
		time.Sleep(5 * time.Second)
		wantSeeders(t, reader, 7, first, second)
		if got := one.Stats(); got != (SeedsStats{Announced: 1, Placed: 3}) {
			t.Errorf("stats %+v", got)
		}
	})
}

// Whoever is told the id after AnnounceNow finds the seeder at once.
func TestSeedsAnnounceNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := newFakeMesh()
		slow := mesh.node()
		slow.latency = time.Second
		one, reader := newSeeds(t, 1, slow, nil), newSeeds(t, 2, mesh.node(), nil)
		for range 2 { // the second time there is nothing to tell
			if err := one.AnnounceNow(t.Context(), testBlob(7)); err != nil {
				t.Fatal(err)
			}
			wantSeeders(t, reader, 7, Seeder{nodeOf(t, 1), hint})
		}
		if got := one.Stats(); got != (SeedsStats{Announced: 1, Placed: 1}) {
			t.Errorf("stats %+v", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := one.AnnounceNow(ctx, testBlob(8)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("an impatient caller got %v", err)
		}
		time.Sleep(2 * firstSeedRetry)
		wantSeeders(t, reader, 8, Seeder{nodeOf(t, 1), hint})
	})
}

// TestSeedsLease looks at what is placed: no body, an hour to live, under the
// BLOB's key.
func TestSeedsLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFakeMesh().node()
		s := newSeeds(t, 1, d, nil)
		s.Announce(testBlob(1))
		synctest.Wait()
		puts := d.tried()
		if len(puts) != 1 {
			t.Fatalf("%d leases placed at once", len(puts))
		}
		l := puts[0].lease
		if l.Key != BlobKey(testBlob(1)) || len(l.Body) != 0 || !l.Expires.Equal(time.Now().Add(time.Hour)) {
			t.Errorf("lease %+v", l)
		}
	})
}

// TestSeedsRenew: the lease never lapses, and is renewed every 20 minutes.
func TestSeedsRenew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := newFakeMesh()
		d := mesh.node()
		s, reader := newSeeds(t, 1, d, nil), newSeeds(t, 2, mesh.node(), nil)
		for range 6 * 60 {
			s.Announce(testBlob(1)) // once is enough
			time.Sleep(time.Minute)
			wantSeeders(t, reader, 1, Seeder{nodeOf(t, 1), hint})
		}
		puts := d.tried()
		if len(puts) < 18 || len(puts) > 19 {
			t.Fatalf("%d placements in 6 hours", len(puts))
		}
		for i, p := range puts[1:] {
			since := p.at.Sub(puts[i].at)
			if i == 0 && (since < SeedRenewEvery/2 || since > 3*SeedRenewEvery/2) || i > 0 && since != SeedRenewEvery {
				t.Errorf("renewal %d after %v", i, since)
			}
		}
	})
}

// TestSeedsSpread announces many at once and watches the pace over some rounds.
func TestSeedsSpread(t *testing.T) {
	const blobs = 600
	synctest.Test(t, func(t *testing.T) {
		d := newFakeMesh().node()
		d.latency = 5 * time.Second
		s := newSeeds(t, 1, d, nil)
		start := time.Now()
		for n := range blobs {
			s.Announce(testBlob(n))
		}
		if got := s.Stats(); got.Announced != blobs || got.Waiting < blobs-1 {
			t.Errorf("at once: %+v", got)
		}
		time.Sleep(80 * time.Minute)
		if got := s.Stats(); got.Announced != blobs || got.Waiting != 0 || got.Failed != 0 {
			t.Errorf("after 80 minutes: %+v", got)
		}
		if d.most > maxSeedsParallel {
			t.Errorf("%d placements at once", d.most)
		}
		first, minutes := map[dht.Key]time.Time{}, make([]int, 80)
		for _, p := range d.tried() {
			if _, known := first[p.lease.Key]; !known {
				first[p.lease.Key] = p.at
			}
			minutes[min(int(p.at.Sub(start)/time.Minute), 79)]++
		}
		for key, at := range first {
			if at.Sub(start) > 30*time.Minute {
				t.Errorf("%s placed after %v", key, at.Sub(start))
			}
		}
		// Four at a time of 5 s each are 48 a minute: all that the network
		// gives at first, and never more.
		for m, n := range minutes {
			if n > 52 || m < 12 && n < 44 {
				t.Errorf("minute %d: %d placements", m, n)
			}
		}
	})
}

// TestSeedsSpreadEvenly: with a quick network every minute has its share.
func TestSeedsSpreadEvenly(t *testing.T) {
	const blobs = 500
	synctest.Test(t, func(t *testing.T) {
		d := newFakeMesh().node()
		s := newSeeds(t, 1, d, nil)
		start := time.Now()
		for n := range blobs {
			s.Announce(testBlob(n))
		}
		time.Sleep(90 * time.Minute)
		minutes := make([]int, 90)
		for _, p := range d.tried() {
			minutes[min(int(p.at.Sub(start)/time.Minute), 89)]++
		}
		if minutes[0] != blobs || minutes[1] != 0 {
			t.Errorf("at first: %v, want ten a second", minutes[:5])
		}
		for m, n := range minutes[40:] {
			if n < 8 || n > 50 {
				t.Errorf("minute %d: %d renewals, want about 25", m+40, n)
			}
		}
	})
}

// TestSeedsNewestFirst: what is announced last passes the others.
func TestSeedsNewestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFakeMesh().node()
		s := newSeeds(t, 1, d, nil)
		for n := range 50 {
			s.Announce(testBlob(n))
		}
		time.Sleep(1010 * time.Millisecond)
		s.Announce(testBlob(99))
		time.Sleep(time.Minute)
		var got []dht.Key
		for _, p := range d.tried() {
			got = append(got, p.lease.Key)
		}
		if len(got) != 51 || slices.Index(got, BlobKey(testBlob(99))) != 11 {
			t.Fatalf("%d placed, the late one as number %d", len(got), slices.Index(got, BlobKey(testBlob(99))))
		}
		// Which was first depends on who ran first; the rest is in order.
		got = slices.Delete(got[1:], 10, 11)
		last := 50
		for _, key := range got {
			n := 0
			for BlobKey(testBlob(n)) != key {
				n++
			}
			if n >= last {
				t.Fatalf("%d after %d", n, last)
			}
			last = n
		}
	})
}

// TestSeedsForeign: leases with a body are none of a seeder, and one past its
// end is not told even if a holder still has it.
func TestSeedsForeign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := newFakeMesh()
		late := mesh.node()
		late.skew = -time.Hour
		place := func(d *fakeDHT, number byte, life time.Duration, data []byte) {
			l, err := dht.SignLease(newIdentity(t, number, "x"), dht.Lease{Key: BlobKey(testBlob(1)), Seq: 1, Expires: time.Now().Add(life), Body: data})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.PutLease(t.Context(), l); err != nil {
				t.Fatal(err)
			}
		}
		place(mesh.node(), 1, time.Hour, []byte{1})
		place(mesh.node(), 2, time.Hour, nil)
		place(late, 3, time.Minute, nil)
		s := newSeeds(t, 9, mesh.node(), nil)
		wantSeeders(t, s, 1, Seeder{nodeOf(t, 2), hint}, Seeder{nodeOf(t, 3), hint})
		time.Sleep(time.Minute)
		wantSeeders(t, s, 1, Seeder{nodeOf(t, 2), hint})
		if got := s.Stats().Dropped; got != 2 {
			t.Errorf("%d dropped", got)
		}
	})
}

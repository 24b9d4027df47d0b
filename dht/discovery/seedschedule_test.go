package discovery

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/staex-mcc/mcc/identity"
)

var scheduleStart = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// TestScheduleRenewal: half a round to one and a half ahead, always at the same
// moment of the round, another at another node.
func TestScheduleRenewal(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	s, other := newSchedule(identity.ID{1}, scheduleStart), newSchedule(identity.ID{2, 3, 4, 5, 6, 7}, scheduleStart)
	for range 5000 {
		key := BlobKey(testBlob(rng.IntN(1000)))
		now := scheduleStart.Add(time.Duration(rng.Int64N(int64(100 * time.Hour))))
		at := s.renewal(key, now)
		if ahead := at.Sub(now); ahead < SeedRenewEvery/2 || ahead > 3*SeedRenewEvery/2 {
			t.Fatalf("%v ahead", ahead)
		}
		if next := s.renewal(key, at); next.Sub(at) != SeedRenewEvery {
			t.Fatalf("the next %v later", next.Sub(at))
		}
		if at.Equal(other.renewal(key, now)) {
			t.Fatal("two nodes renew at the same moment")
		}
	}
}

func TestScheduleGap(t *testing.T) {
	s := newSchedule(identity.ID{1}, scheduleStart)
	if s.gap() != maxSeedGap {
		t.Errorf("nothing to do: %v", s.gap())
	}
	for n := range MaxSeeds {
		s.announce(testBlob(n))
	}
	if need := SeedRenewEvery / MaxSeeds; s.gap() <= 0 || s.gap() > need/2 {
		t.Errorf("%v, renewals come every %v", s.gap(), need)
	}
}

// TestScheduleIsBounded: an announcement takes the place of a withdrawal, never
// of another announcement.
func TestScheduleIsBounded(t *testing.T) {
	s := newSchedule(identity.ID{1}, scheduleStart)
	for n := range MaxSeeds {
		if !s.announce(testBlob(n)) {
			t.Fatalf("number %d refused", n)
		}
	}
	if s.announce(testBlob(MaxSeeds)) || s.withdraw(testBlob(MaxSeeds), scheduleStart) != nil || len(s.entries) != MaxSeeds {
		t.Error("more than MaxSeeds")
	}
	if !s.announce(testBlob(5)) {
		t.Error("what is announced already is refused")
	}
	later, sooner := s.withdraw(testBlob(1), scheduleStart.Add(time.Minute)), s.withdraw(testBlob(2), scheduleStart)
	if s.announce(testBlob(MaxSeeds)) {
		t.Error("a withdrawal under way was forgotten")
	}
	for _, e := range []*seedEntry{later, sooner} {
		s.finish(e, e.version, true, scheduleStart)
	}
	if !s.announce(testBlob(MaxSeeds)) || s.entries[sooner.id] != nil || s.entries[later.id] == nil || s.due.Len() != 1 {
		t.Error("the withdrawal nearest to its end was not the one forgotten")
	}
}

// TestScheduleTakesTurns: neither first leases nor renewals starve.
func TestScheduleTakesTurns(t *testing.T) {
	s := newSchedule(identity.ID{1}, scheduleStart)
	now := scheduleStart
	for n := range 10 {
		s.announce(testBlob(n))
		e, _ := s.next(now)
		s.finish(e, e.version, true, now)
	}
	now = now.Add(time.Hour)
	for n := range 10 {
		s.announce(testBlob(100 + n))
	}
	for i := range 20 {
		e, _ := s.next(now)
		if fresh := e.id[3] >= 100; fresh != (i%2 == 1) {
			t.Fatalf("number %d is %v", i, e.id[:4])
		}
	}
	if e, wait := s.next(now); e != nil || wait != 0 {
		t.Errorf("then %v, %v", e, wait)
	}
}

// TestScheduleInvariants plays at random and checks after each step that every
// entry is in the one place where it belongs.
func TestScheduleInvariants(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	s, now := newSchedule(identity.ID{1}, scheduleStart), scheduleStart
	type attempt struct {
		e       *seedEntry
		version uint64
	}
	var running []attempt
	for step := range 20000 {
		id := testBlob(rng.IntN(20))
		switch rng.IntN(6) {
		case 0:
			s.announce(id)
		case 1:
			e := s.withdraw(id, now)
			running = append(running, attempt{e, e.version})
		case 2, 3:
			if e, _ := s.next(now); e != nil {
				e.expires = now.Add(SeedLife)
				running = append(running, attempt{e, e.version})
			}
		case 4:
			if len(running) > 0 {
				i := rng.IntN(len(running))
				s.finish(running[i].e, running[i].version, rng.IntN(3) > 0, now)
				running = append(running[:i], running[i+1:]...)
			}
		case 5:
			now = now.Add(time.Duration(rng.Int64N(int64(5 * time.Minute))))
		}
		busy := map[*seedEntry]int{}
		for _, a := range running {
			busy[a.e]++
		}
		checkSchedule(t, &s, busy)
		if t.Failed() {
			t.Fatalf("step %d", step)
		}
	}
}

func checkSchedule(t *testing.T, s *schedule, busy map[*seedEntry]int) {
	t.Helper()
	waiting := 0
	for id, e := range s.entries {
		if e.id != id || e.busy != busy[e] || (e.busy > 0) == (e.queue != nil) || e.queue == s.fresh && !e.announced {
			t.Errorf("entry %+v, %d attempts", e, busy[e])
		}
		if e.queue != nil {
			waiting++
			if e.queue.items[e.at] != e {
				t.Error("not where it should wait")
			}
		}
	}
	if n := s.fresh.Len() + s.due.Len(); n != waiting {
		t.Errorf("%d in the queues, %d entries wait", n, waiting)
	}
	for _, q := range []*seedQueue{s.fresh, s.due} {
		for _, e := range q.items {
			if q.before(e, q.items[0]) {
				t.Error("the first is not in front")
			}
		}
	}
	for e := range busy {
		if s.entries[e.id] != e {
			t.Error("forgotten while under way")
		}
	}
}

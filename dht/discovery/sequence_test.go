package discovery

import (
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/staex-mcc/mcc/store"
	"github.com/staex-mcc/mcc/store/memory"
)

// countingStore counts the writes, and fails them with fault.
type countingStore struct {
	store.Store
	puts  int
	fault error
}

func (s *countingStore) Put(key, value []byte) error {
	s.puts++
	if s.fault != nil {
		return s.fault
	}
	return s.Store.Put(key, value)
}

// TestSequenceGrows lets the clock jump about and the node restart.
func TestSequenceGrows(t *testing.T) {
	kept := memory.New()
	rng := rand.New(rand.NewPCG(1, 2))
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	last := uint64(0)
	for restart := range 50 {
		q, err := newSequence(kept, sequenceKey)
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			now = now.Add(time.Duration(rng.Int64N(int64(10*time.Hour))) - 5*time.Hour)
			if err := q.reserve(now); err != nil {
				t.Fatal(err)
			}
			seq := q.next(now)
			if seq <= last {
				t.Fatalf("restart %d: %d after %d", restart, seq, last)
			}
			last = seq
		}
	}
}

// TestSequenceWritesRarely: a day of renewals costs some two dozen writes.
func TestSequenceWritesRarely(t *testing.T) {
	s := &countingStore{Store: memory.New()}
	q, err := newSequence(s, sequenceKey)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for at := time.Duration(0); at < 24*time.Hour; at += RenewEvery {
		for range 100 {
			if err := q.reserve(start.Add(at)); err != nil {
				t.Fatal(err)
			}
			q.next(start.Add(at))
		}
	}
	if s.puts < 24 || s.puts > 26 {
		t.Errorf("%d writes, want about 24", s.puts)
	}
}

func TestSequenceConcurrent(t *testing.T) {
	q, err := newSequence(memory.New(), sequenceKey)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	seen := map[uint64]bool{}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 200 {
				now := time.Unix(int64(1000+i*60), 0)
				if err := q.reserve(now); err != nil {
					t.Error(err)
				}
				seq := q.next(now)
				mu.Lock()
				if seen[seq] {
					t.Errorf("%d twice", seq)
				}
				seen[seq] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

func TestSequenceFaults(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	full := errors.New("disk full")
	q, err := newSequence(&countingStore{Store: memory.New(), fault: full}, sequenceKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := q.reserve(now); !errors.Is(err, full) {
		t.Errorf("reserve: %v", err)
	}
	if a, b := q.next(now), q.next(now); a != uint64(now.UnixNano()) || b != a+1 {
		t.Errorf("numbers %d and %d", a, b)
	}

	junk := memory.New()
	if err := junk.Put([]byte(sequenceKey), []byte("junk")); err != nil {
		t.Fatal(err)
	}
	if q, err := newSequence(junk, sequenceKey); err == nil || q.next(now) == 0 {
		t.Errorf("newSequence on junk: %v", err)
	}
	if q.next(time.Unix(-5, 0)) <= uint64(now.UnixNano()) {
		t.Error("a clock before 1970 breaks the sequence")
	}
}

func TestSequenceSkip(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	q, err := newSequence(nil, sequenceKey)
	if err != nil {
		t.Fatal(err)
	}
	ahead := uint64(now.Add(time.Hour).UnixNano())
	if q.skip(uint64(now.UnixNano())-1, now) || !q.skip(ahead, now) || q.skip(ahead, now) || q.skip(1<<63, now) {
		t.Error("skip takes what it should not, or the reverse")
	}
	if got := q.next(now); got != ahead+1 {
		t.Errorf("next is %d, want %d", got, ahead+1)
	}
}

package dht

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/staex-mcc/mcc/identity"
)

func bareLease(provider byte, key Key, seq uint64, life time.Duration) *Lease {
	l := &Lease{Key: key, Provider: identity.ID{provider + 1}, Seq: seq}
	if life != 0 {
		l.Expires = testTime.Add(life)
	}
	return l
}

// held are the providers under a key, with an exclamation mark behind those
// that withdrew.
func (s *leaseStore) held(key Key, now time.Time) string {
	var out strings.Builder
	for l := range s.after(key, identity.ID{}, now) {
		out.WriteString(string(rune(l.Provider[0]) - 1 + 'a'))
		if l.Withdrawn() {
			out.WriteString("!")
		}
	}
	return out.String()
}

func TestLeaseStoreVersions(t *testing.T) {
	s, key := newLeaseStore(ownID), Key{1}
	for _, tt := range []struct {
		what  string
		lease *Lease
		want  Status
		held  string
	}{
		{"c", bareLease(2, key, 5, LeaseLife), StatusStored, "c"},
		{"a", bareLease(0, key, 5, LeaseLife), StatusStored, "ac"},
		{"c again", bareLease(2, key, 5, LeaseLife), StatusStored, "ac"},
		{"c older", bareLease(2, key, 4, LeaseLife), StatusOutdated, "ac"},
		{"c withdraws", bareLease(2, key, 6, 0), StatusStored, "ac!"},
		{"c's old one again", bareLease(2, key, 5, LeaseLife), StatusOutdated, "ac!"},
		{"c is back", bareLease(2, key, 7, LeaseLife), StatusStored, "ac"},
		{"b withdraws what nobody knows", bareLease(1, key, 9, 0), StatusStored, "ab!c"},
		{"b's late one", bareLease(1, key, 8, LeaseLife), StatusOutdated, "ab!c"},
	} {
		status, inForce := s.put(tt.lease, testAddr, testTime)
		if status != tt.want || (inForce != nil) != (status == StatusOutdated) {
			t.Errorf("%s: got status %d, in force %v", tt.what, status, inForce)
		}
		if got := s.held(key, testTime); got != tt.held {
			t.Errorf("%s: held %q, want %q", tt.what, got, tt.held)
		}
	}
	if got := s.held(Key{2}, testTime); got != "" {
		t.Errorf("under another key: %q", got)
	}
}

func TestLeaseStoreTimes(t *testing.T) {
	key := Key{1}
	for _, tt := range []struct {
		life, lives time.Duration // lives of zero: refused
	}{
		{-time.Second, 0},
		{time.Second, time.Second},
		{LeaseLife, LeaseLife},
		{MaxLeaseLife, MaxLeaseLife},
		{MaxLeaseLife + ClockTolerance, MaxLeaseLife}, // the provider's clock is ahead
		{MaxLeaseLife + ClockTolerance + time.Second, 0},
		{0, MaxLeaseLife + ClockTolerance}, // a withdrawal outlives what it withdraws
	} {
		s := newLeaseStore(ownID)
		status, _ := s.put(bareLease(1, key, 1, tt.life), testAddr, testTime)
		if tt.lives == 0 {
			if status != StatusExpired {
				t.Errorf("a life of %v: status %d", tt.life, status)
			}
			continue
		}
		if s.held(key, testTime.Add(tt.lives-1)) == "" || s.held(key, testTime.Add(tt.lives)) != "" {
			t.Errorf("a life of %v does not end after %v", tt.life, tt.lives)
		}
		if s.sweep(testTime.Add(tt.lives)); s.size+len(s.byKey)+len(s.sorted)+len(s.providers) != 0 {
			t.Errorf("a life of %v: not swept", tt.life)
		}
	}
}

func TestLeaseStoreFull(t *testing.T) {
	s := newLeaseStore(ownID)
	s.limit = 3
	keys := make([]Key, 6)
	for i := range keys {
		keys[i] = Key{byte(i)}
	}
	slices.SortFunc(keys, func(a, b Key) int { return compareDistance(s.own, a, b) })
	put := func(l *Lease) Status { status, _ := s.put(l, testAddr, testTime); return status }
	mine := bareLease(0, keys[5], 1, LeaseLife)
	mine.Provider = ownID
	for _, l := range []*Lease{mine, bareLease(1, keys[3], 1, LeaseLife), bareLease(1, keys[1], 1, LeaseLife)} {
		if got := put(l); got != StatusStored {
			t.Fatalf("status %d", got)
		}
	}
	if got := put(bareLease(1, keys[4], 1, LeaseLife)); got != StatusFull {
		t.Errorf("a farther key into a full store: status %d", got)
	}
	if got := put(bareLease(1, keys[0], 1, LeaseLife)); got != StatusStored || s.evicted != 1 || s.held(keys[3], testTime) != "" {
		t.Errorf("a nearer key: status %d, %d evicted", got, s.evicted)
	}
	if s.held(keys[5], testTime) == "" {
		t.Error("an own lease had to go")
	}
	s.providers[identity.ID{8}] = leaseCount{all: maxProviderLeases}
	s.limit = maxLeases
	if got := put(bareLease(7, keys[0], 1, LeaseLife)); got != StatusFull {
		t.Errorf("past a provider's bound: status %d", got)
	}
	for i := range maxKeyLeases + 1 {
		l := bareLease(1, Key{9}, 1, LeaseLife)
		l.Provider[1], l.Provider[2] = byte(i>>8), byte(i)
		want := StatusStored
		if i == maxKeyLeases {
			want = StatusFull
		}
		if got := put(l); got != want {
			t.Fatalf("provider %d under one key: status %d, want %d", i, got, want)
		}
	}
}

// TestWithdrawalLasts: a withdrawal stays as long as the lease before it may
// live on somewhere, and not much longer.
func TestWithdrawalLasts(t *testing.T) {
	key := Key{1}
	for life, lives := range map[time.Duration]time.Duration{
		time.Second:  LeaseLife + ClockTolerance,
		LeaseLife:    LeaseLife + ClockTolerance,
		time.Hour:    time.Hour + ClockTolerance,
		MaxLeaseLife: MaxLeaseLife + ClockTolerance,
	} {
		s := newLeaseStore(ownID)
		s.put(bareLease(1, key, 1, life), testAddr, testTime)
		for seq := range uint64(3) { // again and again makes no difference
			s.put(bareLease(1, key, 2+seq, 0), testAddr, testTime)
		}
		if s.held(key, testTime.Add(lives-1)) != "b!" || s.held(key, testTime.Add(lives)) != "" {
			t.Errorf("the withdrawal of a lease of %v does not end after %v", life, lives)
		}
	}
}

// TestLongLeases: a provider of many BLOBs still has room for its services.
func TestLongLeases(t *testing.T) {
	s := newLeaseStore(ownID)
	put := func(i int, seq uint64, life time.Duration) Status {
		status, _ := s.put(bareLease(1, Key{1, byte(i >> 8), byte(i)}, seq, life), testAddr, testTime)
		return status
	}
	for i := range maxLongLeases {
		if got := put(i, 1, time.Hour); got != StatusStored {
			t.Fatalf("long lease %d: status %d", i, got)
		}
	}
	for _, tt := range []struct {
		what string
		key  int
		seq  uint64
		life time.Duration
		want Status
	}{
		{"one more", maxLongLeases, 1, time.Hour, StatusFull},
		{"a short one", maxLongLeases, 1, LeaseLife, StatusStored},
		{"which becomes long", maxLongLeases, 2, time.Hour, StatusFull},
		{"which is withdrawn", maxLongLeases, 2, 0, StatusStored},
		{"a renewed one", 0, 2, time.Hour, StatusStored},
		{"one that becomes short", 0, 3, LeaseLife, StatusStored},
		{"so there is room again", maxLongLeases + 1, 1, time.Hour, StatusStored},
	} {
		if got := put(tt.key, tt.seq, tt.life); got != tt.want {
			t.Errorf("%s: status %d, want %d", tt.what, got, tt.want)
		}
	}
	if s.sweep(testTime.Add(2 * MaxLeaseLife)); len(s.providers) != 0 {
		t.Errorf("left in the books: %v", s.providers)
	}
}

package sealed

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

// Tests of the small machines.

func TestWindow(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 0))
		var w window
		seen, top := map[uint64]bool{}, uint64(0)
		for range 20_000 {
			n := top + uint64(rng.IntN(5))
			switch rng.IntN(4) {
			case 0:
				n = top - min(top, uint64(rng.IntN(3000)))
			case 1:
				if rng.IntN(200) == 0 {
					n += uint64(rng.IntN(10_000))
				}
			}
			want := !seen[n] && (n >= top || top-n < windowSize)
			if got := w.fresh(n); got != want {
				t.Fatalf("seed %d: counter %d with %d the highest: %v, want %v", seed, n, top, got, want)
			}
			if want {
				w.mark(n)
				seen[n] = true
				top = max(top, n)
			}
		}
	}
	var w window
	if w.fresh(maxCounter) || !w.fresh(maxCounter-1) {
		t.Error("counters have no end")
	}
}

func TestSchedule(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var s schedule
	want := map[*call]time.Time{}
	calls := make([]*call, 100)
	for i := range calls {
		calls[i] = &call{id: CallID(i)}
	}
	for range 3000 {
		c := calls[rng.IntN(len(calls))]
		if rng.IntN(3) == 0 {
			s.clear(c)
			delete(want, c)
		} else {
			at := epoch.Add(time.Duration(rng.IntN(50)) * time.Second)
			s.set(c, at)
			want[c] = at
		}
	}
	last := epoch
	for range len(want) {
		at := s.next()
		if s.due(at.Add(-1)) != nil {
			t.Fatal("woken before its time")
		}
		c := s.due(at).(*call)
		if at.Before(last) || !want[c].Equal(at) {
			t.Fatalf("call %d woken at %v, set to %v", c.id, at, want[c])
		}
		last = at
		delete(want, c)
	}
	if len(want) != 0 || !s.next().IsZero() {
		t.Errorf("%d never woken", len(want))
	}
	for _, c := range calls {
		s.set(c, epoch)
	}
	for _, c := range calls {
		if s.due(epoch) != sleeper(c) {
			t.Fatal("equal times wake in another order than they were set in")
		}
	}
}

func TestRoundTrip(t *testing.T) {
	var r roundTrip
	if r.timeout() != unknownTimeout {
		t.Errorf("unknown: %v", r.timeout())
	}
	for range 50 {
		r.sample(150 * time.Millisecond)
	}
	if got := r.timeout(); got < 150*time.Millisecond || got > 160*time.Millisecond {
		t.Errorf("steady: %v", got)
	}
	r.sample(500 * time.Millisecond)
	if got := r.timeout(); got < 450*time.Millisecond {
		t.Errorf("after a late answer: %v", got)
	}
	for range 50 {
		r.sample(0)
	}
	if got := r.timeout(); got != minTimeout {
		t.Errorf("fast: %v", got)
	}
	for range 50 {
		r.sample(5 * time.Second)
	}
	if got := r.timeout(); got != maxTimeout {
		t.Errorf("slow: %v", got)
	}
}

func TestBucket(t *testing.T) {
	var b bucket
	took := 0
	for range 100 {
		if b.take(epoch, 10, 20) {
			took++
		}
	}
	if took != 20 {
		t.Errorf("burst of %d", took)
	}
	for i := range 100 {
		if b.take(epoch.Add(time.Duration(i)*20*time.Millisecond), 10, 20) {
			took++
		}
	}
	if took < 39 || took > 40 {
		t.Errorf("%d in two seconds", took)
	}
}

func TestSourceOf(t *testing.T) {
	for _, test := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1:1", "192.0.2.1:2", true},
		{"192.0.2.1:1", "192.0.2.2:1", false},
		{"[2001:db8::1]:1", "[2001:db8::ffff:1]:2", true},
		{"[2001:db8::1]:1", "[2001:db8:0:1::1]:1", false},
		{"127.0.0.1:1", "127.0.0.1:2", false},
		{"[::1]:1", "[::1]:2", false},
	} {
		a, b := sourceOf(netip.MustParseAddrPort(test.a)), sourceOf(netip.MustParseAddrPort(test.b))
		if (a == b) != test.same {
			t.Errorf("%s and %s: %v", test.a, test.b, a == b)
		}
	}
}

func TestLedgerIsBounded(t *testing.T) {
	var l ledger
	loud, quiet := &peer{id: [32]byte{1}}, &peer{id: [32]byte{2}}
	mine := requestKey{peer: quiet.id, number: 1}
	l.begin(quiet, mine)
	for i := range uint64(3 * maxLedgerPeer) {
		l.begin(loud, requestKey{peer: loud.id, number: i})
	}
	if len(l.entries) != maxLedgerPeer+1 || l.order.Len() != maxLedgerPeer+1 || len(loud.executed) != maxLedgerPeer {
		t.Errorf("%d entries", len(l.entries))
	}
	if l.find(mine) == nil || l.find(requestKey{peer: loud.id, number: 1}) != nil || l.find(requestKey{peer: loud.id, number: 3*maxLedgerPeer - 1}) == nil {
		t.Error("the wrong entries went")
	}
	for i := range byte(20) {
		p := &peer{id: [32]byte{3, i}}
		for n := range uint64(maxLedgerPeer) {
			l.begin(p, requestKey{peer: p.id, number: n})
		}
	}
	if len(l.entries) != maxLedger || l.order.Len() != maxLedger {
		t.Errorf("%d entries", len(l.entries))
	}
}

func TestConfig(t *testing.T) {
	for name, cfg := range map[string]Config{
		"no identity": {},
		"label":       {Identity: seeded(t, 1), Label: "Upper"},
		"long label":  {Identity: seeded(t, 1), Label: "abcdefghijklmnopqrstuvwxyz01234"},
		"negative":    {Identity: seeded(t, 1), MaxCalls: -1},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	e, err := New(Config{Identity: seeded(t, 1)})
	if err != nil || e.cfg.MaxSessions != 10_000 || e.cfg.MaxCalls != 4096 || e.cfg.MaxRequests != 4096 || e.cfg.HandshakeRate != 250 || e.cfg.Label != "node1" {
		t.Errorf("defaults %+v, %v", e.cfg, err)
	}
	for i, c := range e.Counters() {
		if c.Name == "" || c.Value != 0 {
			t.Errorf("counter %d: %+v", i, c)
		}
	}
}

func TestCookiesAge(t *testing.T) {
	drawn := byte(0)
	jar := cookieJar{random: func(b []byte) { drawn++; b[0] = drawn }}
	init := appendInit(nil, 1, make([]byte, initMessage))
	addr := netip.MustParseAddrPort("192.0.2.1:1")
	for _, test := range []struct {
		after time.Duration
		want  bool
	}{{0, true}, {cookieLife, true}, {2*cookieLife - 1, true}, {2 * cookieLife, false}, {time.Hour, false}} {
		jar.since = time.Time{}
		seal2(init, jar.make(epoch, addr))
		if got := jar.check(epoch.Add(test.after), addr, init, mac(init[mac2At:])); got != test.want {
			t.Errorf("after %v: %v", test.after, got)
		}
	}
	if jar.check(epoch, addr, init, mac{}) {
		t.Error("no MAC counts")
	}
}

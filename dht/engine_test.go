package dht

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/staex-mcc/mcc/identity"
)

// rig is an engine whose network is the test.
type rig struct {
	*Engine
	t   *testing.T
	now time.Time
}

func newRig(t *testing.T) *rig {
	cfg := EngineConfig{Self: ownID, Rand: rand.New(rand.NewPCG(1, 1))}
	return &rig{Engine: NewEngine(cfg, testTime), t: t, now: testTime}
}

func (r *rig) step(ev Event) *Actions { return r.Step(r.now, ev) }

// pass lets time go by in the steps that the engine wants, and returns what it
// sends meanwhile, unanswered.
func (r *rig) pass(d time.Duration) (sends []Send) {
	for end := r.now.Add(d); ; {
		next := r.NextDeadline()
		if next.After(end) {
			r.now = end
			return sends
		}
		r.now = next
		sends = append(sends, r.step(Tick{}).Sends...)
	}
}

// stranger is the n-th of many nodes.
func stranger(n int) *identity.Peer {
	return identity.OpenPeer(identity.ID{byte(n >> 8), byte(n), 1}, "")
}

func addrOf(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), 9376)
}

// ping is a query from the n-th stranger.
func (r *rig) ping(n int, early bool) *Actions {
	return r.step(Received{Call: 1, Peer: stranger(n), From: addrOf(n), Query: &Query{Kind: KindPing}, Early: early, MaxAnswer: 100})
}

// answer answers a send as the peer would.
func (r *rig) answer(s Send, peer *identity.Peer, a *Answer) *Actions {
	a.Kind = s.Query.Kind
	return r.step(Answered{Send: s.ID, From: Contact{ID: peer.ID, Addr: s.To.Addr}, Peer: peer, RTT: time.Millisecond, Answer: a})
}

// seat gives n strangers a seat each.
func (r *rig) seat(n int) {
	for i := range n {
		r.table.heard(newNode(Contact{ID: stranger(i).ID, Addr: addrOf(i)}), r.now)
	}
}

func TestCheckBeforeSeat(t *testing.T) {
	r := newRig(t)
	if early := r.ping(1, true); len(early.Sends) != 0 {
		t.Fatalf("an early query, whose sender is unproven, made %d sends", len(early.Sends))
	}
	act := r.ping(1, false)
	if len(act.Sends) != 1 || act.Sends[0].Query.Kind != KindPing || act.Sends[0].To.Addr != addrOf(1) {
		t.Fatalf("a stranger's query made %d sends, want a ping to it", len(act.Sends))
	}
	check := act.Sends[0]
	if r.table.size != 0 {
		t.Fatal("a stranger has a seat before it answered")
	}
	if again := r.ping(1, false); len(again.Sends) != 0 {
		t.Errorf("the same stranger is checked twice")
	}
	if act := r.answer(check, stranger(1), &Answer{}); len(act.Seated) != 1 || r.table.size != 1 {
		t.Errorf("no seat after the answer")
	}
	// It moved: only a check of the new address moves the seat.
	moved := r.step(Received{Call: 1, Peer: stranger(1), From: addrOf(9), Query: &Query{Kind: KindPing}, MaxAnswer: 100})
	if len(moved.Sends) != 1 || r.table.get(KeyOf(stranger(1).ID)).Addr != addrOf(1) {
		t.Fatalf("a new address is believed unchecked")
	}
	r.answer(moved.Sends[0], stranger(1), &Answer{})
	if got := r.table.get(KeyOf(stranger(1).ID)).Addr; got != addrOf(9) {
		t.Errorf("after the check it is at %v", got)
	}
}

func TestCheckRefusals(t *testing.T) {
	for what, end := range map[string]func(r *rig, s Send){
		"silence":             func(r *rig, s Send) { r.step(Failed{Send: s.ID}) },
		"another node":        func(r *rig, s Send) { r.answer(s, stranger(2), &Answer{}) },
		"no route permission": func(r *rig, s Send) { r.answer(s, &identity.Peer{ID: stranger(1).ID}, &Answer{}) },
		"nothing verified": func(r *rig, s Send) {
			r.step(Answered{Send: s.ID, From: s.To, Answer: &Answer{Kind: KindPing}})
		},
		"an answer to something else": func(r *rig, s Send) {
			r.step(Answered{Send: s.ID, From: s.To, Peer: stranger(1), Answer: &Answer{Kind: KindFind}})
		},
	} {
		r := newRig(t)
		end(r, r.ping(1, false).Sends[0])
		if r.table.size != 0 || r.checks.running != 0 {
			t.Errorf("%s: %d seats, %d checks running", what, r.table.size, r.checks.running)
		}
	}
}

// TestCheckRate: however many strangers ask, checks have a rate.
func TestCheckRate(t *testing.T) {
	r := newRig(t)
	sent := 0
	const perSecond, seconds = 200, 20
	for i := range perSecond * seconds {
		r.now = r.now.Add(time.Second / perSecond)
		for _, s := range r.ping(i, false).Sends {
			sent++
			sent += len(r.step(Failed{Send: s.ID}).Sends) // more may go at once
		}
	}
	most := checkBurst + seconds*int(time.Second/checkInterval) + 1
	if sent > most || r.stats.ChecksDropped == 0 || len(r.checks.queue) > maxChecks {
		t.Errorf("%d checks, at most %d; %d dropped, %d wait", sent, most, r.stats.ChecksDropped, len(r.checks.queue))
	}
}

// TestAnswersFit asks for everything in every size of room.
func TestAnswersFit(t *testing.T) {
	r := newRig(t)
	r.seat(60)
	record := unsigned(identity.ID{1}, "n", 1, strings.Repeat("v", 500))
	record.Sig = make([]byte, sigSize)
	key := record.Key
	r.items.insert(kept(record))
	for i := range 40 {
		l := bareLease(byte(i), key, 1, LeaseLife)
		l.Body, l.Sig = []byte(strings.Repeat("b", 10*i)), make([]byte, sigSize)
		r.leases.put(l, addrOf(i), r.now)
	}
	for wants := WantContacts; wants <= allWants; wants++ {
		for room := range 1500 {
			act := r.step(Received{
				Call: 1, Peer: stranger(1), From: addrOf(1), MaxAnswer: room,
				Query: &Query{Kind: KindFind, Target: key, Wants: wants},
			})
			a := act.Responses[0].Answer
			if a == nil {
				if room >= minAnswer {
					t.Fatalf("no answer in %d bytes", room)
				}
				continue
			}
			if size := len(appendAnswer(nil, a)); size > room {
				t.Fatalf("wants %d: %d bytes in a room of %d", wants, size, room)
			}
			if len(a.Leases) < 40 && wants&WantLeases != 0 && a.Flags&FlagMoreLeases == 0 {
				t.Fatalf("wants %d, room %d: flags %d with %d leases", wants, room, a.Flags, len(a.Leases))
			}
			if room > 500 && wants&WantContacts != 0 && len(a.Contacts) < minContacts {
				t.Fatalf("wants %d, room %d: %d contacts", wants, room, len(a.Contacts))
			}
			for _, c := range a.Contacts {
				if c.ID == stranger(1).ID {
					t.Fatal("the asking node is told about itself")
				}
			}
		}
	}
}

// start begins a task and answers find queries with nothing until there are
// other sends, or a result.
func (r *rig) start(task Task) (sends []Send, results []Result) {
	act := r.step(Asked{Op: 1, Task: task})
	for _, w := range act.Writes {
		act = r.step(Stored{Write: w.ID})
	}
	queue := append([]Send(nil), act.Sends...)
	results = append(results, act.Results...)
	for len(queue) > 0 {
		s := queue[0]
		queue = queue[1:]
		if s.Query.Kind != KindFind {
			sends = append(sends, s)
			continue
		}
		act := r.answer(s, identity.OpenPeer(s.To.ID, ""), &Answer{})
		queue = append(queue, act.Sends...)
		results = append(results, act.Results...)
	}
	return sends, results
}

// TestOutdatedNeedsProof: only a newer record that is shown makes a put fail.
func TestOutdatedNeedsProof(t *testing.T) {
	mine := unsigned(ownID, "n", 5, "mine")
	other := unsigned(identity.ID{1}, "n", 9, "other's")
	for _, tt := range []struct {
		what   string
		answer *Answer
		want   error
		seq    uint64 // in force here afterwards
	}{
		{"a claim", &Answer{Status: StatusOutdated}, nil, 5},
		{"an older one", &Answer{Status: StatusOutdated, Item: unsigned(ownID, "n", 4, "old")}, nil, 5},
		{"another record", &Answer{Status: StatusOutdated, Item: other}, nil, 5},
		{"a newer one", &Answer{Status: StatusOutdated, Item: unsigned(ownID, "n", 6, "new")}, ErrOutdated, 6},
	} {
		r := newRig(t)
		r.seat(2)
		sends, _ := r.start(Task{Kind: TaskPut, Item: mine})
		if len(sends) != 2 {
			t.Fatalf("%d puts, want 2", len(sends))
		}
		r.answer(sends[0], identity.OpenPeer(sends[0].To.ID, ""), &Answer{Status: StatusStored})
		act := r.answer(sends[1], identity.OpenPeer(sends[1].To.ID, ""), tt.answer)
		if len(act.Results) != 1 || !errors.Is(act.Results[0].Err, tt.want) || act.Results[0].Acks != 1 {
			t.Errorf("%s: got %+v, want error %v", tt.what, act.Results, tt.want)
		}
		for _, w := range act.Writes {
			r.step(Stored{Write: w.ID})
		}
		if got := r.items.get(mine.Key, r.now); got == nil || got.Seq != tt.seq {
			t.Errorf("%s: in force here is %v, want sequence %d", tt.what, got, tt.seq)
		}
	}
}

// TestSilentHolders: a put that gets no answer costs nobody the seat, and ends.
func TestSilentHolders(t *testing.T) {
	r := newRig(t)
	r.seat(3)
	sends, results := r.start(Task{Kind: TaskPutLease, Lease: &Lease{Provider: ownID, Seq: 1, Expires: r.now.Add(time.Minute)}})
	if len(sends) != 3 || len(results) != 0 {
		t.Fatalf("%d puts and %d results", len(sends), len(results))
	}
	r.step(Failed{Send: sends[0].ID})
	var ended []Result
	for end := r.now.Add(2 * patience); r.now.Before(end) && len(ended) == 0; {
		r.now = r.NextDeadline()
		ended = append(ended, r.step(Tick{}).Results...)
	}
	if len(ended) != 1 || ended[0].Err != nil || ended[0].Acks != 0 {
		t.Errorf("a put that nobody answers ends with %+v", ended)
	}
	if got := len(r.table.closest(r.key, 9, false)); got != 3 {
		t.Errorf("%d contacts are left, want 3", got)
	}
}

func TestDiskFails(t *testing.T) {
	r := newRig(t)
	broken := errors.New("disk full")
	act := r.step(Asked{Op: 1, Task: Task{Kind: TaskPut, Item: unsigned(ownID, "n", 1, "")}})
	act = r.step(Stored{Write: act.Writes[0].ID, Err: broken})
	if len(act.Results) != 1 || !errors.Is(act.Results[0].Err, broken) {
		t.Errorf("own put: %+v", act.Results)
	}
	act = r.step(Received{
		Call: 7, Peer: stranger(1), From: addrOf(1), MaxAnswer: 100,
		Query: &Query{Kind: KindPut, Item: unsigned(identity.ID{1}, "n", 1, "")},
	})
	if len(act.Responses) != 0 || len(act.Writes) != 1 {
		t.Fatalf("a put is answered before it is on disk")
	}
	act = r.step(Stored{Write: act.Writes[0].ID, Err: broken})
	if len(act.Responses) != 1 || act.Responses[0].Call != 7 || act.Responses[0].Err == nil {
		t.Errorf("a peer's put: %+v", act.Responses)
	}
	if r.Stats().Records != 0 {
		t.Error("what is not on disk is held")
	}
}

func TestTooManyTasks(t *testing.T) {
	r := newRig(t)
	r.seat(1)
	for i := range uint64(maxOps + 1) {
		act := r.step(Asked{Op: i + 1, Task: Task{Kind: TaskFindNearest, Key: Key{byte(i), byte(i >> 8)}}})
		if refused := len(act.Results) == 1 && errors.Is(act.Results[0].Err, ErrBusy); refused != (i == maxOps) {
			t.Fatalf("task %d: refused %v", i, refused)
		}
	}
	r.step(Cancelled{Op: 5})
	if act := r.step(Asked{Op: 5000, Task: Task{Kind: TaskContacts}}); len(act.Results) != 1 || act.Results[0].Err != nil {
		t.Errorf("after a task was cancelled: %+v", act.Results)
	}
}

// TestIdleCost bounds what an idle node with a full table sends.
func TestIdleCost(t *testing.T) {
	r := newRig(t)
	r.seat(200)
	sent, lookups := 0, 0
	for end := r.now.Add(time.Hour); r.now.Before(end); {
		r.now = r.NextDeadline()
		queue := append([]Send(nil), r.step(Tick{}).Sends...)
		for len(queue) > 0 {
			s := queue[0]
			sent++
			if s.Query.Kind == KindFind {
				lookups++
			}
			queue = append(queue[1:], r.answer(s, identity.OpenPeer(s.To.ID, ""), &Answer{}).Sends...)
		}
	}
	if perSecond := float64(sent) / 3600; perSecond > 1.5 || lookups == 0 || sent == lookups {
		t.Errorf("%.2f messages a second, %d of %d for refreshing", perSecond, lookups, sent)
	}
}

// TestHandover: a newcomer that is among the nearest gets a record from this
// node only if it is one of the nearest itself.
func TestHandover(t *testing.T) {
	given, among := 0, 0
	for i := range 200 {
		r := newRig(t)
		r.seat(60)
		r.handover.settled = true
		record := unsigned(identity.ID{1}, fmt.Sprint(i), 1, "")
		r.items.insert(kept(record))
		newcomer := newNode(Contact{ID: stranger(1000 + i).ID, Addr: addrOf(1000)})
		nearer, nearest := 0, 0
		for _, n := range r.table.closest(record.Key, 60, false) {
			if compareDistance(record.Key, n.key, r.key) < 0 {
				nearer++
			}
			if compareDistance(record.Key, n.key, newcomer.key) < 0 {
				nearest++
			}
		}
		change := r.table.heard(newcomer, r.now)
		r.actions.reset()
		r.changed(change)
		want := change.seated != nil && nearest < bucketSize && nearer < handoverWidth
		got := len(r.actions.Sends) == 1 && r.actions.Sends[0].Query.Kind == KindPut
		if got != want {
			t.Fatalf("record %d: handed over %v, want %v", i, got, want)
		}
		if got {
			given++
		}
		if nearest < bucketSize {
			among++
		}
	}
	if given == 0 || given == among {
		t.Errorf("handed over %d times, of %d: the test tests nothing", given, among)
	}
}

// TestProbes: each look pings different neglected contacts, and who fails to
// answer is tried again until it loses the seat.
func TestProbes(t *testing.T) {
	r := newRig(t)
	r.seat(4)
	r.now = r.now.Add(2 * probeIdle)
	seen := map[identity.ID]bool{}
	for len(seen) < 4 {
		r.now = r.NextDeadline()
		for _, s := range append([]Send(nil), r.step(Tick{}).Sends...) {
			if s.Query.Kind != KindPing {
				continue
			}
			if seen[s.To.ID] && s.To.ID != stranger(0).ID {
				t.Fatalf("%s is probed again at once", s.To.ID)
			}
			seen[s.To.ID] = true
			if s.To.ID != stranger(0).ID {
				r.answer(s, identity.OpenPeer(s.To.ID, ""), &Answer{})
			} else {
				r.step(Failed{Send: s.ID})
			}
		}
	}
	for end := r.now.Add(time.Hour); r.now.Before(end) && r.table.size == 4; {
		r.now = r.NextDeadline()
		for _, s := range append([]Send(nil), r.step(Tick{}).Sends...) {
			if s.To.ID == stranger(0).ID {
				r.step(Failed{Send: s.ID})
			} else {
				r.answer(s, identity.OpenPeer(s.To.ID, ""), &Answer{})
			}
		}
	}
	if r.table.size != 3 || r.table.get(KeyOf(stranger(0).ID)) != nil {
		t.Errorf("%d seats after an hour, want 3 without the dead one", r.table.size)
	}
}

package dht

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/staex-mcc/mcc/identity"
)

var largeValue = strings.Repeat("v", 5000)

// brought is a peer's put of an item.
func (r *rig) brought(by int, it *Item, room int) *Actions {
	return r.step(Received{
		Call: 1, Peer: stranger(by), From: addrOf(by), MaxAnswer: room,
		Query: &Query{Kind: KindPut, Item: it},
	})
}

// hold has a peer's item stored.
func (r *rig) hold(by int, it *Item) {
	r.t.Helper()
	for _, w := range r.brought(by, it, MaxMessage).Writes {
		r.step(Stored{Write: w.ID})
	}
	if r.items.get(it.Key, r.now) == nil {
		r.t.Fatalf("%s is not held", it.Key)
	}
}

// TestOffer: a head alone gets what the holder makes of it, and the memory keeps
// no large value.
func TestOffer(t *testing.T) {
	a := identity.ID{1}
	one, two := unsigned(a, "n", 1, largeValue), unsigned(a, "n", 2, largeValue)
	longer := two.with(two.Value)
	longer.Expires = longer.Expires.Add(time.Hour)
	expired := unsigned(a, "n", 9, largeValue)
	expired.Expires = testTime.Add(-time.Hour)
	r := newRig(t)
	for _, tt := range []struct {
		what   string
		item   *Item
		want   Status
		writes bool
		value  bool // whether what is written has its value
	}{
		{"unknown", two.with(nil), StatusWanted, false, false},
		{"whole", two, StatusStored, true, true},
		{"known", two.with(nil), StatusStored, false, false},
		{"older", one.with(nil), StatusOutdated, false, false},
		{"older and whole", one, StatusOutdated, false, false},
		{"expired", expired.with(nil), StatusExpired, false, false},
		{"prolonged", longer.with(nil), StatusStored, true, false},
		{"shorter", two.with(nil), StatusStored, false, false},
		{"newer", unsigned(a, "n", 3, largeValue).with(nil), StatusWanted, false, false},
	} {
		act := r.brought(1, tt.item, MaxCall)
		if len(act.Writes) > 0 != tt.writes {
			t.Fatalf("%s: %d writes", tt.what, len(act.Writes))
		}
		if tt.writes {
			w := act.Writes[0]
			if w.Kept.Item.Whole() != tt.value {
				t.Errorf("%s: a write with value %v", tt.what, w.Kept.Item.Whole())
			}
			act = r.step(Stored{Write: w.ID})
		}
		got := act.Responses[0].Answer
		if got.Status != tt.want || (got.Item != nil) != (tt.want == StatusOutdated) {
			t.Errorf("%s: got status %d with %v", tt.what, got.Status, got.Item)
		}
		if h := r.items.byKey[two.Key]; h != nil && len(h.Item.Value) > 0 {
			t.Errorf("%s: the value is in memory", tt.what)
		}
	}
	if h := r.items.byKey[two.Key]; !h.Item.Expires.Equal(longer.Expires) || r.items.inWrite != 0 {
		t.Errorf("in the end: %+v, %d bytes pending", h.Item, r.items.inWrite)
	}
}

// TestPutStreams: only who wants the whole of a large item gets it over a
// stream, with a put as with a newcomer.
func TestPutStreams(t *testing.T) {
	r := newRig(t)
	r.seat(3)
	mine := unsigned(ownID, "n", 1, largeValue)
	sends, _ := r.start(Task{Kind: TaskPut, Item: mine, Own: true})
	for i, s := range sends {
		if s.Stream || s.Query.Item.Value != nil {
			t.Fatalf("put %d: the first message has the value", i)
		}
	}
	peer := func(s Send) *identity.Peer { return identity.OpenPeer(s.To.ID, "") }
	r.answer(sends[0], peer(sends[0]), &Answer{Status: StatusStored})
	wanted := r.answer(sends[1], peer(sends[1]), &Answer{Status: StatusWanted})
	if len(wanted.Sends) != 1 || !wanted.Sends[0].Stream || wanted.Sends[0].To != sends[1].To {
		t.Fatalf("wanted: got %+v", wanted.Sends)
	}
	stream := wanted.Sends[0]
	if act := r.answer(sends[2], peer(sends[2]), &Answer{Status: StatusFull}); len(act.Results) != 0 {
		t.Fatal("the put ends before the stream")
	}
	// Who wants it twice gets it once.
	act := r.answer(stream, peer(stream), &Answer{Status: StatusWanted})
	if len(act.Sends) != 0 || len(act.Results) != 1 || act.Results[0].Acks != 1 {
		t.Errorf("in the end: %d sends, %+v", len(act.Sends), act.Results)
	}

	r.handover.settled = true
	newcomer := newNode(Contact{ID: stranger(9).ID, Addr: addrOf(9)})
	r.actions.reset()
	r.changed(r.table.heard(newcomer, r.now))
	offers := slices.Clone(r.actions.Sends)
	if len(offers) != 1 || offers[0].Stream {
		t.Fatalf("a newcomer is offered %+v", offers)
	}
	act = r.answer(offers[0], stranger(9), &Answer{Status: StatusWanted})
	if len(act.Sends) != 1 || !act.Sends[0].Stream || r.handover.running != 1 {
		t.Fatalf("a newcomer that wants it: %+v", act.Sends)
	}
	if r.answer(act.Sends[0], stranger(9), &Answer{}); r.handover.running != 0 {
		t.Errorf("%d hand-overs are left", r.handover.running)
	}
}

// fetchRig is an engine in the middle of a read: its lookup has found what the
// nearest nodes say they have.
func fetchRig(t *testing.T, task Task, seen ...*Item) (*rig, *Actions) {
	r := newRig(t)
	r.seat(len(seen))
	act := r.step(Asked{Op: 1, Task: task})
	for queue := slices.Clone(act.Sends); len(queue) > 0; queue = queue[1:] {
		if queue[0].Query.Kind != KindFind {
			break
		}
		var at int
		for i := range seen {
			if stranger(i).ID == queue[0].To.ID {
				at = i
			}
		}
		act = r.answer(queue[0], identity.OpenPeer(queue[0].To.ID, ""), &Answer{Item: seen[at]})
		queue = append(queue, act.Sends...)
	}
	return r, act
}

// TestFetchOrder: holders of the newest version are asked one after the other,
// the next one already when one is slow, then those of the next older one.
func TestFetchOrder(t *testing.T) {
	a := identity.ID{1}
	old, newest := unsigned(a, "n", 1, largeValue), unsigned(a, "n", 2, largeValue)
	r, act := fetchRig(t, Task{Kind: TaskGet, Key: old.Key}, newest.with(nil), old.with(nil), newest.with(nil))
	peer := func(s Send) *identity.Peer { return identity.OpenPeer(s.To.ID, "") }
	newer := func(s Send) bool { return s.To.ID == stranger(0).ID || s.To.ID == stranger(2).ID }
	first := slices.Clone(act.Sends)
	if len(first) != 1 || first[0].Query.Kind != KindGet || !first[0].Stream || !newer(first[0]) {
		t.Fatalf("asked first: %+v", first)
	}
	second := r.pass(streamSoft)
	if len(second) != 1 || !newer(second[0]) || second[0].To == first[0].To {
		t.Fatalf("asked when the first is slow: %+v", second)
	}
	if act = r.answer(second[0], peer(second[0]), &Answer{Item: old}); len(act.Sends)+len(act.Results) != 0 {
		t.Fatalf("an older version than announced: %+v", act)
	}
	third := slices.Clone(r.step(Failed{Send: first[0].ID}).Sends)
	if len(third) != 1 || third[0].To.ID != stranger(1).ID {
		t.Fatalf("asked when all holders of the newest failed: %+v", third)
	}
	act = r.answer(third[0], peer(third[0]), &Answer{Item: old})
	if len(act.Results) != 1 || act.Results[0].Item != old {
		t.Errorf("got %+v, want what is left", act.Results)
	}
}

// TestFetchFalseSize: a head of an immutable value bears no signature, so a
// false one costs a try and nothing else.
func TestFetchFalseSize(t *testing.T) {
	value := ValueItem([]byte(largeValue), testTime.Add(time.Hour))
	short, long := value.with(nil), value.with(nil)
	short.Size, long.Size = 1, MaxValue
	long.Expires = testTime.Add(2 * time.Hour)
	r, act := fetchRig(t, Task{Kind: TaskGet, Key: value.Key, Immutable: true}, short, value.with(nil), long)
	for range 3 {
		if len(act.Results) > 0 {
			break
		}
		s := act.Sends[0]
		if s.To.ID == stranger(1).ID {
			act = r.answer(s, stranger(1), &Answer{Item: value})
		} else {
			act = r.step(Failed{Send: s.ID})
		}
	}
	if len(act.Results) != 1 || act.Results[0].Item != value {
		t.Errorf("got %+v", act.Results)
	}
	// A record's head at a value's key is none.
	_, act = fetchRig(t, Task{Kind: TaskGet, Key: value.Key}, value.with(nil))
	if len(act.Results) != 1 || !errors.Is(act.Results[0].Err, ErrNotFound) {
		t.Errorf("a value where a record was asked for: %+v", act.Results)
	}
}

// TestLost: what the store no longer has is forgotten, unless there is another
// version by now.
func TestLost(t *testing.T) {
	a := identity.ID{1}
	one, two := unsigned(a, "n", 1, largeValue), unsigned(a, "n", 2, largeValue+"w")
	r := newRig(t)
	r.hold(1, one)
	r.hold(1, two)
	if act := r.step(Lost{Item: one.with(nil)}); len(act.Writes) != 0 || r.items.get(one.Key, r.now) == nil {
		t.Error("the loss of an older version made the newer one go")
	}
	act := r.step(Lost{Item: two.with(nil)})
	if len(act.Writes) != 1 || act.Writes[0].Kept != nil || r.items.get(one.Key, r.now) != nil {
		t.Errorf("the lost one is still there: %+v", act.Writes)
	}
	if s := r.Stats(); s.RecordsLost != 1 || s.Records != 0 || s.ValueBytes != 0 || len(r.items.payers) != 0 {
		t.Errorf("stats: %+v, payers %v", s, r.items.payers)
	}
	if r.step(Lost{Item: two}); r.Stats().RecordsLost != 1 {
		t.Error("it is lost twice")
	}
}

// TestDropOrder: the disk has the last word about what came before a drop and
// what came after.
func TestDropOrder(t *testing.T) {
	own := func(seq uint64) *Item { return unsigned(ownID, "n", seq, "x") }
	key := own(1).Key
	write := func(r *rig, task Task, op uint64) uint64 { return r.step(Asked{Op: op, Task: task}).Writes[0].ID }
	put := func(r *rig, op, seq uint64) uint64 {
		return write(r, Task{Kind: TaskPut, Item: own(seq), Own: true}, op)
	}
	drop := Task{Kind: TaskDrop, Key: key}

	r := newRig(t)
	r.step(Stored{Write: put(r, 1, 1)})
	before := put(r, 2, 2)
	dropping := write(r, drop, 3)
	after := put(r, 4, 3)
	r.step(Stored{Write: before})
	if act := r.step(Stored{Write: dropping}); len(act.Results) != 1 || act.Results[0].Err != nil {
		t.Fatalf("drop: %+v", act.Results)
	}
	if r.items.byKey[key] != nil {
		t.Error("what was put before the drop is held")
	}
	if r.step(Stored{Write: after}); r.items.get(key, r.now) == nil {
		t.Error("what was put after the drop is not held")
	}

	broken := errors.New("disk full")
	act := r.step(Stored{Write: write(r, drop, 5), Err: broken})
	if len(act.Results) != 1 || !errors.Is(act.Results[0].Err, broken) || r.items.get(key, r.now) == nil {
		t.Errorf("a drop that failed: %+v", act.Results)
	}
}

// TestGetRoom: a value is handed out whole or not at all, and what an answer to
// another query has no room for shrinks to its head.
func TestGetRoom(t *testing.T) {
	r := newRig(t)
	it := unsigned(identity.ID{1}, "n", 1, largeValue)
	it.Sig = make([]byte, sigSize)
	r.hold(1, it)
	need := headerSize + headSize(it) + it.Size
	for room, want := range map[int]bool{MaxCall: false, need - 1: false, need: true, MaxMessage: true} {
		act := r.step(Received{
			Call: 1, Peer: stranger(1), From: addrOf(1), MaxAnswer: room,
			Query: &Query{Kind: KindGet, Target: it.Key},
		})
		if got := act.Responses[0].Answer.Item != nil; got != want {
			t.Errorf("in a room of %d: an item %v, want %v", room, got, want)
		}
	}
	for room := range 300 {
		if got := fitting(it, room); (got != nil) != (room >= headSize(it)) || got != nil && got.Whole() {
			t.Fatalf("in a room of %d: %v", room, got)
		}
	}
}

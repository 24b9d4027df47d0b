package dht

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/staex-mcc/mcc/identity"
)

// arrive gives newcomers a seat and returns the records they are offered.
func (r *rig) arrive(numbers ...int) (offers []Send) {
	r.handover.settled = true
	r.actions.reset()
	for _, n := range numbers {
		r.changed(r.table.heard(newNode(Contact{ID: stranger(n).ID, Addr: addrOf(n)}), r.now))
	}
	return puts(r.actions.Sends)
}

func recordsRig(t *testing.T, count int) *rig {
	r := newRig(t)
	for i := range count {
		r.items.insert(kept(unsigned(identity.ID{1}, fmt.Sprint(i), 1, "")))
	}
	return r
}

// puts are those of sends that carry records.
func puts(sends []Send) []Send {
	return slices.DeleteFunc(slices.Clone(sends), func(s Send) bool { return s.Query.Kind != KindPut })
}

// TestHandoverInTurn: newcomers share the places, two each at most.
func TestHandoverInTurn(t *testing.T) {
	r := recordsRig(t, 100)
	under := map[identity.ID]int{}
	for _, s := range r.arrive(1, 2, 3) {
		under[s.To.ID]++
	}
	if len(under) != 3 || r.handover.running != 3*handoversEach {
		t.Fatalf("three newcomers are offered %v", under)
	}
	for id, n := range under {
		if n != handoversEach {
			t.Errorf("%s is offered %d at once", id, n)
		}
	}
	queue := r.arrive(4, 5, 6)
	if r.handover.running != handoversAtOnce {
		t.Errorf("%d under way for six, want %d", r.handover.running, handoversAtOnce)
	}
	// The first ones answer quickest, and have to wait for the others.
	for range 20 {
		for _, s := range queue {
			under[s.To.ID]++
		}
		slices.SortStableFunc(queue, func(a, b Send) int { return a.To.ID.Compare(b.To.ID) })
		next := puts(r.answer(queue[0], identity.OpenPeer(queue[0].To.ID, ""), &Answer{}).Sends)
		queue = append(append(queue[1:], next...), puts(r.pass(handoverPause))...)
	}
	if len(under) != 6 {
		t.Errorf("%d of six are served", len(under))
	}
}

// TestMuteNewcomers: those that do not answer are given up after three failures
// and hold up nobody who does.
func TestMuteNewcomers(t *testing.T) {
	r := recordsRig(t, 200)
	const mute, good = 10, 20
	queue := r.arrive(mute, mute+1, mute+2, mute+3, good)
	owed := 0
	for _, h := range r.items.sorted {
		if r.owes(h, newNode(Contact{ID: stranger(good).ID})) {
			owed++
		}
	}
	given, tried := 0, map[identity.ID]int{}
	for step := 0; step < 5000 && (len(queue) > 0 || len(r.handover.queue) > 0); step++ {
		if len(queue) == 0 {
			queue = puts(r.pass(handoverPause))
			continue
		}
		s := queue[0]
		queue = queue[1:]
		var act *Actions
		if s.To.ID == stranger(good).ID {
			given++
			act = r.answer(s, stranger(good), &Answer{})
		} else {
			tried[s.To.ID]++
			act = r.step(Failed{Send: s.ID})
		}
		queue = append(queue, puts(act.Sends)...)
	}
	if given != owed || owed < 100 {
		t.Errorf("the one that answers got %d records, want %d", given, owed)
	}
	for id, n := range tried {
		if n > handoverFailures+handoversEach-1 {
			t.Errorf("%s was offered %d", id, n)
		}
	}
	if r.handover.running != 0 || len(r.handover.queue) != 0 || r.stats.HandoversDropped != 4 {
		t.Errorf("%d under way, %d wait, %d given up", r.handover.running, len(r.handover.queue), r.stats.HandoversDropped)
	}
}

// TestHandoverForgives: failures count only in a row, and not if the cause lay
// here; and no newcomer is served for ever.
func TestHandoverForgives(t *testing.T) {
	r := recordsRig(t, 1000)
	queue := r.arrive(1)
	for i := range 50 {
		s := queue[0]
		switch i % 4 {
		case 0:
			queue = append(queue[1:], puts(r.step(Failed{Send: s.ID}).Sends)...)
		case 1, 2:
			queue = append(queue[1:], puts(r.step(Failed{Send: s.ID, Here: true}).Sends)...)
		default:
			queue = append(queue[1:], puts(r.answer(s, stranger(1), &Answer{}).Sends)...)
		}
		queue = append(queue, puts(r.pass(handoverPause))...)
	}
	if len(r.handover.queue) != 1 || r.stats.HandoversDropped != 0 {
		t.Fatalf("given up: %+v", r.stats)
	}
	// Seated again, it is served from the start, in one place of the queue.
	if r.handOver(r.handover.queue[0].node); len(r.handover.queue) != 1 || r.handover.queue[0].cursor != 0 {
		t.Errorf("seated again: %d wait", len(r.handover.queue))
	}
	r.now = r.now.Add(handoverTime + time.Second)
	if r.answer(queue[0], stranger(1), &Answer{}); len(r.handover.queue) != 0 || r.stats.HandoversDropped != 1 {
		t.Errorf("after %v it is still served", handoverTime)
	}
}

package dht

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/staex-mcc/mcc/identity"
)

// read runs a task whose queries are answered by their order: the i-th nearest
// of the seated nodes says what answers[i] holds, and nothing past the end.
func (r *rig) read(task Task, answers map[int]Answer) (result Result, asked int) {
	r.t.Helper()
	nearest := r.table.closest(task.Key, r.table.size, true)
	act := r.step(Asked{Op: 1, Task: task})
	queue := append([]Send(nil), act.Sends...)
	for len(act.Results) == 0 {
		if len(queue) == 0 {
			r.t.Fatal("nobody is asked, and there is no result")
		}
		s := queue[0]
		asked++
		var a Answer
		for i, n := range nearest {
			if n.ID == s.To.ID {
				a = answers[i]
			}
		}
		act = r.answer(s, identity.OpenPeer(s.To.ID, ""), &a)
		queue = append(queue[1:], act.Sends...)
	}
	return act.Results[0], asked
}

// TestReadWidth: what the nearest know is found at once; what only a farther
// holder knows is found too.
func TestReadWidth(t *testing.T) {
	record := unsigned(identity.ID{1}, "n", 1, "x")
	for holder, most := range map[int]int{0: readWidth + defaultAlpha, 12: bucketSize} {
		r := newRig(t)
		r.seat(40)
		res, asked := r.read(Task{Kind: TaskGet, Key: record.Key}, map[int]Answer{holder: {Item: record}})
		if res.Err != nil || res.Item == nil || asked > most {
			t.Errorf("held by the %d. nearest: got %v, %v, after %d queries, at most %d", holder, res.Item, res.Err, asked, most)
		}
	}
	r := newRig(t)
	r.seat(40)
	lease := bareLease(1, Key{5}, 1, LeaseLife)
	res, _ := r.read(Task{Kind: TaskFindLeases, Key: lease.Key}, map[int]Answer{6: {Leases: []FoundLease{{Lease: *lease, Addr: testAddr}}}})
	if len(res.Leases) != 1 {
		t.Errorf("a lease held by the 7th nearest: got %v", res.Leases)
	}
}

// TestDoubtfulContacts: who failed lately is asked only if nobody else answers.
func TestDoubtfulContacts(t *testing.T) {
	record := unsigned(identity.ID{1}, "n", 1, "x")
	for _, silent := range []bool{true, false} {
		r := newRig(t)
		r.seat(2)
		r.table.failed(KeyOf(stranger(0).ID), r.now)
		act := r.step(Asked{Op: 1, Task: Task{Kind: TaskGet, Key: record.Key}})
		if len(act.Sends) != 1 || act.Sends[0].To.ID != stranger(1).ID {
			t.Fatalf("asked first: %+v", act.Sends)
		}
		if !silent {
			if act = r.answer(act.Sends[0], stranger(1), &Answer{}); len(act.Sends) != 0 || len(act.Results) != 1 {
				t.Errorf("after an answer: %+v", act)
			}
			continue
		}
		act = r.step(Failed{Send: act.Sends[0].ID})
		if len(act.Sends) != 1 || act.Sends[0].To.ID != stranger(0).ID {
			t.Fatalf("asked when nobody answered: %+v", act.Sends)
		}
		if act = r.answer(act.Sends[0], stranger(0), &Answer{Item: record}); len(act.Results) != 1 || act.Results[0].Item != record {
			t.Errorf("in the end: %+v", act.Results)
		}
	}
}

// TestReadMerges: the newest version wins over what other holders still have,
// a withdrawal too, and the address is the one that most saw.
func TestReadMerges(t *testing.T) {
	key, other := Key{5}, addrOf(7)
	old, gone := bareLease(1, key, 1, LeaseLife), bareLease(1, key, 2, 0)
	stays := bareLease(2, key, 1, LeaseLife)
	was, moved := bareLease(4, key, 1, LeaseLife), bareLease(4, key, 2, LeaseLife)
	stale := bareLease(3, key, 1, -ClockTolerance-time.Second)
	r := newRig(t)
	r.seat(10)
	res, _ := r.read(Task{Kind: TaskFindLeases, Key: key}, map[int]Answer{
		0: {Leases: []FoundLease{{*old, testAddr}, {*stays, other}, {*moved, other}}},
		1: {Leases: []FoundLease{{*gone, testAddr}, {*stays, testAddr}, {*stale, testAddr}, {*was, testAddr}}},
		2: {Leases: []FoundLease{{*old, testAddr}, {*stays, testAddr}, {*was, testAddr}}},
	})
	want := []FoundLease{{*stays, testAddr}, {*moved, other}}
	if diff := cmp.Diff(want, res.Leases, sameValues); diff != "" {
		t.Errorf("merged leases (-want +got):\n%s", diff)
	}
	newer := unsigned(identity.ID{1}, "n", 2, "new")
	expired := unsigned(identity.ID{1}, "n", 3, "expired")
	expired.Expires = testTime.Add(-time.Hour)
	res, _ = r.read(Task{Kind: TaskGet, Key: newer.Key}, map[int]Answer{
		0: {Item: unsigned(identity.ID{1}, "n", 1, "old")},
		1: {Item: newer},
		2: {Item: expired},
	})
	if res.Item != newer {
		t.Errorf("got %v, want the newest living version", res.Item)
	}
}

// TestSlowHolder: a slow holder is replaced, and not waited for once enough
// others acknowledged.
func TestSlowHolder(t *testing.T) {
	r := newRig(t)
	r.seat(12)
	lease := &Lease{Provider: ownID, Seq: 1, Expires: r.now.Add(time.Minute)}
	sends, _ := r.start(Task{Kind: TaskPutLease, Lease: lease})
	if len(sends) != leaseHolders {
		t.Fatalf("%d puts, want %d", len(sends), leaseHolders)
	}
	for _, s := range sends[1:] {
		if act := r.answer(s, identity.OpenPeer(s.To.ID, ""), &Answer{}); len(act.Results) != 0 {
			t.Fatal("the put ends before the last answer")
		}
	}
	more := r.pass(softUnknown + time.Millisecond)
	if len(more) != 1 || more[0].Query.Kind != KindPutLease {
		t.Fatalf("%d sends instead of the slow holder's, want 1 put", len(more))
	}
	act := r.answer(more[0], identity.OpenPeer(more[0].To.ID, ""), &Answer{})
	if len(act.Results) != 1 || act.Results[0].Acks != leaseHolders {
		t.Errorf("got %+v, want a result with %d acknowledgements", act.Results, leaseHolders)
	}
}

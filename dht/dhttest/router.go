package dhttest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/staex-mcc/mcc/dht"
	"github.com/staex-mcc/mcc/identity"
)

func testJoin(t *testing.T, m *Mesh) {
	a, b, c := m.Start(), m.Start(), m.Start()
	b.MustJoin(dht.Contact{Addr: a.Addr}) // whoever is there
	c.MustJoin(b.Contact())
	settle()
	for _, n := range []*Node{a, b, c} {
		got := n.Contacts()
		want := []dht.Contact{a.Contact(), b.Contact(), c.Contact()}
		want = slices.DeleteFunc(want, func(c dht.Contact) bool { return c.ID == n.Peer.ID })
		own := dht.KeyOf(n.Peer.ID)
		slices.SortFunc(want, func(x, y dht.Contact) int {
			dx, dy := own.Distance(dht.KeyOf(x.ID)), own.Distance(dht.KeyOf(y.ID))
			return bytes.Compare(dx[:], dy[:])
		})
		if !slices.Equal(got, want) {
			t.Errorf("Contacts of %s: got %v, want %v", n.Addr, got, want)
		}
	}
	a.MustJoin(c.Contact()) // again, and the other way round
}

func testJoinNobody(t *testing.T, m *Mesh) {
	a, dead := m.Start(), m.Start()
	dead.SetCut(true)
	wantErr(t, "Join of nobody", a.Join(t.Context(), dead.Contact()), dht.ErrNoPeers)
	wantErr(t, "Join of itself", a.Join(t.Context(), a.Contact()), dht.ErrNoPeers)
	wantErr(t, "Join without seeds", a.Join(t.Context()), dht.ErrNoPeers)

	b := m.Start()
	start := time.Now()
	a.MustJoin(dead.Contact(), b.Contact()) // one is enough
	if took := time.Since(start); took >= Timeout {
		t.Errorf("Join took %v: it waited for the dead seed", took)
	}
	// An answer under another id is none.
	c := m.Start()
	wantErr(t, "Join of an impostor", c.Join(t.Context(), dht.Contact{ID: dead.Peer.ID, Addr: b.Addr}), dht.ErrNoPeers)
}

func testFindPeer(t *testing.T, m *Mesh) {
	nodes := m.StartJoined(5)
	settle()
	for _, from := range nodes {
		for _, to := range nodes {
			if from == to {
				continue
			}
			got, err := from.FindPeer(t.Context(), to.Peer.ID)
			if err != nil || got != to.Contact() {
				t.Errorf("FindPeer(%v): got %v, %v", to.Contact(), got, err)
			}
		}
	}
	_, err := nodes[0].FindPeer(t.Context(), identity.ID{1})
	wantErr(t, "FindPeer of nobody", err, dht.ErrNotFound)
}

func testNoSeat(t *testing.T, m *Mesh) {
	nodes := m.StartJoined(3)
	settle()
	guest := m.Start("call:*") // may not route
	guest.MustJoin(nodes[0].Contact())
	settle()
	for _, n := range nodes {
		if slices.Contains(n.Contacts(), guest.Contact()) {
			t.Errorf("a node without the permission to route has a seat at %s", n.Addr)
		}
	}
	if got := len(guest.Contacts()); got != len(nodes) {
		t.Errorf("the guest knows %d nodes, want %d", got, len(nodes))
	}
	r := nodes[1].SignRecord("a", 1, "x")
	if _, err := nodes[1].PutRecord(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if _, err := guest.GetRecord(t.Context(), r.Owner, r.Name); err != nil {
		t.Errorf("a guest cannot read: %v", err)
	}
}

func testLeave(t *testing.T, m *Mesh) {
	nodes := m.StartJoined(6)
	settle()
	gone := nodes[5]
	gone.Stop()
	time.Sleep(time.Hour)
	for _, n := range nodes[:5] {
		if slices.Contains(n.Contacts(), gone.Contact()) {
			t.Errorf("%s still hands out a node that left", n.Addr)
		}
		_, err := n.FindPeer(t.Context(), gone.Peer.ID)
		wantErr(t, "FindPeer of a node that left", err, dht.ErrNotFound)
	}
	// A node that lost its network for minutes comes back.
	nodes[4].SetCut(true)
	time.Sleep(3 * time.Minute)
	nodes[4].SetCut(false)
	time.Sleep(3 * time.Minute)
	if got, err := nodes[0].FindPeer(t.Context(), nodes[4].Peer.ID); err != nil || got != nodes[4].Contact() {
		t.Errorf("FindPeer of a node that came back: got %v, %v", got, err)
	}
}

func testDeadNeighbours(t *testing.T, m *Mesh) {
	nodes := m.StartJoined(20)
	key := dht.Key{1}
	settle()
	for _, n := range nodes[10:] {
		n.SetCut(true)
	}
	start := time.Now()
	if _, err := nodes[1].PutLease(t.Context(), nodes[1].SignLease(key, 1, "x", dht.LeaseLife)); err != nil {
		t.Fatal(err)
	}
	found, err := nodes[2].FindLeases(t.Context(), key)
	if err != nil || len(found) != 1 {
		t.Errorf("FindLeases: got %d, %v", len(found), err)
	}
	// Each of ten dead nodes waited for one after the other would be 10 s.
	if took := time.Since(start); took > 4*time.Second {
		t.Errorf("a put and a find among dead nodes took %v", took)
	}
}

func testRestartContacts(t *testing.T, m *Mesh) {
	nodes := m.StartJoined(4)
	settle()
	nodes[3].Restart()
	nodes[3].MustJoin() // it remembers whom to ask
	if got := len(nodes[3].Contacts()); got == 0 {
		t.Error("no contacts after a restart")
	}
}

func testCancel(t *testing.T, m *Mesh) {
	a, b := m.Start(), m.Start()
	b.SetCut(true)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(Timeout/2, cancel)
	start := time.Now()
	wantErr(t, "cancelled Join", a.Join(ctx, b.Contact()), context.Canceled)
	if took := time.Since(start); took != Timeout/2 {
		t.Errorf("Join came back after %v, want %v", took, Timeout/2)
	}
	_, err := a.FindLeases(ctx, dht.Key{})
	wantErr(t, "FindLeases under a dead context", err, context.Canceled)
}

func testClose(t *testing.T, m *Mesh) {
	a, b := m.Start(), m.Start()
	b.SetCut(true)
	joined := make(chan error, 1)
	go func() { joined <- a.Join(context.Background(), b.Contact()) }()
	synctest.Wait()
	for range 2 {
		if err := a.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	wantErr(t, "Join during Close", <-joined, dht.ErrClosed)
	ctx := t.Context()
	_, err := a.PutRecord(ctx, a.SignRecord("a", 1, "x"))
	wantErr(t, "PutRecord after Close", err, dht.ErrClosed)
	_, err = a.GetRecord(ctx, a.Peer.ID, "a")
	wantErr(t, "GetRecord after Close", err, dht.ErrClosed)
	_, err = a.OwnRecord(ctx, "a")
	wantErr(t, "OwnRecord after Close", err, dht.ErrClosed)
	wantErr(t, "DropRecord after Close", a.DropRecord(ctx, "a"), dht.ErrClosed)
	_, _, err = a.PutValue(ctx, make([]byte, dht.MaxValue))
	wantErr(t, "PutValue after Close", err, dht.ErrClosed)
	_, err = a.GetValue(ctx, dht.Key{})
	wantErr(t, "GetValue after Close", err, dht.ErrClosed)
	wantErr(t, "DropValue after Close", a.DropValue(ctx, dht.Key{}), dht.ErrClosed)
	_, err = a.PutLease(ctx, a.SignLease(dht.Key{}, 1, "x", time.Minute))
	wantErr(t, "PutLease after Close", err, dht.ErrClosed)
	_, err = a.FindLeases(ctx, dht.Key{})
	wantErr(t, "FindLeases after Close", err, dht.ErrClosed)
	_, err = a.FindPeer(ctx, b.Peer.ID)
	wantErr(t, "FindPeer after Close", err, dht.ErrClosed)
	if got := a.Contacts(); len(got) != 0 {
		t.Errorf("Contacts after Close: %v", got)
	}
	if err := a.Store.Put([]byte("x"), nil); err != nil {
		t.Errorf("Close closed the store too: %v", err)
	}
}

func testFifty(t *testing.T, m *Mesh) {
	nodes := m.StartJoined(50)
	settle()
	key := dht.Key{0xab}
	for i, n := range nodes {
		acks, err := n.PutRecord(t.Context(), n.SignRecord("who", 1, n.Addr.String()))
		if err != nil || acks < 15 {
			t.Errorf("PutRecord of %d: %d acks, %v", i, acks, err)
		}
		if i%10 == 0 {
			if acks, err := n.PutLease(t.Context(), n.SignLease(key, 1, "x", dht.LeaseLife)); err != nil || acks < 6 {
				t.Errorf("PutLease of %d: %d acks, %v", i, acks, err)
			}
		}
	}
	errs := make(chan error, len(nodes))
	for i, n := range nodes {
		go func() { errs <- n.meets(t.Context(), nodes[(i+17)%len(nodes)], key) }()
	}
	for range nodes {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// meets finds the other node, its record, and the leases.
func (n *Node) meets(ctx context.Context, other *Node, key dht.Key) error {
	contact, peerErr := n.FindPeer(ctx, other.Peer.ID)
	r, recordErr := n.GetRecord(ctx, other.Peer.ID, "who")
	leases, leaseErr := n.FindLeases(ctx, key)
	if err := errors.Join(peerErr, recordErr, leaseErr); err != nil {
		return err
	}
	if contact != other.Contact() || string(r.Value) != other.Addr.String() || len(leases) != 5 {
		return errors.New(n.Addr.String() + " finds something else than was put")
	}
	return nil
}

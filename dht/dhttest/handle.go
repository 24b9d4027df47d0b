package dhttest

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/staex-mcc/mcc/dht"
	"github.com/staex-mcc/mcc/identity"
)

// request is a packet as its receiver gets it, to be changed.
func (p Packet) request() dht.Request {
	req := dht.Request{Peer: p.From.Peer, From: p.From.Addr, Data: bytes.Clone(p.Data), MaxAnswer: MaxAnswer}
	if p.Stream {
		req.MaxAnswer = dht.MaxMessage
	}
	return req
}

// capture makes a node put a record and a lease, and returns the requests on
// the network while their receiver, which has never seen them, is alone.
func capture(t *testing.T, m *Mesh) (record, lease Packet, victim *Node) {
	t.Helper()
	nodes := m.StartJoined(2)
	settle()
	m.Puts()
	if _, err := nodes[0].PutRecord(t.Context(), nodes[0].SignRecord("a", 1, "x")); err != nil {
		t.Fatal(err)
	}
	records := m.Puts()
	if _, err := nodes[0].PutLease(t.Context(), nodes[0].SignLease(dht.Key{1}, 1, "x", dht.LeaseLife)); err != nil {
		t.Fatal(err)
	}
	leases := m.Puts()
	if len(records) == 0 || len(leases) == 0 {
		t.Fatalf("%d requests for a record and %d for a lease that are not idempotent", len(records), len(leases))
	}
	return records[0], leases[0], m.Start()
}

// holdsNothing fails if the victim of capture has what the requests bring.
func (n *Node) holdsNothing(t *testing.T, owner *Node) {
	t.Helper()
	_, err := n.GetRecord(t.Context(), owner.Peer.ID, "a")
	wantErr(t, "GetRecord at the victim", err, dht.ErrNotFound)
	if got := n.bodies(t, dht.Key{1}); len(got) != 0 {
		t.Errorf("the victim holds the leases %q", got)
	}
}

func testHandleGarbage(t *testing.T, m *Mesh) {
	record, lease, victim := capture(t, m)
	req := record.request()
	for n := range record.Data {
		req.Data = record.Data[:n]
		_, err := victim.Handle(t.Context(), req)
		wantErr(t, "a truncated request", err, dht.ErrMalformed)
	}
	req.Data = append(bytes.Clone(lease.Data), 0)
	_, err := victim.Handle(t.Context(), req)
	wantErr(t, "a request with a byte too many", err, dht.ErrMalformed)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		req.Data = make([]byte, rng.IntN(1200))
		for i := range req.Data {
			req.Data[i] = byte(rng.Uint32())
		}
		_, err := victim.Handle(t.Context(), req)
		wantErr(t, "random bytes", err, dht.ErrMalformed)
	}
	victim.holdsNothing(t, record.From)
}

func testHandleEarly(t *testing.T, m *Mesh) {
	record, lease, victim := capture(t, m)
	for _, p := range []Packet{record, lease} {
		req := p.request()
		req.Early = true
		_, err := victim.Handle(t.Context(), req)
		wantErr(t, "an early put", err, dht.ErrDenied)
	}
	victim.holdsNothing(t, record.From)
}

func testHandleForged(t *testing.T, m *Mesh) {
	record, lease, victim := capture(t, m)
	for _, p := range []Packet{record, lease} {
		for i := range p.Data {
			req := p.request()
			req.Data[i] ^= 1
			if _, err := victim.Handle(t.Context(), req); err == nil {
				victim.holdsTheTruth(t, p.From)
				victim = m.Start()
			}
		}
	}
	victim.holdsNothing(t, record.From)
	// Unchanged, both are taken.
	for _, p := range []Packet{record, lease} {
		if _, err := victim.Handle(t.Context(), p.request()); err != nil {
			t.Errorf("Handle: %v", err)
		}
	}
	victim.wantRecord(t, record.From, "a", "x")
	if got := victim.bodies(t, dht.Key{1}); len(got) != 1 {
		t.Errorf("leases after the true request: %q", got)
	}
}

// holdsTheTruth fails if a request that was changed where no signature covers it
// made a difference to what it brought.
func (n *Node) holdsTheTruth(t *testing.T, owner *Node) {
	t.Helper()
	r, err := n.GetRecord(t.Context(), owner.Peer.ID, "a")
	if err == nil && string(r.Value) != "x" {
		t.Errorf("a forged record is in force: %q", r.Value)
	}
	for _, body := range n.bodies(t, dht.Key{1}) {
		if body != "x" {
			t.Errorf("a forged lease is in force: %q", body)
		}
	}
}

func testHandleDenied(t *testing.T, m *Mesh) {
	record, lease, victim := capture(t, m)
	for _, tt := range []struct {
		what        string
		packet      Packet
		peer        *identity.Peer
		permissions identity.Permissions
	}{
		{"a record from one who may not store", record, record.From.Peer, identity.Permissions{"route", "register:*"}},
		{"a lease from one who may not register", lease, lease.From.Peer, identity.Permissions{"route", "store"}},
		{"a lease from another", lease, lease.To.Peer, identity.OpenPermissions()},
	} {
		req := tt.packet.request()
		peer := *tt.peer
		peer.Permissions = tt.permissions
		req.Peer = &peer
		_, err := victim.Handle(t.Context(), req)
		wantErr(t, tt.what, err, dht.ErrDenied)
	}
	req := record.request()
	req.Peer = nil
	_, err := victim.Handle(t.Context(), req)
	wantErr(t, "a request of nobody", err, dht.ErrDenied)
	victim.holdsNothing(t, record.From)

	req = lease.request()
	seeder := *lease.From.Peer
	seeder.Permissions = identity.Permissions{"blob"}
	req.Peer = &seeder
	if _, err := victim.Handle(t.Context(), req); err != nil {
		t.Errorf("a lease from one who may seed BLOBs: %v", err)
	}
	req = record.request()
	req.Peer = lease.To.Peer // brings another's record
	if _, err := victim.Handle(t.Context(), req); err != nil {
		t.Errorf("a record brought by another: %v", err)
	}
	victim.wantRecord(t, record.From, "a", "x")
}

func testHandleSmallRoom(t *testing.T, m *Mesh) {
	record, _, victim := capture(t, m)
	for room := range 64 {
		req := record.request()
		req.MaxAnswer = room
		if answer, err := victim.Handle(t.Context(), req); err == nil && len(answer) > room {
			t.Errorf("an answer of %d bytes where %d are allowed", len(answer), room)
		}
	}
}

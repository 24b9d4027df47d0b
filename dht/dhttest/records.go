package dhttest

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/staex-mcc/mcc/dht"
	"github.com/staex-mcc/mcc/identity"
)

func testAlone(t *testing.T, m *Mesh) {
	a := m.Start()
	r := a.SignRecord("a", 1, "x")
	if acks, err := a.PutRecord(t.Context(), r); acks != 0 || err != nil {
		t.Errorf("PutRecord: got %d, %v, want 0, nil", acks, err)
	}
	if got, err := a.GetRecord(t.Context(), r.Owner, r.Name); err != nil || !cmp.Equal(got, r) {
		t.Errorf("GetRecord: %v, %s", err, cmp.Diff(got, r))
	}
	_, err := a.GetRecord(t.Context(), r.Owner, "b")
	wantErr(t, "GetRecord of an unknown name", err, dht.ErrNotFound)
	_, err = a.FindPeer(t.Context(), identity.ID{1})
	wantErr(t, "FindPeer", err, dht.ErrNotFound)
	if found, err := a.FindLeases(t.Context(), dht.Key{}); err != nil || found == nil || len(found) != 0 {
		t.Errorf("FindLeases: got %v, %v, want an empty slice", found, err)
	}
	l := a.SignLease(dht.Key{}, 1, "x", time.Minute)
	if acks, err := a.PutLease(t.Context(), l); acks != 0 || err != nil {
		t.Errorf("PutLease: got %d, %v, want 0, nil", acks, err)
	}
	if found, err := a.FindLeases(t.Context(), dht.Key{}); err != nil || len(found) != 1 || !cmp.Equal(found[0].Lease, l) {
		t.Errorf("FindLeases: got %v, %v", found, err)
	}
}

// wantRecord fails unless n gets the value.
func (n *Node) wantRecord(t *testing.T, owner *Node, name, value string) {
	t.Helper()
	got, err := n.GetRecord(t.Context(), owner.Peer.ID, name)
	if err != nil || string(got.Value) != value {
		t.Errorf("GetRecord at %s: got %q, %v, want %q", n.Addr, got.Value, err, value)
	}
}

func testRecordVersions(t *testing.T, m *Mesh) {
	nodes := m.StartJoined(5)
	settle()
	owner, others := nodes[0], nodes[1:]
	first := owner.SignRecord("a", 5, "first")
	if acks, err := owner.PutRecord(t.Context(), first); err != nil || acks != len(others) {
		t.Fatalf("PutRecord: got %d, %v, want %d", acks, err, len(others))
	}
	for _, n := range others {
		n.wantRecord(t, owner, "a", "first")
	}
	if _, err := owner.PutRecord(t.Context(), first); err != nil {
		t.Errorf("the same version again: %v", err)
	}
	if _, err := owner.PutRecord(t.Context(), owner.SignRecord("a", 6, "second")); err != nil {
		t.Fatal(err)
	}
	_, err := owner.PutRecord(t.Context(), first)
	wantErr(t, "an older version", err, dht.ErrOutdated)
	// Who brings a record does not matter; nor is an old one news elsewhere.
	_, err = others[1].PutRecord(t.Context(), first)
	wantErr(t, "an older version brought by another", err, dht.ErrOutdated)
	for _, n := range others {
		n.wantRecord(t, owner, "a", "second")
	}

	// Of two values with one sequence the larger hash wins everywhere.
	values := []string{"left", "right"}
	slices.SortFunc(values, func(a, b string) int {
		x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
		return bytes.Compare(x[:], y[:])
	})
	if _, err := owner.PutRecord(t.Context(), owner.SignRecord("a", 7, values[1])); err != nil {
		t.Fatal(err)
	}
	_, err = others[0].PutRecord(t.Context(), owner.SignRecord("a", 7, values[0]))
	wantErr(t, "the smaller hash", err, dht.ErrOutdated)
	others[2].wantRecord(t, owner, "a", values[1])

	// The same version may be prolonged.
	longer := owner.signRecord(dht.Record{Name: "a", Seq: 7, Value: []byte(values[1]), Expires: time.Now().Add(2 * time.Hour)})
	if _, err := owner.PutRecord(t.Context(), longer); err != nil {
		t.Fatalf("prolong: %v", err)
	}
	got, err := others[3].GetRecord(t.Context(), owner.Peer.ID, "a")
	if err != nil || !got.Expires.Equal(longer.Expires) {
		t.Errorf("prolonged record: expires %v, %v, want %v", got.Expires, err, longer.Expires)
	}
}

func testRecordRejects(t *testing.T, m *Mesh) {
	a := m.StartJoined(2)[0]
	forged := a.SignRecord("a", 1, "x")
	forged.Value = []byte("y")
	_, err := a.PutRecord(t.Context(), forged)
	wantErr(t, "a forged record", err, dht.ErrMalformed)
	_, err = dht.SignRecord(a.Identity, dht.Record{Name: strings.Repeat("n", dht.MaxName+1), Expires: time.Now()})
	wantErr(t, "a long name", err, dht.ErrMalformed)
	_, err = dht.SignRecord(a.Identity, dht.Record{Value: make([]byte, dht.MaxValue+1), Expires: time.Now()})
	wantErr(t, "a long value", err, dht.ErrMalformed)
	_, err = dht.SignRecord(a.Identity, dht.Record{Name: "a"})
	wantErr(t, "no expiry", err, dht.ErrMalformed)
	for what, expires := range map[string]time.Time{
		"an expired record":  time.Now().Add(-time.Hour),
		"an everlasting one": time.Now().Add(1000 * time.Hour),
	} {
		r := a.signRecord(dht.Record{Name: "a", Seq: 1, Expires: expires})
		if _, err := a.PutRecord(t.Context(), r); err == nil {
			t.Errorf("%s is accepted", what)
		}
	}
	_, err = a.GetRecord(t.Context(), a.Peer.ID, "a")
	wantErr(t, "GetRecord", err, dht.ErrNotFound)
}

func testRecordExpiry(t *testing.T, m *Mesh) {
	nodes := m.StartJoined(3)
	r := nodes[0].SignRecord("a", 1, "x")
	if _, err := nodes[0].PutRecord(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	time.Sleep(55 * time.Minute)
	nodes[1].wantRecord(t, nodes[0], "a", "x")
	time.Sleep(5*time.Minute + dht.ClockTolerance + time.Second)
	for _, n := range nodes {
		_, err := n.GetRecord(t.Context(), r.Owner, r.Name)
		wantErr(t, "GetRecord of an expired record", err, dht.ErrNotFound)
	}
	if got, err := nodes[0].OwnRecord(t.Context(), r.Name); err != nil || !cmp.Equal(got, r) {
		t.Errorf("OwnRecord of an expired record: got %v, %v", got, err)
	}
	time.Sleep(10 * time.Minute)
	for _, n := range nodes[1:] {
		for e, err := range n.Store.Scan([]byte("dht/")) {
			if err == nil && bytes.Contains(e.Value, r.Sig) {
				t.Errorf("%s keeps an expired record in its store", n.Addr)
			}
		}
	}
}

func testRecordRestart(t *testing.T, m *Mesh) {
	nodes := m.StartJoined(3)
	settle()
	if _, err := nodes[0].PutRecord(t.Context(), nodes[0].SignRecord("a", 7, "x")); err != nil {
		t.Fatal(err)
	}
	// Once the put is acknowledged, it survives: at the owner and the holders.
	for _, n := range nodes {
		n.Restart()
	}
	for _, n := range nodes {
		n.wantRecord(t, nodes[0], "a", "x")
	}
	_, err := nodes[0].PutRecord(t.Context(), nodes[0].SignRecord("a", 6, "old"))
	wantErr(t, "an older version after a restart", err, dht.ErrOutdated)
}

func testRecordRepublish(t *testing.T, m *Mesh) {
	// A record put while nobody was there is offered after joining.
	a, b := m.Start(), m.Start()
	if acks, err := a.PutRecord(t.Context(), a.SignRecord("a", 1, "x")); acks != 0 || err != nil {
		t.Fatalf("PutRecord alone: %d, %v", acks, err)
	}
	a.MustJoin(b.Contact())
	settle()
	a.SetCut(true)
	b.wantRecord(t, a, "a", "x")
	a.SetCut(false)

	// Holders that lost it get it again while the owner runs.
	c := m.Start()
	c.MustJoin(b.Contact())
	settle()
	b.Stop()
	time.Sleep(time.Hour / 2)
	a.SetCut(true)
	c.wantRecord(t, a, "a", "x")
}

func testRecordHandOver(t *testing.T, m *Mesh) {
	nodes := m.StartJoined(3)
	settle()
	owner := nodes[0]
	if _, err := owner.PutRecord(t.Context(), owner.SignRecord("a", 1, "x")); err != nil {
		t.Fatal(err)
	}
	owner.Stop()
	late := m.Start()
	late.MustJoin(nodes[1].Contact())
	settle()
	nodes[1].Stop()
	nodes[2].Stop()
	late.wantRecord(t, owner, "a", "x")
}

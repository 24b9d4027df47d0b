package dhttest

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/staex-mcc/mcc/dht"
)

// mustPut places a lease that at least least others acknowledge.
func (n *Node) mustPut(t *testing.T, l dht.Lease, least int) {
	t.Helper()
	if acks, err := n.PutLease(t.Context(), l); err != nil || acks < least {
		t.Fatalf("PutLease: got %d, %v, want at least %d", acks, err, least)
	}
}

// bodies are what n finds under key, in order.
func (n *Node) bodies(t *testing.T, key dht.Key) []string {
	t.Helper()
	found, err := n.FindLeases(t.Context(), key)
	if err != nil {
		t.Fatalf("FindLeases: %v", err)
	}
	bodies := []string{}
	for _, l := range found {
		bodies = append(bodies, string(l.Body))
	}
	return bodies
}

func testLeases(t *testing.T, m *Mesh) {
	nodes := m.StartJoined(12)
	settle()
	key := dht.Key{7}
	want := []dht.FoundLease{}
	for i, n := range nodes[:3] {
		l := n.SignLease(key, 1, fmt.Sprint("body", i), dht.LeaseLife)
		n.mustPut(t, l, 1)
		want = append(want, dht.FoundLease{Lease: l, Addr: n.Addr})
	}
	slices.SortFunc(want, func(a, b dht.FoundLease) int { return a.Provider.Compare(b.Provider) })
	for i, n := range nodes {
		got, err := n.FindLeases(t.Context(), key)
		if diff := cmp.Diff(got, want, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); err != nil || diff != "" {
			t.Errorf("FindLeases at %d: %v, %s", i, err, diff)
		}
	}
	if got := nodes[4].bodies(t, dht.Key{8}); len(got) != 0 {
		t.Errorf("leases under another key: %v", got)
	}
	// A later version takes the place of the one before.
	nodes[0].mustPut(t, nodes[0].SignLease(key, 2, "new", dht.LeaseLife), 1)
	if got := nodes[5].bodies(t, key); len(got) != 3 || !slices.Contains(got, "new") || slices.Contains(got, "body0") {
		t.Errorf("after a newer lease: %q", got)
	}
	_, err := nodes[0].PutLease(t.Context(), nodes[0].SignLease(key, 1, "old", dht.LeaseLife))
	wantErr(t, "an older lease", err, dht.ErrOutdated)
}

func testLeaseExpiry(t *testing.T, m *Mesh) {
	nodes := m.StartJoined(4)
	settle()
	key := dht.Key{1}
	nodes[0].mustPut(t, nodes[0].SignLease(key, 1, "short", 30*time.Second), 1)
	nodes[1].mustPut(t, nodes[1].SignLease(key, 1, "long", dht.LeaseLife), 1)
	time.Sleep(31 * time.Second)
	for _, n := range nodes {
		if got := n.bodies(t, key); !slices.Equal(got, []string{"long"}) {
			t.Errorf("after 31 s: %q", got)
		}
	}
	// Renewing goes on; a provider that dies is gone when its lease is.
	nodes[1].mustPut(t, nodes[1].SignLease(key, 2, "renewed", dht.LeaseLife), 1)
	nodes[1].Stop()
	time.Sleep(dht.LeaseLife - time.Second)
	if got := nodes[2].bodies(t, key); !slices.Equal(got, []string{"renewed"}) {
		t.Errorf("before the end: %q", got)
	}
	time.Sleep(2 * time.Second)
	if got := nodes[2].bodies(t, key); len(got) != 0 {
		t.Errorf("after the end: %q", got)
	}
}

func testLeaseWithdrawal(t *testing.T, m *Mesh) {
	nodes := m.StartJoined(4)
	settle()
	key := dht.Key{1}
	lease := nodes[0].SignLease(key, 1, "x", dht.LeaseLife)
	nodes[0].mustPut(t, lease, 1)
	nodes[0].mustPut(t, nodes[0].SignLease(key, 2, "", 0), 1)
	for _, n := range nodes {
		if got := n.bodies(t, key); len(got) != 0 {
			t.Errorf("after the withdrawal: %q", got)
		}
	}
	_, err := nodes[0].PutLease(t.Context(), lease)
	wantErr(t, "the withdrawn lease again", err, dht.ErrOutdated)
	nodes[0].mustPut(t, nodes[0].SignLease(key, 3, "back", dht.LeaseLife), 1)
	if got := nodes[3].bodies(t, key); !slices.Equal(got, []string{"back"}) {
		t.Errorf("registered again: %q", got)
	}
}

func testLeaseRejects(t *testing.T, m *Mesh) {
	nodes := m.StartJoined(2)
	key := dht.Key{1}
	_, err := nodes[0].PutLease(t.Context(), nodes[1].SignLease(key, 1, "x", time.Minute))
	wantErr(t, "another's lease", err, dht.ErrDenied)
	forged := nodes[0].SignLease(key, 1, "x", time.Minute)
	forged.Body = []byte("y")
	_, err = nodes[0].PutLease(t.Context(), forged)
	wantErr(t, "a forged lease", err, dht.ErrMalformed)
	for what, life := range map[string]time.Duration{"an expired lease": -time.Second, "an everlasting one": 3 * time.Hour} {
		if _, err := nodes[0].PutLease(t.Context(), nodes[0].SignLease(key, 1, "x", life)); err == nil {
			t.Errorf("%s is accepted", what)
		}
	}
	if got := nodes[1].bodies(t, key); len(got) != 0 {
		t.Errorf("found %q", got)
	}
}

func testManyLeases(t *testing.T, m *Mesh) {
	nodes := m.StartJoined(40)
	settle()
	key := dht.Key{1}
	for _, n := range nodes {
		// Far more than one datagram holds.
		n.mustPut(t, n.SignLease(key, 1, strings.Repeat("b", 300), dht.LeaseLife), 1)
	}
	for _, n := range nodes[:5] {
		if got := n.bodies(t, key); len(got) != len(nodes) {
			t.Errorf("found %d leases, want %d", len(got), len(nodes))
		}
	}
}

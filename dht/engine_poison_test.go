package dht

import (
	"net/netip"
	"testing"

	"github.com/staex-mcc/mcc/identity"
)

// TestPoisonedAnswer: a node that answers with made-up neighbours, all at one
// address, cannot aim a lookup at whoever is there.
func TestPoisonedAnswer(t *testing.T) {
	r := newRig(t)
	r.seat(1)
	victim := netip.MustParseAddrPort("192.0.2.7:53")
	poison := &Answer{}
	for i := range bucketSize {
		poison.Contacts = append(poison.Contacts, Contact{ID: stranger(1000 + i).ID, Addr: victim})
	}
	aimed := 0
	queue := append([]Send(nil), r.step(Asked{Op: 1, Task: Task{Kind: TaskFindNearest, Key: Key{1}}}).Sends...)
	for len(queue) > 0 {
		s := queue[0]
		queue = queue[1:]
		if s.To.Addr == victim {
			aimed++
			queue = append(queue, r.step(Failed{Send: s.ID}).Sends...)
			continue
		}
		queue = append(queue, r.answer(s, identity.OpenPeer(s.To.ID, ""), poison).Sends...)
	}
	if aimed == 0 || aimed > maxSameAddr {
		t.Errorf("%d queries went to the victim, want 1 to %d", aimed, maxSameAddr)
	}
}

func TestUnsendableAddresses(t *testing.T) {
	for _, a := range []string{
		"0.0.0.0:1", "192.0.2.1:0", "255.255.255.255:1", "240.0.0.1:1", "224.0.0.1:1", "[ff02::1]:1", "[fe80::1%eth0]:1", "[::ffff:192.0.2.1]:1",
	} {
		if sendable(netip.MustParseAddrPort(a)) {
			t.Errorf("%s can be told to others", a)
		}
	}
	for _, a := range []string{"127.0.0.1:1", "10.0.0.1:9376", "192.0.2.1:65535", "[2001:db8::1]:9376", "239.255.255.255:0"} {
		if want := a != "239.255.255.255:0"; sendable(netip.MustParseAddrPort(a)) != want {
			t.Errorf("sendable(%s) is not %t", a, want)
		}
	}
}

// TestReadingNeedsAPermission: a certificate that permits nothing gets nothing,
// one that permits anything may look up.
func TestReadingNeedsAPermission(t *testing.T) {
	for permission, want := range map[string]error{"": ErrDenied, "call:web": nil, "route": nil} {
		peer := &identity.Peer{ID: stranger(1).ID}
		if permission != "" {
			peer.Permissions = identity.Permissions{permission}
		}
		for _, kind := range []Kind{KindPing, KindFind} {
			if err := permitted(peer, &Query{Kind: kind}, false); err != want {
				t.Errorf("%q, kind %d: %v, want %v", permission, kind, err, want)
			}
		}
	}
}

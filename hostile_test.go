package mcc_test

import (
	"bytes"
	"crypto/x509"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/staex-mcc/mcc"
	"github.com/staex-mcc/mcc/dht"
	"github.com/staex-mcc/mcc/dht/discovery"
	"github.com/staex-mcc/mcc/forward"
	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/mcctest"
	"github.com/staex-mcc/mcc/transport"
)

// certifiedMesh starts nodes of one CA with the given labels and permissions.
func certifiedMesh(t *testing.T, members map[string][]string, labels ...string) (*mcctest.Mesh, []identity.Identity) {
	t.Helper()
	acme := newCA(t, "acme")
	identities := make([]identity.Identity, len(labels))
	for i, label := range labels {
		identities[i] = certified(t, acme, label, members[label]...)
	}
	return mcctest.StartWith(t, len(labels), mcctest.Config{Options: func(i int, o *mcc.Options) {
		o.Identity, o.TrustCAs = identities[i], []*x509.Certificate{acme.Certificate()}
	}}), identities
}

// squat puts an entry of a node that its certificate does not back.
func squat(t *testing.T, node *mcc.Node, own identity.Identity, key dht.Key, label string) {
	t.Helper()
	body := []byte{1, 1, 0, 1, byte(len(label))}
	body = append(body, label...)
	body = append(body, 4)
	body = append(body, "acme"...)
	body = append(body, 0, 0)
	lease, err := dht.SignLease(own, dht.Lease{
		Key: key, Provider: own.ID(), Seq: 1, Expires: time.Now().Add(2 * time.Minute), Body: body,
	})
	if err != nil {
		t.Fatal(err)
	}
	if acks, err := node.DHT().PutLease(t.Context(), lease); err != nil || acks == 0 {
		t.Fatalf("squat: %d acks, %v", acks, err)
	}
}

func TestLabelOfAnotherIsNotBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := []string{"all"}
		mesh, identities := certifiedMesh(t, map[string][]string{"alice": all, "mallory": all, "caller": all}, "alice", "mallory", "caller")
		time.Sleep(time.Second)
		squat(t, mesh.Nodes[1], identities[1], discovery.LabelKey("alice"), "alice")
		for _, node := range mesh.Nodes[:2] {
			ln, err := node.Listen(t.Context(), "pay")
			if err != nil {
				t.Fatal(err)
			}
			go serveEcho(ln, node.Label())
		}
		conn, err := mesh.Nodes[2].DialNode(t.Context(), "alice", "pay")
		if err != nil {
			t.Fatal(err)
		}
		if got := ask(t, conn, "hi"); got != "alice:hi" {
			t.Errorf("got %q", got)
		}
		if err := mesh.Nodes[0].Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := mesh.Nodes[2].DialNode(t.Context(), "alice", "pay"); !errors.Is(err, mcc.ErrNotFound) {
			t.Errorf("without alice: %v", err)
		}
	})
}

// TestSquatterIsAskedNothing: a node without register:shop that lists itself as
// a provider of shop is left alone before anything is sent to it.
func TestSquatterIsAskedNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh, identities := certifiedMesh(t, map[string][]string{
			"honest": {"route", "register:shop"}, "mallory": {"route", "register:mallory"}, "caller": {"route", "call:shop"},
		}, "honest", "mallory", "caller")
		offerEcho(t, mesh.Nodes[0], mcc.Service{Name: "shop"})
		squat(t, mesh.Nodes[1], identities[1], discovery.Key("acme", "shop"), "honest")
		refused := watchEvents(t, mesh.Nodes[1], mcc.EventRefused)
		for i := range 20 {
			start := time.Now()
			conn, err := mesh.Nodes[2].DialService(t.Context(), "shop", forward.Choice{Policy: forward.Random})
			if err != nil {
				t.Fatal(err)
			}
			if got := ask(t, conn, "hi"); got != "honest:hi" {
				t.Errorf("dial %d: %q", i, got)
			}
			if took := time.Since(start); took > time.Second {
				t.Errorf("dial %d took %v", i, took)
			}
		}
		if n := len(refused()); n != 0 {
			t.Errorf("the squatter was asked %d times", n)
		}
		choice := forward.Choice{From: []string{"id:" + mesh.Nodes[1].ID().String()}}
		if _, err := mesh.Nodes[2].DialService(t.Context(), "shop", choice); !errors.Is(err, mcc.ErrDenied) {
			t.Errorf("only the squatter: %v", err)
		}
	})
}

// watchEvents collects the events of one kind; the function it returns ends that
// and hands them out.
func watchEvents(t *testing.T, node *mcc.Node, kind mcc.EventKind) func() []mcc.Event {
	t.Helper()
	events := make(chan mcc.Event, 256)
	go func() {
		defer close(events)
		for e := range node.Events(t.Context()) {
			if e.Kind == kind {
				events <- e
			}
		}
	}()
	synctest.Wait()
	return func() (all []mcc.Event) {
		synctest.Wait()
		for {
			select {
			case e := <-events:
				all = append(all, e)
			default:
				return all
			}
		}
	}
}

// TestSilentProviderCostsHalfASecondOnce: a provider that died without a word
// holds up one dial for a moment and the next ones not at all.
func TestSilentProviderCostsHalfASecondOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := mcctest.Start(t, 3)
		offerEcho(t, mesh.Nodes[0], mcc.Service{Name: "echo"})
		offerEcho(t, mesh.Nodes[1], mcc.Service{Name: "echo"})
		mesh.Net.SetDown(mcctest.Addr(0).Addr(), true)
		defer mesh.Net.SetDown(mcctest.Addr(0).Addr(), false)
		var slowest time.Duration
		slow := 0
		for range 8 {
			start := time.Now()
			conn, err := mesh.Nodes[2].DialService(t.Context(), "echo", forward.Choice{Policy: forward.RoundRobin})
			if err != nil {
				t.Fatal(err)
			}
			if got := ask(t, conn, "hi"); got != "node1:hi" {
				t.Fatalf("got %q", got)
			}
			took := time.Since(start)
			slowest = max(slowest, took)
			if took > 400*time.Millisecond {
				slow++
			}
		}
		// The look-up waits for the dead holder too, once.
		if slowest > 2*time.Second || slow > 2 {
			t.Errorf("%d slow dials, the slowest took %v", slow, slowest)
		}
	})
}

// TestPinNeedsNoEntry: a pinned provider is found although the directory does
// not list it.
func TestPinNeedsNoEntry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		own, err := identity.NewRandom("node1", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		mesh := mcctest.StartWith(t, 3, mcctest.Config{Options: func(i int, o *mcc.Options) {
			if i == 1 {
				o.Identity = own
			}
		}})
		ln := offerEcho(t, mesh.Nodes[1], mcc.Service{Name: "echo"})
		pin := forward.Choice{From: []string{"id:" + mesh.Nodes[1].ID().String()}}
		gone, err := dht.SignLease(own, dht.Lease{Key: discovery.Key("", "echo"), Provider: own.ID(), Seq: 1 << 62})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := mesh.Nodes[1].DHT().PutLease(t.Context(), gone); err != nil {
			t.Fatal(err)
		}
		if all, err := mesh.Nodes[2].Providers(t.Context(), "echo"); err != nil || len(all) != 0 {
			t.Fatalf("still listed: %+v, %v", all, err)
		}
		conn, err := mesh.Nodes[2].DialService(t.Context(), "echo", pin)
		if err != nil {
			t.Fatal(err)
		}
		if got := ask(t, conn, "hi"); got != "node1:hi" {
			t.Errorf("got %q", got)
		}
		if err := ln.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := mesh.Nodes[2].DialService(t.Context(), "echo", pin); !errors.Is(err, mcc.ErrNoProvider) {
			t.Errorf("after the service: %v", err)
		}
	})
}

func TestMeshHealsAfterALongPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := mcctest.Start(t, 6)
		var left, right []netip.Addr
		for i := range mesh.Nodes {
			if i < 3 {
				left = append(left, mcctest.Addr(i).Addr())
			} else {
				right = append(right, mcctest.Addr(i).Addr())
			}
		}
		mesh.Net.Partition(left, right)
		time.Sleep(40 * time.Minute)
		offerEcho(t, mesh.Nodes[1], mcc.Service{Name: "echo"})
		if _, err := mesh.Nodes[5].DialContext(t.Context(), "tcp", "echo"); !errors.Is(err, mcc.ErrNoProvider) {
			t.Fatalf("across the cut: %v", err)
		}
		mesh.Net.Heal()
		time.Sleep(6 * time.Minute)
		for _, node := range mesh.Nodes {
			if got := ask(t, dial(t, node, "echo"), "hi"); got != "node1:hi" {
				t.Errorf("%s: %q", node.Label(), got)
			}
		}
	})
}

// TestBootnodeReborn: the bootnode comes back at its address with another key.
func TestBootnodeReborn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := mcctest.Start(t, 3)
		offerEcho(t, mesh.Nodes[1], mcc.Service{Name: "echo"})
		if err := mesh.Nodes[0].Close(); err != nil {
			t.Fatal(err)
		}
		reborn := mesh.Replace(0, nil)
		time.Sleep(6 * time.Minute)
		late := mesh.Add(nil)
		for _, node := range []*mcc.Node{reborn, late} {
			if got := ask(t, dial(t, node, "echo"), "hi"); got != "node1:hi" {
				t.Errorf("%s: %q", node.Label(), got)
			}
		}
	})
}

// A member that opens streams for long messages and says nothing on them keeps
// nobody else from storing large values.
func TestIdleStreamsKeepNobodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh, _ := certifiedMesh(t, map[string][]string{
			"boot": {"all"}, "one": {"all"}, "two": {"all"}, "idler": {"call:nothing"},
		}, "boot", "one", "two", "idler")
		ctx, idler := t.Context(), mesh.Nodes[3].Transport()
		for i, victim := range mesh.Nodes[:3] {
			for range 200 {
				go func() {
					stream, err := idler.Dial(ctx, transport.Contact{ID: victim.ID(), Addr: mcctest.Addr(i)}, transport.Open{Protocol: "dht"})
					if err == nil {
						_, _ = stream.Read(make([]byte, 1))
						stream.Reset()
					}
				}()
			}
		}
		time.Sleep(time.Second) // virtual
		value := content(50_000)
		id, err := mesh.Nodes[1].PutValue(ctx, value)
		if err != nil {
			t.Fatal(err)
		}
		if err := mesh.Nodes[1].Close(); err != nil { // so that others must have it
			t.Fatal(err)
		}
		if got, err := mesh.Nodes[2].GetValue(ctx, id); err != nil || !bytes.Equal(got, value) {
			t.Errorf("read %d bytes, %v", len(got), err)
		}
	})
}

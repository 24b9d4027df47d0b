package mcc_test

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/staex-mcc/mcc"
	"github.com/staex-mcc/mcc/forward"
	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/identity/ca"
	"github.com/staex-mcc/mcc/mcctest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serveEcho answers each connection with name, then with what it gets.
func serveEcho(ln net.Listener, name string) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			_, _ = io.WriteString(conn, name+":")
			_, _ = io.Copy(conn, conn)
		}()
	}
}

// offerEcho registers a Go service on a node.
func offerEcho(t *testing.T, node *mcc.Node, s mcc.Service) net.Listener {
	t.Helper()
	ln, err := node.ListenService(s)
	if err != nil {
		t.Fatalf("%s: listen: %v", node.Label(), err)
	}
	go serveEcho(ln, node.Label())
	return ln
}

// ask sends a word and returns all that comes back.
func ask(t *testing.T, conn net.Conn, word string) string {
	t.Helper()
	defer conn.Close()
	if _, err := io.WriteString(conn, word); err != nil {
		t.Fatal(err)
	}
	if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

func dial(t *testing.T, node *mcc.Node, address string) net.Conn {
	t.Helper()
	conn, err := node.DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatalf("%s: dial %s: %v", node.Label(), address, err)
	}
	return conn
}

func TestServiceIsReachedByName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := mcctest.Start(t, 4)
		offerEcho(t, mesh.Nodes[1], mcc.Service{Name: "echo", Tags: []string{"blue"}})
		for i, address := range []string{"echo", "echo.mcc", "ECHO.mcc:80", "echo:1234"} {
			if got := ask(t, dial(t, mesh.Nodes[i], address), "hi"); got != "node1:hi" {
				t.Errorf("node %d, %s: got %q", i, address, got)
			}
		}
		providers, err := mesh.Nodes[3].Providers(t.Context(), "echo")
		if err != nil || len(providers) != 1 || providers[0].Node != mesh.Nodes[1].ID() || !providers[0].Healthy ||
			!slices.Equal(providers[0].Tags, []string{"blue"}) || providers[0].Label != "node1" {
			t.Errorf("providers %+v, %v", providers, err)
		}
	})
}

func TestDialWithoutProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := mcctest.Start(t, 2)
		if _, err := mesh.Nodes[1].DialContext(t.Context(), "tcp", "nobody"); !errors.Is(err, mcc.ErrNoProvider) {
			t.Errorf("no provider: %v", err)
		}
		if _, err := mesh.Nodes[1].DialContext(t.Context(), "udp", "nobody"); !errors.Is(err, mcc.ErrInvalid) {
			t.Errorf("wrong network: %v", err)
		}
		if _, err := mesh.Nodes[1].DialContext(t.Context(), "tcp", "not_a_label"); !errors.Is(err, mcc.ErrInvalid) {
			t.Errorf("wrong name: %v", err)
		}
		providers, err := mesh.Nodes[1].Providers(t.Context(), "nobody")
		if err != nil || providers == nil || len(providers) != 0 {
			t.Errorf("providers %v, %v; want an empty slice", providers, err)
		}
	})
}

func TestFailoverToAnotherProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := mcctest.Start(t, 4)
		offerEcho(t, mesh.Nodes[1], mcc.Service{Name: "echo"})
		offerEcho(t, mesh.Nodes[2], mcc.Service{Name: "echo"})
		mesh.Net.SetDown(mcctest.Addr(1).Addr(), true) // as if killed: its lease still stands
		for range 5 {
			choice := forward.Choice{Policy: forward.RoundRobin}
			conn, err := mesh.Nodes[3].DialService(t.Context(), "echo", choice)
			if err != nil {
				t.Fatal(err)
			}
			if got := ask(t, conn, "hi"); got != "node2:hi" {
				t.Fatalf("got %q", got)
			}
		}
		time.Sleep(3 * time.Minute)
		providers, err := mesh.Nodes[3].Providers(t.Context(), "echo")
		if err != nil || len(providers) != 1 || providers[0].Node != mesh.Nodes[2].ID() {
			t.Errorf("after the lease: %+v, %v", providers, err)
		}
		mesh.Net.SetDown(mcctest.Addr(1).Addr(), false)
	})
}

func TestClosedNodeWithdrawsItsServices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := mcctest.Start(t, 4)
		offerEcho(t, mesh.Nodes[1], mcc.Service{Name: "echo"})
		if err := mesh.Nodes[1].Close(); err != nil {
			t.Fatal(err)
		}
		providers, err := mesh.Nodes[3].Providers(t.Context(), "echo")
		if err != nil || len(providers) != 0 {
			t.Errorf("providers %+v, %v", providers, err)
		}
		if _, err := mesh.Nodes[1].Providers(t.Context(), "echo"); !errors.Is(err, mcc.ErrClosed) || !errors.Is(err, net.ErrClosed) {
			t.Errorf("closed node: %v", err)
		}
	})
}

func TestClosedListenerWithdrawsItsService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := mcctest.Start(t, 3)
		ln := offerEcho(t, mesh.Nodes[1], mcc.Service{Name: "echo"})
		open := dial(t, mesh.Nodes[2], "echo")
		if _, err := mesh.Nodes[1].ListenService(mcc.Service{Name: "echo"}); !errors.Is(err, mcc.ErrExists) {
			t.Errorf("second listener: %v", err)
		}
		if err := ln.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("accept after close: %v", err)
		}
		if got := ask(t, open, "still here"); got != "node1:still here" {
			t.Errorf("open connection: %q", got)
		}
		if _, err := mesh.Nodes[2].DialContext(t.Context(), "tcp", "echo"); !errors.Is(err, mcc.ErrNoProvider) {
			t.Errorf("dial after close: %v", err)
		}
	})
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := mcctest.Start(t, 3)
		first := offerEcho(t, mesh.Nodes[0], mcc.Service{Name: "echo"})
		var kinds []string
		for change, err := range mesh.Nodes[2].Watch(t.Context(), "echo") {
			if err != nil {
				t.Fatal(err)
			}
			kinds = append(kinds, string(change.Kind)+" "+change.Provider.Label)
			switch len(kinds) {
			case 1:
				offerEcho(t, mesh.Nodes[1], mcc.Service{Name: "echo"})
			case 2:
				if err := first.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if len(kinds) == 3 {
				break
			}
		}
		want := []string{"added node0", "added node1", "removed node0"}
		if !slices.Equal(kinds, want) {
			t.Errorf("changes %v, want %v", kinds, want)
		}
	})
}

func TestChannels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := mcctest.Start(t, 3)
		ln, err := mesh.Nodes[1].Listen(t.Context(), "chat/1")
		if err != nil {
			t.Fatal(err)
		}
		go serveEcho(ln, "chat")
		for _, name := range []string{mesh.Nodes[1].ID().String(), mesh.Nodes[1].ID().DID(), "node1"} {
			conn, err := mesh.Nodes[2].DialNode(t.Context(), name, "chat/1")
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if who, ok := mesh.Nodes[2].WhoIs(conn); !ok || who.ID != mesh.Nodes[1].ID() {
				t.Errorf("who is %v", who)
			}
			if got := ask(t, conn, "hi"); got != "chat:hi" {
				t.Errorf("%s: got %q", name, got)
			}
		}
		if conn, err := mesh.Nodes[1].DialNode(t.Context(), "node1", "chat/1"); err != nil {
			t.Errorf("to itself: %v", err)
		} else if got := ask(t, conn, "me"); got != "chat:me" {
			t.Errorf("to itself: %q", got)
		}
		for _, c := range []struct {
			node, protocol string
			want           error
		}{
			{"node1", "nothing", mcc.ErrNotFound},
			{"nobody", "chat/1", mcc.ErrNotFound},
			{"not a label", "chat/1", mcc.ErrInvalid},
			{"node1", "", mcc.ErrInvalid},
			{"node1", strings.Repeat("x", 201), mcc.ErrInvalid},
		} {
			if _, err := mesh.Nodes[2].DialNode(t.Context(), c.node, c.protocol); !errors.Is(err, c.want) {
				t.Errorf("%q %q: %v, want %v", c.node, c.protocol, err, c.want)
			}
		}
		if _, err := mesh.Nodes[1].Listen(t.Context(), "chat/1"); !errors.Is(err, mcc.ErrExists) {
			t.Errorf("taken protocol: %v", err)
		}
	})
}

func TestAmbiguousLabel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := mcctest.StartWith(t, 3, mcctest.Config{Options: func(i int, o *mcc.Options) {
			if i > 0 {
				o.Label = "twin"
			}
		}})
		time.Sleep(time.Second) // both have announced their label
		_, err := mesh.Nodes[0].DialNode(t.Context(), "twin", "x")
		if !errors.Is(err, mcc.ErrAmbiguous) || !strings.Contains(err.Error(), mesh.Nodes[1].ID().String()) ||
			!strings.Contains(err.Error(), mesh.Nodes[2].ID().String()) {
			t.Errorf("got %v", err)
		}
	})
}

func TestCallerIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := mcctest.Start(t, 2)
		ln, err := mesh.Nodes[0].ListenService(mcc.Service{Name: "who"})
		if err != nil {
			t.Fatal(err)
		}
		conn := dial(t, mesh.Nodes[1], "who")
		defer conn.Close()
		accepted, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer accepted.Close()
		if who, ok := mesh.Nodes[0].WhoIs(accepted); !ok || who.ID != mesh.Nodes[1].ID() || who.Label != "node1" {
			t.Errorf("caller is %+v", who)
		}
	})
}

func TestAllowList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := mcctest.Start(t, 3)
		offerEcho(t, mesh.Nodes[0], mcc.Service{Name: "echo", Allow: []string{"label:*2"}})
		if _, err := mesh.Nodes[1].DialContext(t.Context(), "tcp", "echo"); !errors.Is(err, mcc.ErrDenied) {
			t.Errorf("node1: %v", err)
		}
		if got := ask(t, dial(t, mesh.Nodes[2], "echo"), "hi"); got != "node0:hi" {
			t.Errorf("node2: %q", got)
		}
	})
}

// certified makes identities of one CA inside the bubble's time.
func certified(t *testing.T, authority *ca.CA, label string, permissions ...string) identity.Identity {
	t.Helper()
	key, err := identity.GeneratePrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	der, err := identity.CreateRequest(key, label)
	if err != nil {
		t.Fatal(err)
	}
	request, err := identity.ParseRequest(identity.EncodeRequestPEM(der))
	if err != nil {
		t.Fatal(err)
	}
	cert, err := authority.Sign(request, ca.Leaf{Permissions: permissions})
	if err != nil {
		t.Fatal(err)
	}
	own, err := identity.New(key, cert)
	if err != nil {
		t.Fatal(err)
	}
	return own
}

func newCA(t *testing.T, consortium string) *ca.CA {
	t.Helper()
	authority, err := ca.New(ca.Options{Consortium: consortium})
	if err != nil {
		t.Fatal(err)
	}
	return authority
}

func TestCertifiedMesh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		acme := newCA(t, "acme")
		trust := []*x509.Certificate{acme.Certificate()}
		identities := []identity.Identity{
			certified(t, acme, "offers", "route", "register:echo"),
			certified(t, acme, "squats", "route", "register:other"),
			certified(t, acme, "calls", "route", "call:echo"),
			certified(t, acme, "idles", "route"),
		}
		mesh := mcctest.StartWith(t, len(identities), mcctest.Config{Options: func(i int, o *mcc.Options) {
			o.Identity, o.TrustCAs = identities[i], trust
		}})
		offerEcho(t, mesh.Nodes[0], mcc.Service{Name: "echo"})
		if _, err := mesh.Nodes[1].ListenService(mcc.Service{Name: "echo"}); !errors.Is(err, mcc.ErrDenied) {
			t.Errorf("register without permission: %v", err)
		}
		if got := ask(t, dial(t, mesh.Nodes[2], "echo"), "hi"); got != "offers:hi" {
			t.Errorf("got %q", got)
		}
		if _, err := mesh.Nodes[3].DialContext(t.Context(), "tcp", "echo"); !errors.Is(err, mcc.ErrDenied) {
			t.Errorf("call without permission: %v", err)
		}
		if info := mesh.Nodes[0].Info(); info.Consortium != "acme" || info.Open {
			t.Errorf("info %+v", info)
		}
	})
}

func TestForeignNodeStaysOutside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		acme, rival := newCA(t, "acme"), newCA(t, "rival")
		mesh := mcctest.StartWith(t, 2, mcctest.Config{Options: func(i int, o *mcc.Options) {
			o.Identity, o.TrustCAs = certified(t, acme, "inside", "all"), []*x509.Certificate{acme.Certificate()}
		}})
		offerEcho(t, mesh.Nodes[0], mcc.Service{Name: "echo"})
		both := []*x509.Certificate{acme.Certificate(), rival.Certificate()}
		foreign := mesh.AddUnready(func(_ int, o *mcc.Options) {
			o.Identity, o.TrustCAs = certified(t, rival, "foreign", "all"), both
		})
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		if err := foreign.Ready(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("ready: %v", err)
		}
		if _, err := foreign.DialContext(t.Context(), "tcp", "echo"); !errors.Is(err, mcc.ErrNoProvider) {
			t.Errorf("dial: %v", err)
		}
		for _, node := range mesh.Nodes[:2] {
			if peers := node.Peers(); slices.ContainsFunc(peers, func(p mcc.PeerInfo) bool { return p.ID == foreign.ID() }) {
				t.Errorf("%s has a session with the foreign node", node.ID())
			}
		}
		if contacts := foreign.Stats().Contacts; contacts != 0 {
			t.Errorf("the foreign node has %d contacts", contacts)
		}
	})
}

func TestMeshSurvivesLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := mcctest.Config{}
		cfg.Network.Seed, cfg.Network.Latency, cfg.Network.Loss = 7, 20*time.Millisecond, 0.05
		mesh := mcctest.StartWith(t, 6, cfg)
		offerEcho(t, mesh.Nodes[5], mcc.Service{Name: "echo"})
		for _, node := range mesh.Nodes {
			if got := ask(t, dial(t, node, "echo"), "hi"); got != "node5:hi" {
				t.Errorf("%s: %q", node.Label(), got)
			}
		}
	})
}

func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := mcctest.Start(t, 2)
		var got []mcc.EventKind
		done := make(chan struct{})
		go func() {
			defer close(done)
			for e := range mesh.Nodes[0].Events(t.Context()) {
				got = append(got, e.Kind)
			}
		}()
		synctest.Wait()
		ln := offerEcho(t, mesh.Nodes[0], mcc.Service{Name: "echo"})
		ln.Close()
		mesh.Nodes[0].Close()
		<-done
		want := []mcc.EventKind{mcc.EventServiceRegistered, mcc.EventServiceWithdrawn}
		if !slices.Equal(got, want) {
			t.Errorf("events %v, want %v", got, want)
		}
	})
}

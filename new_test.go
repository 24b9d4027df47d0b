package mcc_test

import (
	"crypto/x509"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/staex-mcc/mcc"
	"github.com/staex-mcc/mcc/dht"
	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/identity/ca"
	"github.com/staex-mcc/mcc/store"
	"github.com/staex-mcc/mcc/store/memory"
	"github.com/staex-mcc/mcc/transport"
)

func TestNewRefuses(t *testing.T) {
	acme, rival := newCA(t, "acme"), newCA(t, "rival")
	trust := []*x509.Certificate{acme.Certificate()}
	self, err := identity.NewRandom("self", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	busy := startReal(t, mcc.Options{DataFolder: t.TempDir()})
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		opts mcc.Options
		want error
		says string
	}{
		{"bootnode without port", mcc.Options{Boot: []string{"host"}}, mcc.ErrInvalid, `"host"`},
		{"bootnode with port 0", mcc.Options{Boot: []string{"127.0.0.1:0"}}, mcc.ErrInvalid, "port"},
		{"bootnode without host", mcc.Options{Boot: []string{":9376"}}, mcc.ErrInvalid, "host:port"},
		{"bootnode with a bad pin", mcc.Options{Boot: []string{"z6Mk@127.0.0.1:1"}}, mcc.ErrInvalid, "z6Mk"},
		{"loopback to remote", mcc.Options{Boot: []string{"192.0.2.1:9376"}}, mcc.ErrInvalid, "-listen 0.0.0.0:9376"},
		{"bad label", mcc.Options{Label: "???"}, mcc.ErrInvalid, "label"},
		{"long label", mcc.Options{Label: strings.Repeat("x", 31)}, mcc.ErrInvalid, "30"},
		{"bad address", mcc.Options{Listen: "nonsense"}, mcc.ErrInvalid, "nonsense"},
		{"bad port", mcc.Options{Listen: "127.0.0.1:99999"}, mcc.ErrInvalid, "99999"},
		{"address in use", mcc.Options{Listen: busy.Info().Addresses[0]}, mcc.ErrInUse, "in use"},
		{"folder is a file", mcc.Options{DataFolder: file}, nil, file},
		{"CA without identity", mcc.Options{TrustCAs: trust}, mcc.ErrInvalid, "certified"},
		{"self-signed under a CA", mcc.Options{TrustCAs: trust, Identity: self}, identity.ErrUntrusted, ""},
		{"foreign CA", mcc.Options{TrustCAs: trust, Identity: certified(t, rival, "x", "all")}, identity.ErrUntrusted, ""},
		{"a leaf as CA", mcc.Options{TrustCAs: []*x509.Certificate{self.Certificate().Leaf()}, Identity: self}, mcc.ErrInvalid, "CA"},
		{"expired", mcc.Options{TrustCAs: trust, Identity: expired(t, acme)}, identity.ErrExpired, ""},
		{"alpha", mcc.Options{Alpha: 65}, mcc.ErrInvalid, "Alpha"},
		{"negative wait", mcc.Options{DrainTimeout: -1}, mcc.ErrInvalid, "negative"},
		{"failing transport", mcc.Options{Transport: func(transport.Config) (transport.Transport, error) { return nil, errBoom }}, errBoom, "transport"},
		{"failing dht", mcc.Options{DHT: func(dht.Env) (dht.DHT, error) { return nil, errBoom }}, errBoom, "dht"},
	} {
		t.Run(c.name, func(t *testing.T) {
			node, err := mcc.New(c.opts)
			if err == nil {
				node.Close()
				t.Fatal("no error")
			}
			if c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v; want %v saying %q", err, c.want, c.says)
			}
		})
	}
}

var errBoom = errors.New("boom")

// expired is an identity whose certificate has ended.
func expired(t *testing.T, authority *ca.CA) identity.Identity {
	t.Helper()
	key, err := identity.GeneratePrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	der, err := identity.CreateRequest(key, "late")
	if err != nil {
		t.Fatal(err)
	}
	request, err := identity.ParseRequest(identity.EncodeRequestPEM(der))
	if err != nil {
		t.Fatal(err)
	}
	cert, err := authority.Sign(request, ca.Leaf{NotBefore: time.Now().Add(-50 * time.Minute), Lifetime: 10 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	own, err := identity.New(key, cert)
	if err != nil {
		t.Fatal(err)
	}
	return own
}

func TestDataFolderIsLocked(t *testing.T) {
	dir := t.TempDir()
	first := startReal(t, mcc.Options{DataFolder: dir})
	if _, err := mcc.New(mcc.Options{DataFolder: dir}); !errors.Is(err, mcc.ErrInUse) {
		t.Fatalf("second node: %v", err)
	}
	id := first.ID()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if again := startReal(t, mcc.Options{DataFolder: dir}); again.ID() != id {
		t.Errorf("the id changed from %s to %s", id, again.ID())
	}
}

// A store of one's own leaves the BLOBs in the folder, which two nodes cannot
// share either.
func TestBlobFolderIsLocked(t *testing.T) {
	folder := t.TempDir()
	first := startReal(t, mcc.Options{DataFolder: folder, Store: memory.New()})
	if _, err := mcc.New(mcc.Options{DataFolder: folder, Store: memory.New()}); !errors.Is(err, mcc.ErrInUse) {
		t.Errorf("second node: %v, want ErrInUse", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	startReal(t, mcc.Options{DataFolder: folder, Store: memory.New()})
}

func TestPersistedRegistrationsComeBack(t *testing.T) {
	dir := t.TempDir()
	node := startReal(t, mcc.Options{DataFolder: dir})
	for _, s := range []mcc.Service{
		{Name: "stays", Address: "tcp://127.0.0.1:1", Tags: []string{"x"}, Persist: true},
		{Name: "leaves", Address: "tcp://127.0.0.1:1", Persist: true},
		{Name: "passes", Address: "tcp://127.0.0.1:1"},
	} {
		if err := node.Register(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	if err := node.Unregister(t.Context(), "leaves"); err != nil {
		t.Fatal(err)
	}
	kept, err := node.AddListener(t.Context(), mcc.Listener{Service: "stays", Address: "tcp://127.0.0.1:0", Persist: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Close(); err != nil {
		t.Fatal(err)
	}
	again := startReal(t, mcc.Options{DataFolder: dir})
	services := again.LocalServices()
	if len(services) != 1 || services[0].Name != "stays" || services[0].Tags[0] != "x" || !services[0].Persist {
		t.Errorf("services %+v", services)
	}
	listeners := again.Listeners()
	if len(listeners) != 1 || listeners[0].Service != kept.Service || !listeners[0].Persist {
		t.Fatalf("listeners %+v", listeners)
	}
	if err := again.RemoveListener(t.Context(), listeners[0].ID); err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	if left := startReal(t, mcc.Options{DataFolder: dir}).Listeners(); len(left) != 0 {
		t.Errorf("a removed listener came back: %+v", left)
	}
}

func TestGivenStoreStaysOpen(t *testing.T) {
	s := memory.New()
	node := startReal(t, mcc.Options{Store: s})
	if err := node.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Put([]byte("k"), nil); errors.Is(err, store.ErrClosed) {
		t.Error("Close closed a store that was given")
	}
}

func TestListenersOfANode(t *testing.T) {
	node := startReal(t, mcc.Options{})
	offerEcho(t, node, mcc.Service{Name: "echo"})
	for _, bad := range []mcc.Listener{
		{Service: "not_a_name", Address: "tcp://127.0.0.1:0"},
		{Service: "echo", Address: "udp://127.0.0.1:0"},
		{Service: "echo", Address: "tcp://127.0.0.1:0", Policy: "luck"},
		{Service: "echo", Address: "tcp://127.0.0.1:0", From: []string{"label:x"}},
	} {
		if _, err := node.AddListener(t.Context(), bad); !errors.Is(err, mcc.ErrInvalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	l, err := node.AddListener(t.Context(), mcc.Listener{Service: "echo", Address: "tcp://127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	addr := strings.TrimPrefix(l.Address, "tcp://")
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if got := ask(t, conn, "hi"); got != node.Label()+":hi" {
		t.Errorf("got %q", got)
	}
	if _, err := node.AddListener(t.Context(), mcc.Listener{Service: "other", Address: l.Address}); !errors.Is(err, mcc.ErrInUse) {
		t.Errorf("taken address: %v", err)
	}
	if err := node.RemoveListener(t.Context(), l.ID); err != nil {
		t.Fatal(err)
	}
	if err := node.RemoveListener(t.Context(), l.ID); !errors.Is(err, mcc.ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
}

func TestHealthCheckDrivesTheLease(t *testing.T) {
	node := startReal(t, mcc.Options{})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go serveEcho(ln, "x")
	err = node.Register(t.Context(), mcc.Service{
		Name: "checked", Address: "tcp://" + ln.Addr().String(),
		Health: &mcc.HealthCheck{Type: "tcp", Interval: 100 * time.Millisecond, Timeout: time.Second},
	})
	if err != nil {
		t.Fatal(err)
	}
	healthy := func() bool {
		providers, err := node.Providers(t.Context(), "checked")
		if err != nil || len(providers) != 1 {
			t.Fatalf("providers %+v, %v", providers, err)
		}
		return providers[0].Healthy
	}
	awaitHealth(t, healthy, true)
	ln.Close()
	awaitHealth(t, healthy, false)
	if none, err := node.Lookup(t.Context(), "checked", mcc.Query{HealthyOnly: true}); err != nil || len(none) != 0 {
		t.Errorf("healthy only: %+v, %v", none, err)
	}
}

// awaitHealth polls on a ticker until the directory says what is wanted.
func awaitHealth(t *testing.T, healthy func() bool, want bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for healthy() != want {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("the test ended")
		}
	}
}

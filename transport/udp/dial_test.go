package udp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/transport"
	"github.com/staex-mcc/mcc/transport/udp/mux"
)

func TestHeaderArrives(t *testing.T) {
	a, b := node(t, "alice"), node(t, "bob")
	open := transport.Open{Protocol: strings.Repeat("p", transport.MaxProtocol), Payload: make([]byte, transport.MaxPayload)}
	open.Payload[transport.MaxPayload-1] = 7
	refused := make(chan error, 1)
	go func() {
		_, err := a.Dial(limit(t), b.Local(), open)
		refused <- err
	}()
	o, err := b.Accept(limit(t))
	if err != nil {
		t.Fatal(err)
	}
	if got := o.Open(); got.Protocol != open.Protocol || string(got.Payload) != string(open.Payload) {
		t.Errorf("header is %q with %d bytes", got.Protocol, len(got.Payload))
	}
	if o.From() != a.local || o.Peer().ID != a.id {
		t.Errorf("offer is from %s at %s", o.Peer().ID, o.From())
	}
	if err := o.Refuse(transport.ReasonDenied, "call:files"); err != nil {
		t.Error(err)
	}
	r, ok := errors.AsType[*transport.RefusedError](<-refused)
	if !ok || r.Reason != transport.ReasonDenied || r.Text != "call:files" {
		t.Errorf("refused with %v", r)
	}
	_, err = o.Accept()
	want(t, "accept after refuse", err, errDecided)
	want(t, "second refuse", o.Refuse(transport.ReasonBusy, ""), errDecided)
}

func TestDialChecks(t *testing.T) {
	a, b := node(t, "alice"), node(t, "bob")
	for _, tt := range []struct {
		to   transport.Contact
		open transport.Open
		want error
	}{
		{transport.Contact{Addr: b.local}, transport.Open{Protocol: "x"}, transport.ErrNoID},
		{transport.Contact{ID: b.id}, transport.Open{Protocol: "x"}, transport.ErrNoAnswer},
		{b.Local(), transport.Open{}, errNoProtocol},
		{b.Local(), transport.Open{Protocol: "x", Payload: make([]byte, transport.MaxPayload+1)}, transport.ErrTooLong},
	} {
		_, err := a.Dial(limit(t), tt.to, tt.open)
		want(t, "dial", err, tt.want)
	}
}

// TestOneConnection dials often at once and both ways.
func TestOneConnection(t *testing.T) {
	a, b := node(t, "alice"), node(t, "bob")
	const n = 40
	go func() {
		for range n {
			if o, err := b.Accept(limit(t)); err != nil {
				t.Error(err)
			} else if _, err := o.Accept(); err != nil {
				t.Error(err)
			}
		}
	}()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			if _, err := a.Dial(limit(t), b.Local(), transport.Open{Protocol: "test"}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if d := counter(t, a, "dials"); d != 1 {
		t.Errorf("%d handshakes for one peer", d)
	}
	back, _ := connected(t, b, a)
	if d := counter(t, b, "dials"); d != 0 {
		t.Errorf("%d handshakes back", d)
	}
	back.Close()
}

func TestDialItself(t *testing.T) {
	a := node(t, "alice")
	s, other := connected(t, a, a)
	mustWrite(t, s, "hello me")
	mustRead(t, other, "hello me")
}

func TestCancelledDial(t *testing.T) {
	a, b := node(t, "alice"), node(t, "bob")
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() {
		_, err := a.Dial(ctx, b.Local(), transport.Open{Protocol: "test"})
		result <- err
	}()
	o, err := b.Accept(limit(t))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	want(t, "dial", <-result, context.Canceled)
	<-o.(*offer).decided
	_, err = o.Accept()
	want(t, "accept of an abandoned offer", err, errDecided)
	eventually(t, "the stream is given back", func() bool {
		b.conns.mu.Lock()
		defer b.conns.mu.Unlock()
		c := b.conns.peers[a.id][0]
		return c.streams == 0 && c.waiting == 0
	})
}

// TestRestartedPeer: after a crash the peer forgot the connection, and says so.
func TestRestartedPeer(t *testing.T) {
	a := node(t, "alice")
	b, err := New(Options{}, transport.Config{Identity: someone(t, "bob")})
	if err != nil {
		t.Fatal(err)
	}
	at := b.local
	s, _ := connected(t, a, b)
	crash(t, b)

	b2 := nodeWith(t, Options{Listen: at.String()}, transport.Config{Identity: someone(t, "bob")})
	mustWrite(t, s, "are you there?")
	_, err = s.Read(make([]byte, 1))
	want(t, "read from a peer that restarted", err, transport.ErrPathLost)
	if !strings.Contains(err.Error(), "restarted") {
		t.Errorf("%v: found out by waiting, not by the peer's reset", err)
	}
	if errors.Is(err, net.ErrClosed) {
		t.Errorf("%v looks like an own Close", err)
	}
	connected(t, a, b2)
}

// TestRestartedPeerUnnoticed dials on a connection whose other end is gone.
func TestRestartedPeerUnnoticed(t *testing.T) {
	a := node(t, "alice")
	b, err := New(Options{}, transport.Config{Identity: someone(t, "bob")})
	if err != nil {
		t.Fatal(err)
	}
	at := b.local
	connected(t, a, b)
	crash(t, b)
	b2 := nodeWith(t, Options{Listen: at.String()}, transport.Config{Identity: someone(t, "bob")})
	connected(t, a, b2)
}

// TestMovedPeer dials a peer at a new address while the old connection lives on
// in the table.
func TestMovedPeer(t *testing.T) {
	a := node(t, "alice")
	b, err := New(Options{}, transport.Config{Identity: someone(t, "bob")})
	if err != nil {
		t.Fatal(err)
	}
	connected(t, a, b)
	crash(t, b)
	b2 := node(t, "bob")
	connected(t, a, b2)
}

// TestWrongAddressOfLivePeer: the connection there is beats an address that
// does not answer.
func TestWrongAddressOfLivePeer(t *testing.T) {
	a, b := node(t, "alice"), node(t, "bob")
	connected(t, a, b)
	ch := accepted(t, b)
	to := b.Local()
	to.Addr = mux.AddrPort(udpSocket(t).LocalAddr())
	s, err := a.Dial(limit(t), to, transport.Open{Protocol: "test"})
	if err != nil {
		t.Fatal(err)
	}
	other := <-ch
	mustWrite(t, s, "x")
	mustRead(t, other, "x")
}

// crash closes the socket under a transport, so that no peer hears of it, then
// the rest.
func crash(t *testing.T, n *Transport) {
	t.Helper()
	n.socket.Close()
	if err := n.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Errorf("close: %v", err)
	}
}

func TestSocketFails(t *testing.T) {
	b := node(t, "bob")
	a, err := New(Options{}, transport.Config{Identity: someone(t, "alice")})
	if err != nil {
		t.Fatal(err)
	}
	s, _ := connected(t, a, b)
	a.socket.Close()
	_, err = a.Accept(limit(t))
	want(t, "accept", err, transport.ErrClosed)
	if _, err = s.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Errorf("read: %v", err)
	}
	_, err = a.Dial(limit(t), b.Local(), transport.Open{Protocol: "x"})
	want(t, "dial", err, transport.ErrClosed)
	crash(t, a)
}

func TestAddressInUse(t *testing.T) {
	a := node(t, "alice")
	_, err := New(Options{Listen: a.local.String()}, transport.Config{Identity: someone(t, "bob")})
	want(t, "second node", err, syscall.EADDRINUSE)
}

func TestBadOptions(t *testing.T) {
	id := someone(t, "alice")
	for _, tt := range []struct {
		opts Options
		cfg  transport.Config
	}{
		{Options{}, transport.Config{}},
		{Options{Listen: "nonsense"}, transport.Config{Identity: id}},
		{Options{MaxIncomingStreams: -1}, transport.Config{Identity: id}},
		{Options{DialTimeout: -1}, transport.Config{Identity: id}},
	} {
		if n, err := New(tt.opts, tt.cfg); err == nil {
			t.Errorf("%+v was accepted", tt.opts)
			n.Close()
		}
	}
}

// locked is an identity whose key cannot be used.
type locked struct{ identity.Identity }

func (locked) Sign([]byte) ([]byte, error) { return nil, errors.New("key is locked") }

// TestNewLeavesNothing fails late.
func TestNewLeavesNothing(t *testing.T) {
	socket := udpSocket(t)
	if n, err := New(Options{Socket: socket}, transport.Config{Identity: locked{someone(t, "alice")}}); err == nil {
		n.Close()
		t.Fatal("started without a key")
	}
	// The socket is the caller's still, and works.
	nodeWith(t, Options{Socket: socket}, transport.Config{Identity: someone(t, "alice")})
	if n, err := New(Options{Socket: noAddr{socket}}, transport.Config{Identity: someone(t, "bob")}); err == nil {
		n.Close()
		t.Error("started without an address")
	}
}

// noAddr is a socket of another network.
type noAddr struct{ net.PacketConn }

func (noAddr) LocalAddr() net.Addr { return &net.UnixAddr{Name: "x"} }

// TestCloseFromEverywhere closes a busy transport several times at once.
func TestCloseFromEverywhere(t *testing.T) {
	a, b := node(t, "alice"), node(t, "bob")
	var busy, closers sync.WaitGroup
	for i := range 4 {
		busy.Go(func() {
			for {
				o, err := b.Accept(context.Background())
				if err != nil {
					want(t, "accept", err, transport.ErrClosed)
					return
				}
				if s, err := o.Accept(); err == nil {
					fmt.Fprint(s, "x")
					s.Close()
				}
			}
		})
		busy.Go(func() {
			for {
				s, err := a.Dial(context.Background(), b.Local(), transport.Open{Protocol: "test"})
				if err != nil {
					if i == 0 {
						t.Logf("dial ended with %v", err)
					}
					return
				}
				io.Copy(io.Discard, s)
				s.Close()
			}
		})
	}
	eventually(t, "streams flow", func() bool { return counter(t, b, "streams_accepted") > 20 })
	for range 3 {
		closers.Go(func() {
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	closers.Wait()
	a.Close()
	busy.Wait()
}

// TestCloseDelivers: what a stream wrote before Close survives the transport.
func TestCloseDelivers(t *testing.T) {
	for i := range 10 {
		a, b := node(t, "alice"), node(t, "bob")
		s, other := connected(t, a, b)
		data := strings.Repeat("all of it ", 10000*i+1)
		got := make(chan string, 1)
		go func() {
			all, err := io.ReadAll(other)
			if err != nil {
				t.Errorf("read: %v", err)
			}
			got <- string(all)
		}()
		mustWrite(t, s, data)
		s.Close()
		a.Close()
		if all := <-got; all != data {
			t.Fatalf("got %d bytes of %d", len(all), len(data))
		}
	}
}

func TestIdentityAtOtherAddressIsKept(t *testing.T) {
	a, b := node(t, "alice"), node(t, "bob")
	connected(t, a, b)
	peers := a.Peers()
	if len(peers) != 1 || peers[0].Peer.ID != b.id || peers[0].Addr != b.local || peers[0].Path != "quic" || peers[0].LastSeen.IsZero() {
		t.Errorf("peers of alice: %+v", peers)
	}
	if time.Since(peers[0].LastSeen) > time.Minute || peers[0].RTT <= 0 {
		t.Errorf("peer is %+v", peers[0])
	}
}

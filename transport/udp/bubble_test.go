package udp

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/transport"
	"github.com/staex-mcc/mcc/transport/simnet"
)

// world is a virtual network in a bubble.
type world struct {
	*testing.T
	net *simnet.Network
}

// inBubble runs f in virtual time on a network of its own.
func inBubble(t *testing.T, opts simnet.Options, f func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(opts)
		t.Cleanup(func() { n.Close() })
		f(&world{t, n})
	})
}

// node starts a transport at an address of the network.
func (w *world) node(name, at string) *Transport {
	return w.nodeWith(at, Options{}, transport.Config{Identity: someone(w, name)})
}

func (w *world) nodeWith(at string, opts Options, cfg transport.Config) *Transport {
	w.Helper()
	socket, err := w.net.Listen(netip.MustParseAddrPort(at))
	if err != nil {
		w.Fatal(err)
	}
	opts.Socket = socket
	return nodeWith(w, opts, cfg)
}

// TestVirtualTransport moves streams both ways over a bad network.
func TestVirtualTransport(t *testing.T) {
	opts := simnet.Options{
		Seed: 1, Latency: 20 * time.Millisecond, Jitter: 5 * time.Millisecond,
		Loss: 0.05, Duplicate: 0.01, Reorder: 0.01,
	}
	inBubble(t, opts, func(w *world) {
		a, b := w.node("alice", "10.0.0.1:9376"), w.node("bob", "10.0.0.2:9376")
		var wg sync.WaitGroup
		for i := range 8 {
			from, to := a, b
			if i%2 == 1 {
				from, to = b, a
			}
			s, other := connected(w, from, to)
			wg.Go(func() { sendRandom(w, s, uint64(i), 256<<10) })
			wg.Go(func() { checkRandom(w, other, uint64(i), 256<<10) })
		}
		wg.Wait()
		if w.net.Stats().Lost == 0 {
			w.Error("the network was perfect")
		}
	})
}

func source(seed uint64, n int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{byte(seed)}), n)
}

func sendRandom(t testing.TB, s transport.Stream, seed uint64, n int64) {
	if _, err := io.Copy(s, source(seed, n)); err != nil {
		t.Errorf("send: %v", err)
	}
	s.Close()
}

func checkRandom(t testing.TB, s transport.Stream, seed uint64, n int64) {
	sent, got := sha256.New(), sha256.New()
	io.Copy(sent, source(seed, n))
	if size, err := io.Copy(got, s); err != nil || size != n || !same(sent, got) {
		t.Errorf("received %d bytes, %v", size, err)
	}
	s.Close()
}

// TestOfferTimesOut leaves an offer alone.
func TestOfferTimesOut(t *testing.T) {
	inBubble(t, simnet.Options{Latency: time.Millisecond}, func(w *world) {
		a := w.nodeWith("10.0.0.1:1", Options{DialTimeout: time.Minute}, transport.Config{Identity: someone(w, "alice")})
		b := w.node("bob", "10.0.0.2:1")
		start := time.Now()
		_, err := a.Dial(w.Context(), b.Local(), transport.Open{Protocol: "test"})
		refused, ok := errors.AsType[*transport.RefusedError](err)
		if !ok || refused.Reason != transport.ReasonBusy {
			w.Errorf("dial: %v, want busy", err)
		}
		if took := time.Since(start); took < decisionWait || took > decisionWait+time.Second {
			w.Errorf("refused after %v", took)
		}
		ctx, cancel := context.WithTimeout(w.Context(), time.Second)
		defer cancel()
		if o, err := b.Accept(ctx); err == nil {
			w.Errorf("a dead offer of %s was handed out", o.Peer().ID)
		}
		if n := counter(w, b, "offers_timed_out"); n != 1 {
			w.Errorf("counted %d", n)
		}
	})
}

// rawStream opens a QUIC stream without the opening header.
func (w *world) rawStream(a, b *Transport) *quic.Stream {
	w.Helper()
	s, other := connected(w, a, b)
	s.Close()
	other.Close()
	c, _ := a.conns.acquire(b.id, b.local, time.Now())
	defer a.conns.release(c, time.Now(), false)
	qs, err := c.qc.OpenStreamSync(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	return qs
}

func TestLateAndBadHeaders(t *testing.T) {
	inBubble(t, simnet.Options{Latency: time.Millisecond}, func(w *world) {
		a, b := w.node("alice", "10.0.0.1:1"), w.node("bob", "10.0.0.2:1")
		for name, tt := range map[string]struct {
			header string
			wait   time.Duration
		}{
			"half a header":  {"\x01\x05te", headerWait},
			"bad version":    {"\x09\x04test\x00\x00", 0},
			"no protocol":    {"\x01\x00\x00\x00", 0},
			"giant payload":  {"\x01\x04test\xff\xff", 0},
			"random garbage": {"GET / HTTP/1.1\r\n\r\n", 0},
		} {
			before := counter(w, b, "offers_bad_headers")
			qs := w.rawStream(a, b)
			start := time.Now()
			qs.Write([]byte(tt.header))
			_, err := io.ReadAll(qs)
			se, ok := errors.AsType[*quic.StreamError](err)
			if !ok || se.ErrorCode != streamBadHeader || !se.Remote {
				w.Errorf("%s: %v, want a reset", name, err)
			}
			if took := time.Since(start); took < tt.wait || took > tt.wait+time.Second {
				w.Errorf("%s: reset after %v", name, took)
			}
			if n := counter(w, b, "offers_bad_headers") - before; n != 1 {
				w.Errorf("%s: counted %d", name, n)
			}
			qs.CancelWrite(0)
		}
	})
}

// TestOffersOfOnePeer opens more streams than a peer may leave undecided, past
// the dialer's own limit.
func TestOffersOfOnePeer(t *testing.T) {
	inBubble(t, simnet.Options{Latency: time.Millisecond}, func(w *world) {
		a, b := w.node("alice", "10.0.0.1:1"), w.node("bob", "10.0.0.2:1")
		other := w.node("carol", "10.0.0.3:1")
		const extra = 10
		s, end := connected(w, a, b)
		s.Close()
		end.Close()
		c, _ := a.conns.acquire(b.id, b.local, time.Now())
		defer a.conns.release(c, time.Now(), false)
		busy := make(chan error, maxUndecidedPerPeer+extra)
		for range maxUndecidedPerPeer + extra {
			go func() {
				a.conns.use(c)
				_, err := a.ask(w.Context(), c, transport.Open{Protocol: "test"})
				busy <- err
			}()
		}
		for range extra {
			refused, ok := errors.AsType[*transport.RefusedError](<-busy)
			if !ok || refused.Reason != transport.ReasonBusy {
				w.Errorf("dial: %v, want busy", refused)
			}
		}
		if n := counter(w, b, "offers_busy"); n != extra {
			w.Errorf("%d refused, want %d", n, extra)
		}
		// Another peer has its own share.
		go func() {
			_, err := other.Dial(w.Context(), b.Local(), transport.Open{Protocol: "carol"})
			busy <- err
		}()
		accepted := 0
		for range maxUndecidedPerPeer + 1 {
			o, err := b.Accept(w.Context())
			if err != nil {
				w.Fatal(err)
			}
			if _, err := o.Accept(); err == nil {
				accepted++
			}
			want(w, "dial", <-busy, nil)
		}
		if accepted != maxUndecidedPerPeer+1 {
			w.Errorf("%d accepted", accepted)
		}
		b.conns.mu.Lock()
		waiting := b.conns.peers[a.id][0].waiting
		b.conns.mu.Unlock()
		if waiting != 0 {
			w.Errorf("%d offers still count as undecided", waiting)
		}
	})
}

// TestOffersOfAllPeers fills the table's own count, which no single peer can.
func TestOffersOfAllPeers(t *testing.T) {
	table := newTable(100)
	var conns []*conn
	for range maxUndecided / maxUndecidedPerPeer {
		id, err := identity.NewRandom("", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		c := &conn{peer: &identity.Peer{ID: id.ID()}}
		if _, err := table.add(c, time.Now()); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
		for range maxUndecidedPerPeer {
			if !table.hold(c) {
				t.Fatal("refused too early")
			}
		}
		if table.hold(c) {
			t.Error("one peer got more than its share")
		}
	}
	fresh := &conn{peer: &identity.Peer{}}
	if table.hold(fresh) {
		t.Error("no bound for all peers together")
	}
	table.decided(conns[0])
	if !table.hold(fresh) {
		t.Error("refused though one was decided")
	}
}

// TestIdleConnection is closed after a while without streams, and the next dial
// makes a new one; a stream keeps it.
func TestIdleConnection(t *testing.T) {
	inBubble(t, simnet.Options{Latency: time.Millisecond}, func(w *world) {
		a, b := w.node("alice", "10.0.0.1:1"), w.node("bob", "10.0.0.2:1")
		s, other := connected(w, a, b)
		ends := append(a.conns.newest(time.Now()), b.conns.newest(time.Now())...)
		time.Sleep(10 * time.Minute)
		mustWrite(w, s, "still here")
		mustRead(w, other, "still here")
		s.Close()
		other.Close()
		time.Sleep(time.Minute)
		if len(a.conns.newest(time.Now())) != 1 {
			w.Error("the connection went too early")
		}
		time.Sleep(2 * time.Minute)
		if n := len(a.conns.newest(time.Now())) + len(b.conns.newest(time.Now())); n != 0 {
			w.Errorf("%d connections are left", n)
		}
		for _, c := range ends {
			if c.qc.Context().Err() == nil {
				w.Error("a connection left the table and lives on")
			}
		}
		connected(w, a, b)
		if d := counter(w, a, "dials"); d != 2 {
			w.Errorf("%d dials, want 2", d)
		}
	})
}

// TestPathLost cuts the network under a stream.
func TestPathLost(t *testing.T) {
	inBubble(t, simnet.Options{Latency: time.Millisecond}, func(w *world) {
		a, b := w.node("alice", "10.0.0.1:1"), w.node("bob", "10.0.0.2:1")
		s, _ := connected(w, a, b)
		w.net.Partition([]netip.Addr{a.local.Addr()}, []netip.Addr{b.local.Addr()})
		start := time.Now()
		_, err := s.Read(make([]byte, 1))
		want(w, "read", err, transport.ErrPathLost)
		if took := time.Since(start); took > connIdle+keepAlive {
			w.Errorf("noticed after %v", took)
		}
		start = time.Now()
		_, err = a.Dial(w.Context(), b.Local(), transport.Open{Protocol: "test"})
		want(w, "dial", err, transport.ErrNoAnswer)
		if took := time.Since(start); took > a.opts.DialTimeout {
			w.Errorf("gave up after %v", took)
		}
	})
}

// TestNoAnswerOnLiveConnection: the caller's patience is shorter than a
// decision.
func TestDialTimeout(t *testing.T) {
	inBubble(t, simnet.Options{Latency: time.Millisecond}, func(w *world) {
		a := w.nodeWith("10.0.0.1:1", Options{DialTimeout: 3 * time.Second}, transport.Config{Identity: someone(w, "alice")})
		b := w.node("bob", "10.0.0.2:1")
		_, err := a.Dial(w.Context(), b.Local(), transport.Open{Protocol: "test"})
		want(w, "dial", err, transport.ErrNoAnswer)
		ctx, cancel := context.WithTimeout(w.Context(), time.Second)
		defer cancel()
		_, err = a.Dial(ctx, b.Local(), transport.Open{Protocol: "test"})
		want(w, "dial", err, context.DeadlineExceeded)
	})
}

// TestStreamLimit opens as many streams as a peer may on all its connections,
// and one more.
func TestStreamLimit(t *testing.T) {
	inBubble(t, simnet.Options{Latency: time.Millisecond}, func(w *world) {
		a := w.node("alice", "10.0.0.1:1")
		b := w.nodeWith("10.0.0.2:1", Options{MaxIncomingStreams: 3}, transport.Config{Identity: someone(w, "bob")})
		var last, other transport.Stream
		for range 3 * maxPerPeer {
			last, other = connected(w, a, b)
		}
		if n := counter(w, a, "dials"); n != maxPerPeer {
			w.Errorf("%d connections for the streams, want %d", n, maxPerPeer)
		}
		_, err := a.Dial(w.Context(), b.Local(), transport.Open{Protocol: "test"})
		refused, ok := errors.AsType[*transport.RefusedError](err)
		if !ok || refused.Reason != transport.ReasonBusy || counter(w, a, "conns_clogged") != maxPerPeer {
			w.Errorf("dial: %v, want busy", err)
		}
		last.Reset()
		other.Close()
		time.Sleep(time.Second)
		connected(w, a, b)
	})
}

// TestTableIsFull: an idle connection makes room, a used one does not.
func TestTableIsFull(t *testing.T) {
	inBubble(t, simnet.Options{Latency: time.Millisecond}, func(w *world) {
		b := w.nodeWith("10.0.0.2:1", Options{MaxConnections: 2}, transport.Config{Identity: someone(w, "bob")})
		alice, carol, dave := w.node("alice", "10.0.0.1:1"), w.node("carol", "10.0.0.3:1"), w.node("dave", "10.0.0.4:1")
		sa, oa := connected(w, alice, b)
		connected(w, carol, b)
		_, err := dave.Dial(w.Context(), b.Local(), transport.Open{Protocol: "test"})
		refused, ok := errors.AsType[*transport.RefusedError](err)
		if !ok || refused.Reason != transport.ReasonBusy {
			w.Errorf("dial: %v, want busy", err)
		}
		if n := counter(w, b, "conns_refused"); n != 1 {
			w.Errorf("counted %d", n)
		}
		sa.Close()
		oa.Close()
		time.Sleep(time.Second)
		connected(w, dave, b)
		if n := len(b.Peers()); n != 2 {
			w.Errorf("%d peers, want 2", n)
		}
	})
}

// TestCertificateRunsOut ends a live connection at the end of its certificate.
func TestCertificateRunsOut(t *testing.T) {
	inBubble(t, simnet.Options{Latency: time.Millisecond}, func(w *world) {
		acme := newConsortium(w, "acme")
		a := w.nodeWith("10.0.0.1:1", Options{}, transport.Config{Identity: acme.member(w, "alice", time.Time{}, time.Hour), Trust: acme.trust})
		b := w.nodeWith("10.0.0.2:1", Options{}, transport.Config{Identity: acme.member(w, "bob", time.Time{}, 24*time.Hour), Trust: acme.trust})
		s, other := connected(w, a, b)
		time.Sleep(59 * time.Minute)
		mustWrite(w, s, "x")
		mustRead(w, other, "x")
		time.Sleep(2 * time.Minute)
		_, err := other.Read(make([]byte, 1))
		want(w, "read from an expired peer", err, transport.ErrUntrusted)
		_, err = a.Dial(w.Context(), b.Local(), transport.Open{Protocol: "test"})
		want(w, "dial", err, transport.ErrUntrusted)
	})
}

// TestRetry asks for address proof when handshakes come too fast.
func TestRetry(t *testing.T) {
	inBubble(t, simnet.Options{Latency: time.Millisecond}, func(w *world) {
		b := w.node("bob", "10.0.0.2:1")
		socket, err := w.net.Listen(netip.MustParseAddrPort("10.0.0.9:1"))
		if err != nil {
			w.Fatal(err)
		}
		tr := &quic.Transport{Conn: socket}
		conf := b.auth.client(b.id, &handshake{})
		for range 2 * handshakeRate { // abandoned at once
			ctx, cancel := context.WithTimeout(w.Context(), 500*time.Microsecond)
			tr.Dial(ctx, net.UDPAddrFromAddrPort(b.local), conf, nil)
			cancel()
		}
		time.Sleep(10 * time.Millisecond)
		connected(w, w.node("alice", "10.0.0.1:1"), b)
		if n := counter(w, b, "retries"); n == 0 {
			w.Error("nobody had to prove its address")
		}
		tr.Close()
		socket.Close()
	})
}

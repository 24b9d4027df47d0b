package udp

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/quic-go/quic-go"

	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/transport"
)

// Both ends of every benchmark share the machine, so the figures are of both
// together.

// BenchmarkCall asks a known peer, with so many calls in flight.
func BenchmarkCall(b *testing.B) {
	for _, inFlight := range []int{1, 64} {
		b.Run(fmt.Sprintf("inflight=%d", inFlight), func(b *testing.B) {
			alice, bob := node(b, "alice"), node(b, "bob")
			answerAll(bob)
			req := transport.Request{Data: make([]byte, 100), Idempotent: true}
			if _, err := alice.Call(b.Context(), bob.Local(), req); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			atOnce(b, inFlight, func() error {
				_, err := alice.Call(context.Background(), bob.Local(), req)
				return err
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
		})
	}
}

// answerAll answers calls with 100 bytes until the transport closes.
func answerAll(n *Transport) {
	answer := make([]byte, 100)
	go func() {
		for {
			c, err := n.AcceptCall(context.Background())
			if err != nil {
				return
			}
			_ = c.Answer(answer)
		}
	}()
}

// atOnce runs f b.N times, so many at once.
func atOnce(b *testing.B, workers int, f func() error) {
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	b.ResetTimer()
	for range workers {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if err := f(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
}

// BenchmarkFirstCall asks a stranger each time.
func BenchmarkFirstCall(b *testing.B) {
	bob := node(b, "bob")
	answerAll(bob)
	req := transport.Request{Data: make([]byte, 100), Idempotent: true}
	for i := range b.N {
		b.StopTimer()
		alice := node(b, fmt.Sprint("alice", i))
		b.StartTimer()
		if _, err := alice.Call(context.Background(), bob.Local(), req); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		alice.Close()
		b.StartTimer()
	}
}

const chunk = 256 << 10

// BenchmarkStream writes to one stream as fast as it goes.
func BenchmarkStream(b *testing.B) {
	alice, bob := node(b, "alice"), node(b, "bob")
	s, other := connected(b, alice, bob)
	pump(b, s, other)
}

// BenchmarkBareQUIC is BenchmarkStream on quic-go alone.
func BenchmarkBareQUIC(b *testing.B) {
	s, other := bareStream(b)
	pump(b, s, other)
}

func pump(b *testing.B, to io.WriteCloser, from io.Reader) {
	done := make(chan int64, 1)
	go func() {
		n, _ := io.CopyBuffer(struct{ io.Writer }{io.Discard}, from, make([]byte, chunk))
		done <- n
	}()
	data := make([]byte, chunk)
	b.SetBytes(chunk)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if _, err := to.Write(data); err != nil {
			b.Fatal(err)
		}
	}
	to.Close()
	if n := <-done; n != int64(b.N)*chunk {
		b.Fatalf("received %d bytes of %d", n, int64(b.N)*chunk)
	}
}

// BenchmarkFreshStream opens a stream for one question and one answer.
func BenchmarkFreshStream(b *testing.B) {
	for _, inFlight := range []int{1, 64} {
		b.Run(fmt.Sprintf("inflight=%d", inFlight), func(b *testing.B) {
			alice, bob := node(b, "alice"), node(b, "bob")
			echoStreams(bob)
			open := transport.Open{Protocol: "bench"}
			atOnce(b, inFlight, func() error {
				s, err := alice.Dial(context.Background(), bob.Local(), open)
				if err != nil {
					return err
				}
				return question(s)
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "streams/s")
		})
	}
}

// BenchmarkBareFreshStream is BenchmarkFreshStream on quic-go alone, which
// waits for no acceptance.
func BenchmarkBareFreshStream(b *testing.B) {
	for _, inFlight := range []int{1, 64} {
		b.Run(fmt.Sprintf("inflight=%d", inFlight), func(b *testing.B) {
			client, server := bareConn(b)
			go func() {
				for {
					s, err := server.AcceptStream(context.Background())
					if err != nil {
						return
					}
					go echo(s)
				}
			}()
			atOnce(b, inFlight, func() error {
				s, err := client.OpenStreamSync(context.Background())
				if err != nil {
					return err
				}
				return question(s)
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "streams/s")
		})
	}
}

// echoStreams accepts streams and echoes until the transport closes.
func echoStreams(n *Transport) {
	go func() {
		for {
			o, err := n.Accept(context.Background())
			if err != nil {
				return
			}
			if s, err := o.Accept(); err == nil {
				go echo(s)
			}
		}
	}()
}

func echo(s io.ReadWriteCloser) {
	io.Copy(struct{ io.Writer }{s}, s)
	s.Close()
}

// question sends 128 bytes and reads them back.
func question(s io.ReadWriteCloser) error {
	defer s.Close()
	buf := make([]byte, 128)
	if _, err := s.Write(buf); err != nil {
		return err
	}
	_, err := io.ReadFull(s, buf)
	return err
}

// bareConn are the two ends of a connection of quic-go, with the same kind of
// certificates.
func bareConn(b *testing.B) (client, server *quic.Conn) {
	b.Helper()
	conf := func(name string) *tls.Config {
		return &tls.Config{
			Certificates: []tls.Certificate{identity.TLSCertificate(someone(b, name))}, NextProtos: []string{alpn},
			InsecureSkipVerify: true, ClientAuth: tls.RequireAnyClientCert, CurvePreferences: []tls.CurveID{tls.X25519},
		}
	}
	var ends [2]*quic.Transport
	for i := range ends {
		socket, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
		if err != nil {
			b.Fatal(err)
		}
		ends[i] = &quic.Transport{Conn: socket}
		b.Cleanup(func() { ends[i].Close(); socket.Close() })
	}
	ln, err := ends[1].Listen(conf("bob"), &quic.Config{MaxIncomingStreams: 4096})
	if err != nil {
		b.Fatal(err)
	}
	if client, err = ends[0].Dial(b.Context(), ln.Addr(), conf("alice"), nil); err != nil {
		b.Fatal(err)
	}
	if server, err = ln.Accept(b.Context()); err != nil {
		b.Fatal(err)
	}
	return client, server
}

func bareStream(b *testing.B) (s, other *quic.Stream) {
	b.Helper()
	client, server := bareConn(b)
	s, err := client.OpenStreamSync(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	if _, err := s.Write([]byte("x")); err != nil {
		b.Fatal(err)
	}
	if other, err = server.AcceptStream(b.Context()); err != nil {
		b.Fatal(err)
	}
	if _, err := io.ReadFull(other, make([]byte, 1)); err != nil {
		b.Fatal(err)
	}
	return s, other
}

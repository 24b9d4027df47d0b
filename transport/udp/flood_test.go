package udp

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/staex-mcc/mcc/transport"
	"github.com/staex-mcc/mcc/transport/udp/mux"
)

// TestBulkUnderFlood runs a transfer while a stranger floods both sockets with
// packets of every kind. What arrives must be what was sent, in batches.
func TestBulkUnderFlood(t *testing.T) {
	a, b := node(t, "alice"), node(t, "bob")
	s, other := connected(t, a, b)
	sent, received := sha256.New(), sha256.New()
	const size, chunk = 24 << 20, 64 << 10

	go func() {
		defer s.Close()
		stranger, rng, data := udpSocket(t), rand.New(rand.NewPCG(5, 6)), rand.NewChaCha8([32]byte{1})
		for range size / chunk {
			if _, err := io.CopyN(io.MultiWriter(s, sent), data, chunk); err != nil {
				t.Errorf("send: %v", err)
				return
			}
			for i := range 32 {
				flood(t, stranger, []*Transport{a, b}[i%2].local, rng)
			}
		}
	}()
	n, err := io.Copy(received, other)
	if err != nil || n != size || !same(sent, received) {
		t.Fatalf("received %d bytes of %d, %v, same %v", n, size, err, same(sent, received))
	}
	for _, n := range []*Transport{a, b} {
		if counter(t, n, "packets_sealed") == 0 || counter(t, n, "packets_junk") == 0 {
			t.Error("the flood did not reach the node")
		}
	}
	if runtime.GOOS == "linux" {
		qc := a.conns.newest(time.Now())[0].qc
		if !qc.ConnectionState().GSO {
			t.Error("quic-go gave up segmentation offload")
		}
		if gso, packets := counter(t, a, "quic_batches"), qc.ConnectionStats().PacketsSent; gso == 0 || gso > packets/2 {
			t.Errorf("%d batches for %d packets", gso, packets)
		}
	}
	again, end := connected(t, a, b) // the node is in order
	mustWrite(t, again, "ping")
	mustRead(t, end, "ping")
}

func same(a, b hash.Hash) bool { return bytes.Equal(a.Sum(nil), b.Sum(nil)) }

// flood sends a packet that begins with any byte, of any length.
func flood(t *testing.T, from *net.UDPConn, to netip.AddrPort, rng *rand.Rand) {
	b := randomBytes(rng, rng.IntN(300))
	if len(b) > 0 && rng.IntN(2) == 0 {
		b[0] = 0x04 + byte(rng.IntN(12))
	}
	if _, err := from.WriteToUDPAddrPort(b, to); err != nil && !errors.Is(err, syscall.ENOBUFS) {
		t.Errorf("flood: %v", err)
	}
}

// TestTruncatedPackets replays real packets cut short, with bytes turned, and
// from elsewhere, while a stream works.
func TestTruncatedPackets(t *testing.T) {
	a, b := node(t, "alice"), node(t, "bob")
	captured := capture(t, b)
	s, other := connected(t, a, b)
	go io.Copy(other, other)
	stranger := udpSocket(t)
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range 300 {
		for _, p := range captured {
			cut := bytes.Clone(p[:rng.IntN(len(p)+1)])
			if len(cut) > 0 && i%2 == 0 {
				cut[rng.IntN(len(cut))] ^= 1 << rng.IntN(8)
			}
			stranger.WriteToUDPAddrPort(cut, b.local)
		}
		line := fmt.Sprintf("line %d", i)
		mustWrite(t, s, line)
		mustRead(t, s, line)
	}
}

// capture returns the packets of a dial, taken by a relay in the middle.
func capture(t *testing.T, to *Transport) [][]byte {
	middle := udpSocket(t)
	var mu sync.Mutex
	var packets [][]byte
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 2000)
		var client netip.AddrPort
		for {
			n, from, err := middle.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			dst := to.local
			if from == to.local {
				dst = client
			} else {
				client = from
			}
			mu.Lock()
			packets = append(packets, bytes.Clone(buf[:n]))
			mu.Unlock()
			middle.WriteToUDPAddrPort(buf[:n], dst)
		}
	}()
	dialer := node(t, "dialer")
	ch := accepted(t, to)
	s, err := dialer.Dial(limit(t), transport.Contact{ID: to.id, Addr: mux.AddrPort(middle.LocalAddr())}, transport.Open{Protocol: "test"})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if other := <-ch; other != nil {
		other.Close()
	}
	dialer.Close()
	middle.Close()
	<-done
	if len(packets) < 4 {
		t.Fatalf("captured only %d packets", len(packets))
	}
	return packets
}

func randomBytes(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

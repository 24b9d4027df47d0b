package mux

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"syscall"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/net/ipv4"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func want(t testing.TB, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: got error %v, want %v", what, err, target)
	}
}

func udpSocket(t testing.TB) *net.UDPConn {
	t.Helper()
	s, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestCompact checks batches of every mix against what was put in, and that the
// slots keep their own buffers.
func TestCompact(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		m := New(nil)
		ms := make([]ipv4.Message, 8)
		type message struct{ data, oob, addr string }
		var quics, seals []message
		junk := uint64(0)
		owners := make([]*byte, len(ms))
		for i := range ms {
			ms[i].Buffers = [][]byte{make([]byte, 1452)}
			ms[i].OOB = make([]byte, 128)
			owners[i] = &ms[i].Buffers[0][0]
		}
		n := 1 + rng.IntN(len(ms))
		for i := range n {
			data := randomBytes(rng, 1+rng.IntN(1200))
			oob := randomBytes(rng, rng.IntN(100))
			addr := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1 + rng.IntN(65535)}
			whole := message{string(data), string(oob), addr.String()}
			switch rng.IntN(4) {
			case 0:
				data[0] = 0x04 + byte(rng.IntN(12))
				whole.data = string(data)
				seals = append(seals, whole)
			case 1:
				if data[0] = byte(rng.IntN(4)); rng.IntN(2) == 0 {
					data[0] = 0x10 + byte(rng.IntN(0x30))
				}
				if rng.IntN(4) == 0 {
					data = nil
				}
				junk++
			default:
				data[0] |= 0x40
				whole.data = string(data)
				quics = append(quics, whole)
			}
			ms[i].N, ms[i].NN, ms[i].Addr = copy(ms[i].Buffers[0], data), copy(ms[i].OOB, oob), addr
		}

		kept := m.compact(ms[:n])
		if kept != len(quics) {
			t.Fatalf("kept %d messages, want %d", kept, len(quics))
		}
		for i, want := range quics {
			got := message{string(ms[i].Buffers[0][:ms[i].N]), string(ms[i].OOB[:ms[i].NN]), ms[i].Addr.String()}
			if got != want {
				t.Fatalf("message %d differs", i)
			}
		}
		for i := range ms {
			if &ms[i].Buffers[0][0] != owners[i] {
				t.Fatalf("slot %d has another's buffer", i)
			}
		}
		for i, want := range seals {
			p := <-m.inbox
			if string(p.Data) != want.data || p.From.String() != want.addr {
				t.Fatalf("sealed packet %d differs", i)
			}
			p.Free()
		}
		if len(m.inbox) != 0 || m.counts.junk.Load() != junk || m.counts.sealed.Load() != uint64(len(seals)) {
			t.Fatalf("%d packets too many, junk %d, want %d", len(m.inbox), m.counts.junk.Load(), junk)
		}
	}
}

func randomBytes(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// TestInboxDropsNewest fills the queue that nobody empties.
func TestInboxDropsNewest(t *testing.T) {
	m := New(nil)
	from := net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:1"))
	for i := range inboxSize + 5 {
		m.peel(binary.BigEndian.AppendUint32([]byte{4}, uint32(i)), from)
	}
	if m.counts.dropped.Load() != 5 {
		t.Errorf("%d packets dropped, want 5", m.counts.dropped.Load())
	}
	for i := range inboxSize {
		if p := <-m.inbox; binary.BigEndian.Uint32(p.Data[1:]) != uint32(i) {
			t.Fatalf("packet %d is %x", i, p.Data)
		}
	}
}

// TestReadBatchWaitsForQUIC: a batch of our packets only must not come back
// empty.
func TestReadBatchWaitsForQUIC(t *testing.T) {
	socket, from := udpSocket(t), udpSocket(t)
	m, to := New(socket), AddrPort(socket.LocalAddr())
	front := newBatched(m, socket)
	const ours = 20
	for range ours {
		from.WriteToUDPAddrPort([]byte("\x04sealed"), to)
	}
	result := make(chan string, 1)
	go func() {
		ms := make([]ipv4.Message, 8)
		for i := range ms {
			ms[i].Buffers, ms[i].OOB = [][]byte{make([]byte, 1452)}, make([]byte, 128)
		}
		n, err := front.ReadBatch(ms, 0)
		result <- fmt.Sprintf("%d %v %q", n, err, ms[0].Buffers[0][:ms[0].N])
	}()
	for range ours {
		select {
		case p := <-m.Packets():
			p.Free()
		case got := <-result:
			t.Fatalf("returned %s before there was a QUIC packet", got)
		}
	}
	from.WriteToUDPAddrPort([]byte("\x40quic"), to)
	if got := <-result; got != `1 <nil> "@quic"` {
		t.Errorf("got %s", got)
	}
}

// failing is a socket whose sends fail with err and whose reads return errs,
// then a packet.
type failing struct {
	net.PacketConn
	err  error
	errs []error
}

func (f *failing) WriteTo([]byte, net.Addr) (int, error) { return 0, f.err }

func (f *failing) ReadFrom(b []byte) (int, net.Addr, error) {
	if len(f.errs) > 0 {
		err := f.errs[0]
		f.errs = f.errs[1:]
		return 0, nil, err
	}
	b[0] = 0x40
	return 1, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}, nil
}

func TestSoftErrors(t *testing.T) {
	to := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}
	for _, errno := range []syscall.Errno{syscall.EINVAL, syscall.ENOBUFS, syscall.ENETUNREACH, syscall.EPERM, syscall.ECONNREFUSED, syscall.EIO} {
		m := New(&failing{err: os.NewSyscallError("sendto", errno)})
		if n, err := m.Front().WriteTo(make([]byte, 7), to); n != 7 || err != nil {
			t.Errorf("%v: got %d, %v; want a packet that is lost", errno, n, err)
		}
		m.Send(AddrPort(to), make([]byte, 7))
		if n := m.counts.sendErrors.Load(); n != 2 {
			t.Errorf("%v: counted %d times", errno, n)
		}
	}
	for _, hard := range []error{syscall.EMSGSIZE, syscall.Errno(10040), net.ErrClosed} {
		_, err := New(&failing{err: hard}).Front().WriteTo(make([]byte, 7), to)
		want(t, "quic-go needs it", err, hard)
	}

	m := New(&failing{errs: []error{syscall.ECONNREFUSED, syscall.EMSGSIZE, syscall.EINVAL}})
	if n, _, err := m.Front().ReadFrom(make([]byte, 10)); n != 1 || err != nil {
		t.Errorf("read %d, %v past soft errors", n, err)
	}
	if n := m.counts.readErrors.Load(); n != 3 {
		t.Errorf("counted %d read errors, want 3", n)
	}
	for _, hard := range []error{net.ErrClosed, os.ErrDeadlineExceeded} {
		_, _, err := New(&failing{errs: []error{hard}}).Front().ReadFrom(make([]byte, 10))
		want(t, "the reader must end", err, hard)
	}
}

// TestSegmentsThatFail: only a batch with a segment size may fail with EIO.
func TestSegmentsThatFail(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("segmentation offload is Linux's")
	}
	socket := udpSocket(t)
	m := New(socket)
	front := newBatched(m, socket)
	oob := []byte{18, 0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 0, 103, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0} // UDP_SEGMENT of one byte
	if !segmented(oob) || segmented(nil) || segmented(oob[:10]) {
		t.Skip("control messages look different here")
	}
	to := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9}
	_, _, err := front.WriteMsgUDP(make([]byte, 3000), oob, to)
	want(t, "a batch the kernel refuses", err, syscall.EIO)
	if _, _, err = front.WriteMsgUDP(make([]byte, 7), nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
		t.Errorf("a packet the kernel refuses: %v, want a packet that is lost", err)
	}
	if got := m.counts.sendErrors.Load(); got != 2 {
		t.Errorf("counted %d errors, want 2", got)
	}
}

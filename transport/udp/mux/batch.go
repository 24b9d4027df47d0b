package mux

import (
	"errors"
	"net"
	"os"
	"syscall"

	"github.com/quic-go/quic-go"
	"golang.org/x/net/ipv4"
)

// maxQUICPacket is the longest single packet quic-go sends; a longer write is a
// batch for segmentation offload.
const maxQUICPacket = 1452

// batched is the front of a real UDP socket. It is a quic.OOBCapablePacketConn
// with its own ReadBatch, the documented way to stay between quic-go and the
// socket while it keeps recvmmsg, GSO, ECN and the don't-fragment bit. On
// systems where quic-go reads packets singly (Windows) it uses ReadFrom.
type batched struct {
	*net.UDPConn
	m     *Mux
	batch *ipv4.PacketConn
}

var _ quic.OOBCapablePacketConn = (*batched)(nil)

func newBatched(m *Mux, conn *net.UDPConn) *batched {
	// ipv4.PacketConn reads batches of either IP version.
	return &batched{UDPConn: conn, m: m, batch: ipv4.NewPacketConn(conn)}
}

// ReadFrom returns the next QUIC packet.
func (f *batched) ReadFrom(b []byte) (int, net.Addr, error) { return f.m.readFrom(f.UDPConn, b) }

// WriteTo sends one QUIC packet.
func (f *batched) WriteTo(b []byte, to net.Addr) (int, error) { return f.m.writeTo(f.UDPConn, b, to) }

// ReadBatch fills ms with QUIC packets and returns how many, at least one.
// (0, nil) would make quic-go deliver what is left in its slots from before,
// and so would an error other than the one that ends its reader.
func (f *batched) ReadBatch(ms []ipv4.Message, flags int) (int, error) {
	for {
		n, err := f.batch.ReadBatch(ms, flags)
		if f.m.giveUp(err) {
			return 0, err
		}
		if err != nil {
			continue
		}
		if n = f.m.compact(ms[:n]); n > 0 {
			return n, nil
		}
	}
}

// compact peels off what is not QUIC's and moves the rest to the front.
//
// It copies contents between slots and never the slots themselves: quic-go
// pairs slot i with a buffer it keeps outside the message, so a swapped slot
// would be released while its bytes are still in use.
func (m *Mux) compact(ms []ipv4.Message) int {
	kept := 0
	for i := range ms {
		if m.peel(ms[i].Buffers[0][:ms[i].N], ms[i].Addr) {
			continue
		}
		if kept != i {
			moveMessage(&ms[kept], &ms[i])
		}
		kept++
	}
	return kept
}

func moveMessage(dst, src *ipv4.Message) {
	dst.N = copy(dst.Buffers[0], src.Buffers[0][:src.N])
	dst.NN = copy(dst.OOB, src.OOB[:src.NN])
	dst.Flags = src.Flags
	dst.Addr = src.Addr
}

// ReadMsgUDP returns the next QUIC packet. quic-go does not call it when there
// is a ReadBatch.
func (f *batched) ReadMsgUDP(b, oob []byte) (n, oobn, flags int, addr *net.UDPAddr, err error) {
	for {
		n, oobn, flags, addr, err = f.UDPConn.ReadMsgUDP(b, oob)
		if f.m.giveUp(err) || err == nil && !f.m.peel(b[:n], addr) {
			return n, oobn, flags, addr, err
		}
	}
}

// WriteMsgUDP sends one QUIC packet, or a batch of equal segments when oob asks
// for segmentation.
func (f *batched) WriteMsgUDP(b, oob []byte, to *net.UDPAddr) (int, int, error) {
	n, oobn, err := f.UDPConn.WriteMsgUDP(b, oob, to)
	if err == nil {
		if len(b) > maxQUICPacket {
			f.m.counts.batches.Add(1)
		}
		return n, oobn, nil
	}
	if segmented(oob) && !errors.Is(err, net.ErrClosed) {
		// The interface or the path cannot take segments. EIO is how quic-go
		// is told to send this batch packet by packet and to stop asking.
		f.m.counts.sendErrors.Add(1)
		return 0, 0, os.NewSyscallError("sendmsg", syscall.EIO)
	}
	return len(b), len(oob), f.m.survive(err)
}

package simnet_test

import (
	"testing"
	"time"

	"github.com/staex-mcc/mcc/transport/simnet"
)

// BenchmarkPacket sends a packet and reads it, one at a time, in real time.
func BenchmarkPacket(b *testing.B) {
	n := network(b, simnet.Options{})
	from, to := listen(b, n, alice), listen(b, n, bob)
	packet, buf := make([]byte, 1200), make([]byte, 1500)
	b.SetBytes(int64(len(packet)))
	b.ReportAllocs()
	for b.Loop() {
		from.WriteToUDPAddrPort(packet, bob)
		to.ReadFromUDPAddrPort(buf)
	}
}

// BenchmarkBurst keeps 64 packets on their way through a lossy link.
func BenchmarkBurst(b *testing.B) {
	n := network(b, simnet.Options{Jitter: time.Microsecond, Duplicate: 0.1})
	from, to := listen(b, n, alice), listen(b, n, bob)
	packet, buf := make([]byte, 1200), make([]byte, 1500)
	b.ReportAllocs()
	for b.Loop() {
		for range 64 {
			from.WriteToUDPAddrPort(packet, bob)
		}
		for range 64 {
			to.ReadFromUDPAddrPort(buf)
		}
	}
}

package udp_test

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/staex-mcc/mcc/transport"
	"github.com/staex-mcc/mcc/transport/simnet"
	"github.com/staex-mcc/mcc/transport/transporttest"
	"github.com/staex-mcc/mcc/transport/udp"
)

// loopback is real sockets and the batch path.
var loopback = transporttest.Fixture{
	Factory: func(testing.TB) transport.Factory { return udp.Listen(udp.Options{}) },
}

// single is real sockets without what a *net.UDPConn can do beyond a
// net.PacketConn, as on systems without batches.
var single = transporttest.Fixture{
	Factory: func(t testing.TB) transport.Factory {
		return func(cfg transport.Config) (transport.Transport, error) {
			socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err != nil {
				return nil, err
			}
			return udp.New(udp.Options{Socket: struct{ net.PacketConn }{socket}}, cfg)
		}
	},
}

// virtual is one host per node on a virtual network.
func virtual(opts simnet.Options) transporttest.Fixture {
	return transporttest.Fixture{
		Virtual: true,
		Factory: func(t testing.TB) transport.Factory {
			network := simnet.New(opts)
			t.Cleanup(func() { network.Close() })
			host := 0
			return func(cfg transport.Config) (transport.Transport, error) {
				host++
				at := netip.MustParseAddr(fmt.Sprintf("10.0.%d.%d", host/250, 1+host%250))
				socket, err := network.Listen(netip.AddrPortFrom(at, 9376))
				if err != nil {
					return nil, err
				}
				return udp.New(udp.Options{Socket: socket}, cfg)
			}
		},
	}
}

func TestConformance(t *testing.T) { transporttest.Run(t, loopback) }

func TestConformanceSingle(t *testing.T) {
	if testing.Short() {
		t.Skip("10 s of waiting, as in TestConformance")
	}
	transporttest.Run(t, single)
}

func TestConformanceVirtual(t *testing.T) {
	transporttest.Run(t, virtual(simnet.Options{Seed: 1, Latency: 10 * time.Millisecond}))
}

func TestConformanceLossy(t *testing.T) {
	transporttest.Run(t, virtual(simnet.Options{
		Seed: 1, Latency: 10 * time.Millisecond, Jitter: 3 * time.Millisecond, Loss: 0.05, Duplicate: 0.01, Reorder: 0.01,
	}))
}

func TestConn(t *testing.T)       { transporttest.TestConn(t, loopback) }
func TestConnSingle(t *testing.T) { transporttest.TestConn(t, single) }

// TestConnSimnet is in real time, as nettest is, over a network without delay.
func TestConnSimnet(t *testing.T) {
	f := virtual(simnet.Options{Seed: 1})
	f.Virtual = false
	transporttest.TestConn(t, f)
}

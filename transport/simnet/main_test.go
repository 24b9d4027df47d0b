package simnet_test

import (
	"net/netip"
	"testing"

	"go.uber.org/goleak"

	"github.com/staex-mcc/mcc/transport/simnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	alice = netip.MustParseAddrPort("10.0.0.1:9376")
	bob   = netip.MustParseAddrPort("10.0.0.2:9376")
	carol = netip.MustParseAddrPort("10.0.0.3:9376")
)

// network makes a network that ends with the test.
func network(t testing.TB, opts simnet.Options) *simnet.Network {
	t.Helper()
	n := simnet.New(opts)
	t.Cleanup(func() { n.Close() })
	return n
}

func listen(t testing.TB, n *simnet.Network, addr netip.AddrPort) *simnet.Socket {
	t.Helper()
	s, err := n.Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func send(t testing.TB, from *simnet.Socket, to netip.AddrPort, text string) {
	t.Helper()
	if n, err := from.WriteToUDPAddrPort([]byte(text), to); err != nil || n != len(text) {
		t.Fatalf("write to %s: %d, %v", to, n, err)
	}
}

// receive reads one packet; tests that may get none set a deadline first.
func receive(t testing.TB, s *simnet.Socket) (text string, from netip.AddrPort) {
	t.Helper()
	buf := make([]byte, 2000)
	n, from, err := s.ReadFromUDPAddrPort(buf)
	if err != nil {
		t.Fatalf("read at %s: %v", s.AddrPort(), err)
	}
	return string(buf[:n]), from
}

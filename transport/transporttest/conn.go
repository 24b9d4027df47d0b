package transporttest

import (
	"net"
	"testing"

	"golang.org/x/net/nettest"

	"github.com/staex-mcc/mcc/transport"
)

// TestConn runs golang.org/x/net/nettest.TestConn on the implementation's
// streams, a pair of nodes for each of its tests, and then once more with the
// ends swapped. It runs in real time, so a Virtual fixture is not for it.
func TestConn(t *testing.T, f Fixture) {
	if f.Virtual {
		t.Fatal("nettest runs in real time: give TestConn a fixture that does")
	}
	if f.Patience == 0 {
		f.Patience = defaultPatience
	}
	checkLeaks(t, f)
	t.Run("Dialer", func(t *testing.T) {
		nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) { return pipe(t, f, false) })
	})
	t.Run("Acceptor", func(t *testing.T) {
		nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) { return pipe(t, f, true) })
	})
}

func pipe(t *testing.T, f Fixture, swap bool) (c1, c2 net.Conn, stop func(), err error) {
	r := newRig(t, f)
	alice, bob := r.pairOf()
	pending := alice.dial(bob.at(), transport.Open{Protocol: "nettest"})
	accepted, err := bob.offered().Accept()
	r.must("accept", err)
	dialed := wait(r, "the outcome of a dial", pending)
	r.must("dial", dialed.err)
	stop = func() {
		alice.Close()
		bob.Close()
	}
	if swap {
		return accepted, dialed.Stream, stop, nil
	}
	return dialed.Stream, accepted, stop, nil
}

package simnet_test

import (
	"fmt"
	"net/netip"
	"os"

	"github.com/staex-mcc/mcc/transport/simnet"
)

func Example() {
	trace := simnet.NewTrace(0)
	network := simnet.New(simnet.Options{Trace: trace})
	alice, _ := network.Listen(netip.MustParseAddrPort("10.0.0.1:9376"))
	bob, _ := network.Listen(netip.MustParseAddrPort("10.0.0.2:9376"))

	alice.WriteTo([]byte("hello"), bob.LocalAddr())
	buf := make([]byte, 1500)
	n, from, _ := bob.ReadFrom(buf)
	fmt.Printf("%s from %s\n", buf[:n], from)

	network.Close() // everything is at rest now
	trace.WriteMermaid(os.Stdout)
	// Output:
	// hello from 10.0.0.1:9376
	// sequenceDiagram
	//     participant n1 as 10.0.0.1:9376
	//     participant n2 as 10.0.0.2:9376
	//     n1->>n2: 0.0 ms 0x68 5 B
}

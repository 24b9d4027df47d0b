package simnet_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/staex-mcc/mcc/transport/simnet"
)

func TestMermaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		trace := simnet.NewTrace(4)
		n := network(t, simnet.Options{Latency: 10 * time.Millisecond, Trace: trace})
		a, b := listen(t, n, alice), listen(t, n, bob)
		send(t, a, bob, "\x05 hello")
		receive(t, b)
		send(t, b, alice, "\x06")
		receive(t, a)
		n.SetDown(bob.Addr(), true)
		send(t, a, bob, "")
		send(t, a, carol, "?")
		time.Sleep(time.Second)
		send(t, a, carol, "past the limit")
		if trace.Missed() != 1 {
			t.Errorf("missed %d packets, want 1", trace.Missed())
		}

		var plain strings.Builder
		if err := trace.WriteMermaid(&plain); err != nil {
			t.Fatal(err)
		}
		want := `sequenceDiagram
    participant n1 as 10.0.0.1:9376
    participant n2 as 10.0.0.2:9376
    participant n3 as 10.0.0.3:9376
    n1->>n2: 0.0 ms 0x05 7 B
    n2->>n1: 10.0 ms 0x06 1 B
    n1-xn2: 20.0 ms 0x00 0 B cut
    n1-xn3: 20.0 ms 0x3f 1 B unreachable
`
		if diff := cmp.Diff(want, plain.String()); diff != "" {
			t.Error(diff)
		}

		var named strings.Builder
		simnet.Diagram{
			Name: func(a netip.AddrPort) string { return map[netip.AddrPort]string{alice: "alice;\n"}[a] },
			Kind: func(p simnet.Traced) string { return map[byte]string{5: "hello"}[p.First] },
		}.Write(&named, trace.Packets()[:1])
		want = "sequenceDiagram\n    participant n1 as alice  \n    participant n2 as 10.0.0.2:9376\n    n1->>n2: 0.0 ms hello 7 B\n"
		if diff := cmp.Diff(want, named.String()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestMermaidReportsWriteError(t *testing.T) {
	if err := simnet.NewTrace(0).WriteMermaid(failing{}); !errors.Is(err, errDisk) {
		t.Errorf("got %v", err)
	}
}

var errDisk = errors.New("disk full")

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errDisk }

package meshtest_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/staex-mcc/mcc"
	"github.com/staex-mcc/mcc/mcctest"
	"github.com/staex-mcc/mcc/mcctest/meshtest"
	"github.com/staex-mcc/mcc/transport/simnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Nodes that are embedded, over the virtual network in real time.
func TestNode(t *testing.T) {
	meshtest.Run(t, func(t *testing.T) (a, b meshtest.Member) {
		mesh := mcctest.StartWith(t, 3, mcctest.Config{Network: simnet.Options{Latency: time.Millisecond}})
		member := func(n *mcc.Node) meshtest.Member {
			return meshtest.Member{Mesh: n, ID: n.ID(), Label: n.Label()}
		}
		return member(mesh.Nodes[1]), member(mesh.Nodes[2])
	})
}

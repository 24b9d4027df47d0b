// Package transporttest is the conformance suite of transport.Transport: a
// subtest for every promise of the contract. An implementation proves itself
// with two tests:
//
//	func TestConformance(t *testing.T) { transporttest.Run(t, fixture) }
//	func TestConn(t *testing.T)        { transporttest.TestConn(t, fixture) }
//
// A failure that says nothing arrived in time may be a hang: run that subtest
// alone with -v and a -timeout below Fixture.Patience to see the goroutines.
package transporttest

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/staex-mcc/mcc/transport"
)

// defaultPatience is generous, so that a loaded machine does not fail.
const defaultPatience = 10 * time.Second

// Fixture tells the suite how to make nodes of an implementation.
type Fixture struct {
	// Factory is called once in each subtest and returns what makes the nodes
	// of that subtest. They must reach each other at the address of Local, or
	// at the loopback address of its family if that one is unspecified. The
	// suite closes the nodes; what else must go is registered with t.Cleanup
	// and goes later.
	Factory func(t testing.TB) transport.Factory
	// Virtual runs each subtest in a testing/synctest bubble, for nodes that
	// Factory joins by a transport/simnet.
	Virtual bool
	// Patience is how long the suite waits for what must happen soon. Three
	// times as long it waits for what the transport gives up by itself, and
	// for streams. Zero is 10 s; a slow or lossy network needs more.
	Patience time.Duration
}

// check is one subtest.
type check struct {
	name string
	run  func(*rig)
}

// groups are all checks. Those of a group run one after the other, or at once
// if they mostly wait.
var groups = []struct {
	name   string
	atOnce bool
	checks []check
}{
	{"Call", false, callChecks},
	{"Stream", false, streamChecks},
	{"Trust", false, trustChecks},
	{"Close", false, closeChecks},
	{"Ability", false, abilityChecks},
	{"Wait", true, waitChecks},
}

// Run tests an implementation. It leaves no goroutine, and fails if the
// implementation does.
func Run(t *testing.T, f Fixture) {
	if f.Patience == 0 {
		f.Patience = defaultPatience
	}
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			if g.atOnce {
				f.runAtOnce(t, g.checks)
				return
			}
			for _, c := range g.checks {
				t.Run(c.name, func(t *testing.T) {
					checkLeaks(t, f)
					f.run(t, c)
				})
			}
		})
	}
}

// runAtOnce runs checks that spend their time waiting together, whatever the
// limit on parallel tests is.
func (f Fixture) runAtOnce(t *testing.T, checks []check) {
	checkLeaks(t, f)
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, c := range checks {
		wg.Go(func() {
			t.Run(c.name, func(t *testing.T) { f.run(t, c) })
		})
	}
}

func (f Fixture) run(t *testing.T, c check) {
	if !f.Virtual {
		c.run(newRig(t, f))
		return
	}
	synctest.Test(t, func(t *testing.T) { c.run(newRig(t, f)) })
}

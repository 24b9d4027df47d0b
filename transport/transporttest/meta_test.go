package transporttest

import (
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/staex-mcc/mcc/transport"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(m.Run()) // a broken transport may leak; the suite itself looks
	}
	goleak.VerifyTestMain(m)
}

// childEnv tells a copy of this test program which broken transport to test.
const childEnv = "TRANSPORTTEST_BROKEN"

// TestSuiteNotices runs the suite on every broken transport, each in a program
// of its own, since it has to fail.
func TestSuiteNotices(t *testing.T) {
	if testing.Short() {
		t.Skip("starts many programs")
	}
	slots := make(chan struct{}, 6) // they mostly wait
	var wg sync.WaitGroup
	defer wg.Wait()
	for i, b := range broken {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			t.Run(b.check+"/"+b.name, func(t *testing.T) {
				out, err := runChild(t, strconv.Itoa(i), b.check)
				if err == nil || !strings.Contains(out, "--- FAIL: TestChild/"+b.check+" ") {
					t.Errorf("%s did not notice that %q (%v):\n%s", b.check, b.name, err, out)
				}
			})
		})
	}
}

// TestSuitePassesInChild is the control: what makes the others fail is not the
// way they are run.
func TestSuitePassesInChild(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the suite in another program")
	}
	out, err := runChild(t, "none", "")
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	for _, name := range checkNames() {
		if !strings.Contains(out, "--- PASS: TestChild/"+name+" ") {
			t.Errorf("%s did not run:\n%s", name, out)
		}
	}
}

func TestEveryCheckHasABrokenTransport(t *testing.T) {
	var covered []string
	for _, b := range broken {
		covered = append(covered, b.check)
	}
	for _, name := range checkNames() {
		if !slices.Contains(covered, name) {
			t.Errorf("no broken transport shows that %s can fail", name)
		}
	}
}

func checkNames() (names []string) {
	for _, group := range groups {
		for _, c := range group.checks {
			names = append(names, group.name+"/"+c.name)
		}
	}
	return names
}

// runChild runs one check, or all if it is empty, on one broken transport.
func runChild(t *testing.T, variant, check string) (string, error) {
	t.Helper()
	pattern := "^TestChild$"
	if check != "" {
		pattern += "/^" + strings.ReplaceAll(check, "/", "$/^") + "$"
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run="+pattern, "-test.v", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), childEnv+"="+variant)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestChild is what runChild runs; by itself it does nothing.
func TestChild(t *testing.T) {
	variant := os.Getenv(childEnv)
	if variant == "" {
		t.Skip("only as a child of another test")
	}
	i, err := strconv.Atoi(variant)
	if err != nil {
		Run(t, fakeFixture(2*time.Second))
		return
	}
	mesh := newFakeMesh(400 * time.Millisecond)
	Run(t, Fixture{
		Factory: func(testing.TB) transport.Factory {
			return func(cfg transport.Config) (transport.Transport, error) { return newBroken(mesh, cfg, i) }
		},
		Patience: time.Second, // it has to fail anyhow
	})
}

func newBroken(mesh *fakeMesh, cfg transport.Config, i int) (transport.Transport, error) {
	inner, err := mesh.new(cfg)
	if err != nil {
		return nil, err
	}
	switch b := bend(inner); broken[i].name {
	case "no peers":
		return noPeers{inner}, nil
	case "odd counters":
		return oddCounters{inner}, nil
	default:
		broken[i].bend(b)
		return b, nil
	}
}

type noPeers struct{ transport.Transport }

func (noPeers) Peers() []transport.PeerState { return nil }

type oddCounters struct{ transport.Transport }

func (oddCounters) Counters() []transport.Counter { return []transport.Counter{{Name: "Calls Sent"}} }

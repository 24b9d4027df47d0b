package mcc_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/staex-mcc/mcc"
	"github.com/staex-mcc/mcc/mcctest"
)

// TestFiftyNodes starts fifty whole nodes in one process, lets each offer a
// service and reach another's, and stops them. goleak in TestMain wants nothing
// left.
func TestFiftyNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 50
		mesh := mcctest.Start(t, n)
		for i, node := range mesh.Nodes {
			offerEcho(t, node, mcc.Service{Name: fmt.Sprintf("echo-%d", i)})
		}
		for i, node := range mesh.Nodes {
			other := (i + 7) % n
			want := fmt.Sprintf("node%d:hi", other)
			if got := ask(t, dial(t, node, fmt.Sprintf("echo-%d.mcc", other)), "hi"); got != want {
				t.Errorf("node%d got %q, want %q", i, got, want)
			}
		}
	})
}

// openFiles lists what this process has open.
func openFiles(t *testing.T) map[string]int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc/self/fd on this system")
	}
	files := make(map[string]int)
	for _, e := range entries {
		if target, err := os.Readlink(filepath.Join("/proc/self/fd", e.Name())); err == nil {
			kind, _, _ := strings.Cut(target, ":[")
			files[kind]++
		}
	}
	return files
}

// TestCloseLeavesNoFileOpen runs real nodes on loopback with data folders.
func TestCloseLeavesNoFileOpen(t *testing.T) {
	before := openFiles(t)
	first := startReal(t, mcc.Options{DataFolder: t.TempDir()})
	var nodes []*mcc.Node
	for range 5 {
		nodes = append(nodes, startReal(t, mcc.Options{
			DataFolder: t.TempDir(), Boot: []string{first.Info().Addresses[0]},
		}))
	}
	offerEcho(t, first, mcc.Service{Name: "echo"})
	for _, node := range nodes {
		if got := ask(t, dial(t, node, "echo"), "hi"); got != first.Label()+":hi" {
			t.Errorf("got %q", got)
		}
		if _, err := node.AddListener(t.Context(), mcc.Listener{Service: "echo", Address: "tcp://127.0.0.1:0"}); err != nil {
			t.Error(err)
		}
	}
	var wg sync.WaitGroup
	for _, node := range append(nodes, first) {
		wg.Go(func() { _ = node.Close() })
		wg.Go(func() { _ = node.Close() }) // twice at once is fine
	}
	wg.Wait()
	after := openFiles(t)
	for kind, n := range after {
		if kind != "anon_inode" && n > before[kind] {
			t.Errorf("%s: %d open before, %d after", kind, before[kind], n)
		}
	}
}

func startReal(t *testing.T, opts mcc.Options) *mcc.Node {
	t.Helper()
	node, err := mcc.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := node.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := node.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return node
}

// TestBurstOfConnections: more callers at once than a backlog holds wait for
// their turn instead of being turned away.
func TestBurstOfConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := mcctest.Start(t, 2)
		ln, err := mesh.Nodes[0].ListenService(mcc.Service{Name: "slow"})
		if err != nil {
			t.Fatal(err)
		}
		const callers = 300
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				conn, err := mesh.Nodes[1].DialContext(t.Context(), "tcp", "slow")
				if err != nil {
					t.Error(err)
					_ = ln.Close() // let the test end
					return
				}
				_ = conn.Close()
			})
		}
		for range callers {
			conn, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Millisecond)
			_ = conn.Close()
		}
		wg.Wait()
	})
}

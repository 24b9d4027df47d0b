package client_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/staex-mcc/mcc"
	"github.com/staex-mcc/mcc/mcctest"
	"github.com/staex-mcc/mcc/mcctest/meshtest"
	"github.com/staex-mcc/mcc/rest"
	"github.com/staex-mcc/mcc/rest/client"
	"github.com/staex-mcc/mcc/transport/simnet"
)

func TestMain(m *testing.M) {
	// A server of net/http waits half a second, whatever happens, after it has
	// ended a connection whose request was not read to its end.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// newClient makes a client that the test closes.
func newClient(t *testing.T, o client.Options) *client.Client {
	t.Helper()
	c, err := client.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// Nodes in this process, each behind its API.
func TestMeshOverREST(t *testing.T) {
	mesh := mcctest.StartWith(t, 3, mcctest.Config{Network: simnet.Options{Latency: time.Millisecond}})
	one, two := mesh.Nodes[1], mesh.Nodes[2]
	oneURL, twoURL := serve(t, one), serve(t, two)
	meshtest.Run(t, func(t *testing.T) (a, b meshtest.Member) {
		return restMember(t, one, oneURL), restMember(t, two, twoURL)
	})
}

func restMember(t *testing.T, node *mcc.Node, url string) meshtest.Member {
	t.Helper()
	return meshtest.Member{
		Mesh: newClient(t, client.Options{URL: url + "/", Token: "secret"}), ID: node.ID(), Label: node.Label(),
	}
}

// serve is the URL of a node's API.
func serve(t *testing.T, node *mcc.Node) string {
	t.Helper()
	h, err := rest.New(node, rest.Options{Token: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(h)
	server.Config = rest.NewServer(h)
	server.Start()
	t.Cleanup(func() {
		if err := h.Close(); err != nil { // streams first, or the server waits for them
			t.Error(err)
		}
		server.Close()
	})
	return server.URL
}

// Nodes in other processes: the program as it is.
func TestMeshOverProgram(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts the program")
	}
	program := buildProgram(t)
	first := startProgram(t, program, "-label", "first")
	second := startProgram(t, program, "-label", "second", "-boot", first.udp)
	meshtest.Run(t, func(t *testing.T) (a, b meshtest.Member) {
		return first.member(t), second.member(t)
	})
}

func buildProgram(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "mcc")
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "github.com/staex-mcc/mcc/cmd/mcc").CombinedOutput()
	if err != nil {
		t.Fatalf("build: %v: %s", err, out)
	}
	return program
}

// process is a running program.
type process struct{ udp, http string }

// startProgram starts a node with a folder of its own and reads where it is. The
// test's end stops it.
func startProgram(t *testing.T, program string, args ...string) process {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	args = append(args, "-listen", "127.0.0.1:0", "-http", "127.0.0.1:0", "-data-folder", t.TempDir(), "-drain-timeout", "1s")
	cmd := exec.Command(program, args...)
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		cut := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
		defer cut.Stop()
		if err := cmd.Wait(); err != nil {
			said, _ := os.ReadFile(log.Name())
			t.Errorf("%s ended with %v: %s", program, err, said)
		}
	})
	var p process
	lines := bufio.NewScanner(out)
	for (p.udp == "" || p.http == "") && lines.Scan() {
		what, value, _ := strings.Cut(lines.Text(), " ")
		switch what {
		case "udp":
			p.udp = value
		case "http":
			p.http = value
		}
	}
	if p.http == "" {
		said, _ := os.ReadFile(log.Name())
		t.Fatalf("the program said no address: %s", said)
	}
	return p
}

// member is the node behind a new client, once it has a peer.
func (p process) member(t *testing.T) meshtest.Member {
	t.Helper()
	c := newClient(t, client.Options{URL: p.http})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		info, err := c.Info(ctx)
		if err == nil && info.Peers > 0 {
			return meshtest.Member{Mesh: c, ID: info.ID, Label: info.Label}
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal(fmt.Errorf("no peer: %w", errors.Join(err, ctx.Err())))
		}
	}
}

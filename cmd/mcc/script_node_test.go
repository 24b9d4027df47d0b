package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/url"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

type runningNode struct {
	cmd  *exec.Cmd
	out  *lockedBuffer
	log  *lockedBuffer
	done chan struct{}
	err  error // its exit; valid after done
}

type lockedBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func cmdNode(ts *testscript.TestScript, _ bool, args []string)  { startNode(ts, args, "http") }
func cmdQuiet(ts *testscript.TestScript, _ bool, args []string) { startNode(ts, args, "udp") }

// startNode waits for the line that begins with last.
func startNode(ts *testscript.TestScript, args []string, last string) {
	name := args[0]
	n := &runningNode{
		cmd: program(context.Background(), ts, args[1:]),
		out: &lockedBuffer{}, log: &lockedBuffer{}, done: make(chan struct{}),
	}
	n.cmd.Stderr = n.log
	out, err := n.cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(n.cmd.Start())
	if before := onStage(ts).nodes[name]; before != nil {
		<-before.done
	}
	onStage(ts).nodes[name] = n
	announced := make(chan struct{})
	go n.read(out, last, announced)
	timer := time.NewTimer(scriptWait)
	defer timer.Stop()
	select {
	case <-announced:
	case <-n.done:
		ts.Fatalf("node %s ended: %v\n%s", name, n.err, n.log)
	case <-timer.C:
		ts.Fatalf("node %s printed no addresses\n%s", name, n.log)
	}
	for line := range strings.Lines(n.out.String()) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		ts.Setenv(name+"_"+key, value)
		if u, err := url.Parse(value); key == "http" && err == nil {
			ts.Setenv(name+"_httpaddr", u.Host)
		}
	}
}

// read keeps what the node prints, says when the last line of a start is there,
// and waits for the node's end.
func (n *runningNode) read(out io.Reader, last string, announced chan<- struct{}) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		fmt.Fprintln(n.out, lines.Text())
		if announced != nil && strings.HasPrefix(lines.Text(), last+" ") {
			close(announced)
			announced = nil
		}
	}
	n.err = n.cmd.Wait()
	close(n.done)
}

func nodeOf(ts *testscript.TestScript, name string) *runningNode {
	n := onStage(ts).nodes[name]
	if n == nil {
		ts.Fatalf("no node %s", name)
	}
	return n
}

func cmdHalt(ts *testscript.TestScript, _ bool, args []string) {
	cmdSignal(ts, false, append(args, "TERM")[:2])
	cmdEnded(ts, false, []string{args[0], "0"})
}

func cmdEnded(ts *testscript.TestScript, _ bool, args []string) {
	n := nodeOf(ts, args[0])
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	select {
	case <-n.done:
	case <-time.After(scriptWait):
		ts.Fatalf("node %s does not end\n%s", args[0], n.log)
	}
	if got := n.cmd.ProcessState.ExitCode(); got != want {
		ts.Fatalf("node %s ended: %v, want code %d\n%s", args[0], n.err, want, n.log)
	}
	if text := n.log.String(); strings.Contains(text, "goroutine ") || strings.Contains(text, "panic: ") {
		ts.Fatalf("node %s left a stack trace\n%s", args[0], text)
	}
}

func cmdSignal(ts *testscript.TestScript, _ bool, args []string) {
	sig, ok := map[string]syscall.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "HUP": syscall.SIGHUP, "KILL": syscall.SIGKILL}[args[1]]
	if !ok {
		ts.Fatalf("unknown signal %s", args[1])
	}
	ts.Check(nodeOf(ts, args[0]).cmd.Process.Signal(sig))
}

func cmdAnnounced(ts *testscript.TestScript, _ bool, args []string) {
	var keys []string
	for line := range strings.Lines(nodeOf(ts, args[0]).out.String()) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if value == "" || strings.Contains(value, " ") {
			ts.Fatalf("line %q: want a key and a value", line)
		}
		keys = append(keys, key)
	}
	if !slices.Equal(keys, args[1:]) {
		ts.Fatalf("node %s printed %v, want %v", args[0], keys, args[1:])
	}
}

func cmdLogged(ts *testscript.TestScript, neg bool, args []string) {
	n, text := nodeOf(ts, args[0]), args[1]
	count := func() int { return strings.Count(n.log.String(), text) }
	want := -1 // any but none
	if len(args) > 2 {
		var err error
		want, err = strconv.Atoi(args[2])
		ts.Check(err)
	}
	if neg || want == 0 {
		if count() > 0 {
			ts.Fatalf("the log of %s contains %q:\n%s", args[0], text, n.log)
		}
		return
	}
	eventually(ts, func() error {
		if got := count(); got == 0 || want > 0 && got != want {
			return fmt.Errorf("the log of %s contains %q %d times:\n%s", args[0], text, got, n.log)
		}
		return nil
	})
}

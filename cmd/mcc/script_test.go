package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/pflag"
)

// asProgram makes the test binary behave as mcc itself.
const asProgram = "MCC_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	testscript.Main(m, map[string]func(){"mcc": main})
}

// scriptCommands are what scripts may use beside testscript's own, whose names
// win (its stop ends a script as passed, hence halt). TEXT and
// WANT of say and raw are the inside of a Go string: \r\n and the like. What waits gives up after
// scriptWait.
var scriptCommands = map[string]func(*testscript.TestScript, bool, []string){
	// The program.
	"exits":     cmdExits,     // exits CODE ARGS…: run mcc, want the code; a failure prints nothing but one or two lines
	"node":      cmdNode,      // node NAME ARGS…: start a node; sets $NAME_id, _label, _udp, _http, and _httpaddr
	"quiet":     cmdQuiet,     // quiet NAME ARGS…: the same for one that serves no REST
	"halt":      cmdHalt,      // halt NAME [SIGNAL]: end it (TERM), want exit code 0
	"signal":    cmdSignal,    // signal NAME SIGNAL
	"ended":     cmdEnded,     // ended NAME CODE: wait until it has ended, want the code (-1: killed)
	"announced": cmdAnnounced, // announced NAME KEY…: its standard output has exactly these lines
	"logged":    cmdLogged,    // [!] logged NAME TEXT [COUNT]: wait until its log contains TEXT, COUNT times; ! and 0 look once
	"ready":     cmdReady,     // ready NAME: wait until /readyz answers 200
	// HTTP.
	"http":      cmdHTTP,      // http METHOD URL [-H KEY:VALUE]… [BODY]: print status line, headers, body
	"httpuntil": cmdHTTPUntil, // httpuntil TEXT METHOD URL …: repeat until the answer contains TEXT
	"httpbig":   cmdHTTPBig,   // httpbig METHOD URL BYTES: with a body of that size
	"oneconn":   cmdOneConn,   // oneconn [-close] BASE PATH=TEXT…: in one connection, or one each
	"serve":     cmdServe,     // serve NAME TEXT: an HTTP server that answers TEXT, at /hold after release; sets $NAME
	"release":   cmdRelease,   // release NAME: let /hold go on
	// TCP and UDP.
	"echo":   cmdEcho,   // echo NAME: a TCP server that sends back; sets $NAME
	"take":   cmdTake,   // take NAME [udp]: listen and do nothing; sets $NAME
	"port":   cmdPort,   // port NAME: an address that is free; sets $NAME
	"dial":   cmdDial,   // [!] dial CONN ADDR
	"say":    cmdSay,    // say CONN TEXT WANT: write, then read until WANT
	"hangup": cmdHangup, // hangup CONN
	"raw":    cmdRaw,    // raw ADDR TEXT: send, end sending, print what comes until the end
	"noise":  cmdNoise,  // noise ADDR COUNT [TAP]: random packets, and with TAP also damaged real ones
	// Files and variables.
	"grab":      cmdGrab,      // grab VAR REGEXP: the first group of the last standard output
	"fill":      cmdFill,      // fill FILE…: replace @NAME@ by $NAME
	"mode":      cmdMode,      // mode OCTAL FILE
	"appears":   cmdAppears,   // appears GLOB: wait until a file of non-zero size matches
	"bytes":     cmdBytes,     // bytes FILE COUNT [TEXT]: a file of random bytes, or of TEXT repeated
	"different": cmdDifferent, // different A B
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:  filepath.Join("testdata", "script"),
		Cmds: scriptCommands,
		Setup: func(env *testscript.Env) error {
			stage := newStage()
			env.Values[stageKey{}] = stage
			env.Vars = append(env.Vars, raceOptions)
			env.Defer(stage.end)
			return nil
		},
		Condition: func(name string) (bool, error) {
			if name == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", name)
		},
	})
}

// raceOptions spare each run of a program with the race detector a second of
// waiting at its end.
const raceOptions = "GORACE=atexit_sleep_ms=0"

const scriptWait = 30 * time.Second

type stageKey struct{}

// stage is what one script has started.
type stage struct {
	nodes   map[string]*runningNode
	conns   map[string]net.Conn
	holds   map[string]chan struct{}
	taps    map[string]net.PacketConn
	closers []io.Closer
}

func newStage() *stage {
	return &stage{
		nodes: map[string]*runningNode{}, conns: map[string]net.Conn{},
		holds: map[string]chan struct{}{}, taps: map[string]net.PacketConn{},
	}
}

func onStage(ts *testscript.TestScript) *stage { return ts.Value(stageKey{}).(*stage) }

func (s *stage) end() {
	for _, n := range s.nodes {
		_ = n.cmd.Process.Kill()
		<-n.done
	}
	for _, c := range s.conns {
		_ = c.Close()
	}
	for _, c := range s.closers {
		_ = c.Close()
	}
}

// program is mcc with args in the script's folder and with its variables.
func program(ctx context.Context, ts *testscript.TestScript, args []string) *exec.Cmd {
	self, err := os.Executable()
	ts.Check(err)
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), asProgram+"=1", raceOptions)
	pass := func(name string) {
		if value := ts.Getenv(name); value != "" {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	newNodeFlags(&settings{}).VisitAll(func(f *pflag.Flag) { pass(envName(f.Name)) })
	for _, name := range originalEnv {
		pass(name)
	}
	pass("MCC_API")
	return cmd
}

func cmdExits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), scriptWait)
	defer cancel()
	var out, errs strings.Builder
	cmd := program(ctx, ts, args[1:])
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		ts.Fatalf("%v", err)
	}
	_, err = io.WriteString(ts.Stdout(), out.String())
	ts.Check(err)
	_, err = io.WriteString(ts.Stderr(), errs.String())
	ts.Check(err)
	if got := cmd.ProcessState.ExitCode(); got != want {
		ts.Fatalf("exit code %d, want %d\nstdout: %s\nstderr: %s", got, want, &out, &errs)
	}
	if want == exitDone {
		return
	}
	if err := shortError(out.String(), errs.String()); err != nil {
		ts.Fatalf("%v\nstdout: %s\nstderr: %s", err, &out, &errs)
	}
}

// shortError checks the form of a failure: one or two lines from mcc, beside
// which only log lines may stand, and nothing on standard output.
func shortError(out, errs string) error {
	if out != "" {
		return errors.New("a failure wrote to standard output")
	}
	said := 0
	for line := range strings.Lines(errs) {
		switch {
		case strings.HasPrefix(line, "mcc: "):
			said++
		case !strings.HasPrefix(line, `{"level":`):
			return fmt.Errorf("unexpected line on standard error: %q", line)
		}
		if len(line) > 500 {
			return fmt.Errorf("a line of %d bytes", len(line))
		}
	}
	if said < 1 || said > 2 {
		return fmt.Errorf("%d lines of error, want one or two", said)
	}
	return nil
}

// eventually repeats check until it succeeds or the wait is over.
func eventually(ts *testscript.TestScript, check func() error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	end := time.Now().Add(scriptWait)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("%v", err)
		}
		<-tick.C
	}
}

func cmdGrab(ts *testscript.TestScript, _ bool, args []string) {
	found := regexp.MustCompile(args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(found) < 2 {
		ts.Fatalf("no match for %s", args[1])
	}
	ts.Setenv(args[0], found[1])
}

var placeholder = regexp.MustCompile(`@\w+@`)

func cmdFill(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		text := placeholder.ReplaceAllStringFunc(ts.ReadFile(name), func(p string) string {
			return ts.Getenv(strings.Trim(p, "@"))
		})
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600))
	}
}

func cmdMode(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[0] {
		ts.Fatalf("%s has mode %s, want %s", args[1], got, args[0])
	}
}

func cmdAppears(ts *testscript.TestScript, _ bool, args []string) {
	eventually(ts, func() error {
		found, err := filepath.Glob(ts.MkAbs(args[0]))
		ts.Check(err)
		for _, name := range found {
			if info, err := os.Stat(name); err == nil && info.Size() > 0 {
				return nil
			}
		}
		return fmt.Errorf("no file %s", args[0])
	})
}

func cmdBytes(ts *testscript.TestScript, _ bool, args []string) {
	count, err := strconv.Atoi(args[1])
	ts.Check(err)
	data := make([]byte, count)
	if len(args) > 2 {
		for i := range data {
			data[i] = args[2][i%len(args[2])]
		}
	} else {
		_, _ = noiseSource().Read(data) // never fails
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o600))
}

func cmdDifferent(ts *testscript.TestScript, _ bool, args []string) {
	if args[0] == args[1] {
		ts.Fatalf("both are %q", args[0])
	}
}

func unquote(ts *testscript.TestScript, text string) string {
	plain, err := strconv.Unquote(`"` + text + `"`)
	ts.Check(err)
	return plain
}

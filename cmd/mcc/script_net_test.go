package main

import (
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func cmdEcho(ts *testscript.TestScript, _ bool, args []string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	onStage(ts).closers = append(onStage(ts).closers, ln)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return // closed with the stage
			}
			go func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			}()
		}
	}()
	ts.Setenv(args[0], ln.Addr().String())
}

func cmdTake(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) > 1 {
		conn, err := net.ListenPacket("udp", "127.0.0.1:0")
		ts.Check(err)
		onStage(ts).closers = append(onStage(ts).closers, conn)
		onStage(ts).taps[args[0]] = conn
		ts.Setenv(args[0], conn.LocalAddr().String())
		return
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	onStage(ts).closers = append(onStage(ts).closers, ln)
	ts.Setenv(args[0], ln.Addr().String())
}

func cmdPort(ts *testscript.TestScript, _ bool, args []string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Check(ln.Close())
	ts.Setenv(args[0], ln.Addr().String())
}

func cmdDial(ts *testscript.TestScript, neg bool, args []string) {
	conn, err := net.DialTimeout("tcp", strings.TrimPrefix(args[1], "tcp://"), scriptWait)
	if (err != nil) != neg {
		ts.Fatalf("dial %s: %v", args[1], err)
	}
	if err == nil {
		onStage(ts).conns[args[0]] = conn
	}
}

func cmdSay(ts *testscript.TestScript, _ bool, args []string) {
	conn, want := onStage(ts).conns[args[0]], unquote(ts, args[2])
	ts.Check(conn.SetDeadline(time.Now().Add(scriptWait)))
	_, err := io.WriteString(conn, unquote(ts, args[1]))
	ts.Check(err)
	var got strings.Builder
	buf := make([]byte, 4096)
	for !strings.Contains(got.String(), want) {
		n, err := conn.Read(buf)
		got.Write(buf[:n])
		if err != nil && !strings.Contains(got.String(), want) {
			ts.Fatalf("got %q, then %v; want %q", got.String(), err, want)
		}
	}
}

func cmdHangup(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(onStage(ts).conns[args[0]].Close())
	delete(onStage(ts).conns, args[0])
}

// noiseSource is the same in every run.
func noiseSource() *rand.ChaCha8 {
	return rand.NewChaCha8([32]byte([]byte("the same noise in every test run")))
}

// cmdNoise throws packets at a node's port: bytes of any length, and with
// a third argument also a packet that the node itself has sent to that socket
// of ours (take NAME udp, node … -boot $NAME), cut and with a bit turned.
func cmdNoise(ts *testscript.TestScript, _ bool, args []string) {
	conn, err := net.Dial("udp", args[0])
	ts.Check(err)
	defer conn.Close()
	count, err := strconv.Atoi(args[1])
	ts.Check(err)
	source := noiseSource()
	rng := rand.New(source)
	var real []byte
	if len(args) > 2 {
		real = captured(ts, args[2])
	}
	for range count {
		packet := make([]byte, rng.IntN(1500))
		_, _ = source.Read(packet) // never fails
		if len(real) > 0 && rng.IntN(2) == 0 {
			packet = slices.Clone(real)
			packet[rng.IntN(len(packet))] ^= 1 << rng.IntN(8)
			packet = packet[:1+rng.IntN(len(packet))]
		}
		_, _ = conn.Write(packet) // a full buffer is no failure
	}
}

func captured(ts *testscript.TestScript, name string) []byte {
	tap := onStage(ts).taps[name]
	ts.Check(tap.SetReadDeadline(time.Now().Add(scriptWait)))
	packet := make([]byte, 2048)
	n, _, err := tap.ReadFrom(packet)
	ts.Check(err)
	return packet[:n]
}

package main

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tunnelAPI answers CONNECT with yes and a greeting, in one packet, and hands the
// connection to serve.
func tunnelAPI(t *testing.T, greeting string, serve func(conn *net.TCPConn, in *bufio.Reader)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := ln.Accept()
		if err != nil {
			return // nobody came
		}
		defer conn.Close()
		in := bufio.NewReader(conn)
		if _, err := http.ReadRequest(in); err != nil {
			t.Errorf("request: %v", err)
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 Connection Established\r\n\r\n"+greeting)
		serve(conn.(*net.TCPConn), in)
	}()
	t.Cleanup(func() {
		_ = ln.Close()
		<-done
	})
	return ln.Addr().String()
}

func TestConnectPassesTheEndOn(t *testing.T) {
	api := tunnelAPI(t, "", func(conn *net.TCPConn, in *bufio.Reader) {
		all, _ := io.ReadAll(in) // the end of the input
		_, _ = conn.Write(bytes.ToUpper(all))
	})
	got := runWith(strings.NewReader("a question"), "connect", "web", "-api", api)
	got.wants(t, exitDone, "")
	if got.out != "A QUESTION" {
		t.Errorf("output %q", got.out)
	}
}

// TestConnectAnswerWithTheGreeting has the service speak in the packet of the
// node's answer.
func TestConnectAnswerWithTheGreeting(t *testing.T) {
	big := strings.Repeat("greeting ", 100_000)
	api := tunnelAPI(t, "hello ", func(conn *net.TCPConn, in *bufio.Reader) {
		_, _ = io.WriteString(conn, big)
		_ = conn.CloseWrite()
		_, _ = io.Copy(io.Discard, in)
	})
	if got := runWith(strings.NewReader(""), "connect", "web.mcc", "-api", api); got.code != exitDone || got.out != "hello "+big {
		t.Errorf("exit code %d, %d bytes of %d: %s", got.code, len(got.out), len(big), got.err)
	}
}

// TestConnectServiceEndsFirst wants the end of the output to be told at once,
// and the input to be taken on.
func TestConnectServiceEndsFirst(t *testing.T) {
	rest := make(chan string, 1)
	api := tunnelAPI(t, "", func(conn *net.TCPConn, in *bufio.Reader) {
		_, _ = io.WriteString(conn, "that is all")
		_ = conn.CloseWrite()
		all, _ := io.ReadAll(in)
		rest <- string(all)
	})
	b := startCommand(t, t.TempDir(), "connect", "web", "-api", api)
	if _, err := b.got.ReadFrom(b.out); err != nil { // ends although the command runs
		t.Fatal(err)
	}
	if _, err := io.WriteString(b.in, "still here"); err != nil {
		t.Fatal(err)
	}
	_ = b.in.Close()
	b.end(t).wants(t, exitDone, "")
	if got := <-rest; got != "still here" || b.got.String() != "that is all" {
		t.Errorf("the service got %q and said %q", got, b.got.String())
	}
}

func TestConnectBroken(t *testing.T) {
	api := tunnelAPI(t, "", func(conn *net.TCPConn, in *bufio.Reader) {
		_, _ = in.ReadByte()
		_ = conn.SetLinger(0) // a reset
	})
	b := startCommand(t, t.TempDir(), "connect", "web", "-api", api)
	if _, err := io.WriteString(b.in, "x"); err != nil {
		t.Fatal(err)
	}
	b.end(t).wants(t, exitFailure, "the connection broke")
}

func TestConnectInterrupted(t *testing.T) {
	api := tunnelAPI(t, "hello", func(_ *net.TCPConn, in *bufio.Reader) { _, _ = io.Copy(io.Discard, in) })
	b := startCommand(t, t.TempDir(), "connect", "web", "-api", api)
	if _, err := io.ReadFull(b.out, make([]byte, len("hello"))); err != nil {
		t.Fatal(err)
	}
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	b.end(t).wants(t, exitFailure, "terminated")
}

func TestConnectRefused(t *testing.T) {
	var seen *http.Request
	token := writeTemp(t, "token", "this-is-the-token")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = r
		answering(http.StatusServiceUnavailable, `{"title":"x","detail":"service \"web\": no provider"}`)(w, r)
	})}
	go func() { _ = server.Serve(ln) }()
	defer server.Close()
	runWith(nil, "connect", "web", "-api", ln.Addr().String(), "-http-token-file", token, "-node", "one", "-policy", "random", "-tag", "blue").
		wants(t, exitFailure, `mcc: service "web": no provider`)
	want := map[string]string{
		"Proxy-Authorization": "Bearer this-is-the-token", "Mcc-Node": "one", "Mcc-Policy": "random", "Mcc-Tag": "blue",
	}
	got := map[string]string{}
	for name := range want {
		got[name] = seen.Header.Get(name)
	}
	if diff := cmp.Diff(want, got); diff != "" || seen.Method != "CONNECT" || seen.Host != "web.mcc:80" {
		t.Errorf("%s %s: %s", seen.Method, seen.Host, diff)
	}
	for _, name := range []string{"", "a b", "a/b", "a\r\nb", ".", "a..b"} {
		runWith(nil, "connect", name, "-api", ln.Addr().String()).wants(t, exitUsage, "is no service name")
	}
	runWith(nil, "connect", "web", "-api", "http://127.0.0.1:1/behind/a/proxy").wants(t, exitUsage, "a tunnel needs")
	runWith(nil, "connect", "web", "-api", "127.0.0.1:1").wants(t, exitFailure, "does not answer")
}

// TestConnectSilentNode gives up on a node that takes the connection and says
// nothing.
func TestConnectSilentNode(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	runWith(nil, "connect", "web", "-api", ln.Addr().String(), "-timeout", "50ms").wants(t, exitFailure, "does not answer")
	runWith(nil, "connect", "web", "-api", "https://"+ln.Addr().String(), "-timeout", "50ms").wants(t, exitFailure, "does not answer")
}

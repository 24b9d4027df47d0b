package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// scriptClient trusts any certificate: what it proves is that TLS is spoken.
// That the certificate is the right one, mcc status -http-ca proves.
var scriptClient = &http.Client{
	Timeout:       scriptWait,
	Transport:     &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func cmdReady(ts *testscript.TestScript, _ bool, args []string) {
	cmdHTTPUntil(ts, false, []string{"200 OK", "GET", ts.Getenv(args[0]+"_http") + "/readyz"})
}

func cmdHTTP(ts *testscript.TestScript, _ bool, args []string) {
	answer, err := request(args)
	ts.Check(err)
	_, err = io.WriteString(ts.Stdout(), answer)
	ts.Check(err)
}

func cmdHTTPUntil(ts *testscript.TestScript, _ bool, args []string) {
	eventually(ts, func() error {
		answer, err := request(args[1:])
		if err == nil && !strings.Contains(answer, args[0]) {
			err = fmt.Errorf("the answer lacks %q:\n%s", args[0], answer)
		}
		return err
	})
}

func request(args []string) (string, error) {
	method, url, rest := args[0], args[1], args[2:]
	headers := http.Header{}
	for len(rest) > 1 && rest[0] == "-H" {
		key, value, _ := strings.Cut(rest[1], ":")
		headers.Add(key, strings.TrimSpace(value))
		rest = rest[2:]
	}
	var body io.Reader
	if len(rest) > 0 {
		body = strings.NewReader(rest[0])
	}
	req, err := http.NewRequest(method, url, body)
	if err != nil {
		return "", err
	}
	req.Header = headers
	req.Host = headers.Get("Host")
	return answerOf(req)
}

func answerOf(req *http.Request) (string, error) {
	resp, err := scriptClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text := &strings.Builder{}
	fmt.Fprintf(text, "%s\n", resp.Status)
	_ = resp.Header.Write(text)
	text.WriteString("\n")
	_, err = io.Copy(text, resp.Body)
	text.WriteString("\n")
	return text.String(), err
}

func cmdHTTPBig(ts *testscript.TestScript, _ bool, args []string) {
	size, err := strconv.Atoi(args[2])
	ts.Check(err)
	req, err := http.NewRequest(args[0], args[1], strings.NewReader(strings.Repeat(" ", size)))
	ts.Check(err)
	req.Header.Set("Content-Type", "application/json")
	answer, err := answerOf(req)
	ts.Check(err)
	_, err = io.WriteString(ts.Stdout(), answer)
	ts.Check(err)
}

func cmdOneConn(ts *testscript.TestScript, _ bool, args []string) {
	apart := args[0] == "-close"
	if apart {
		args = args[1:]
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	for i, want := range args[1:] {
		path, text, _ := strings.Cut(want, "=")
		req, err := http.NewRequest("GET", args[0]+path, nil)
		ts.Check(err)
		var reused bool
		trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused }}
		resp, err := transport.RoundTrip(req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
		ts.Check(err)
		body, err := io.ReadAll(resp.Body)
		ts.Check(err)
		ts.Check(resp.Body.Close())
		if !strings.Contains(string(body), text) {
			ts.Fatalf("request %d, %s: %s lacks %q:\n%s", i, path, resp.Status, text, body)
		}
		if reused != (i > 0 && !apart) {
			ts.Fatalf("request %d, %s: connection reused: %t", i, path, reused)
		}
	}
}

func cmdServe(ts *testscript.TestScript, _ bool, args []string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	hold := make(chan struct{})
	onStage(ts).holds[args[0]] = hold
	server := &http.Server{ReadHeaderTimeout: scriptWait, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s host=%s label=%s", args[1], r.Method, r.URL.RequestURI(), r.Host, r.Header.Get("Mcc-Peer-Label"))
		if r.URL.Path == "/hold" {
			_ = http.NewResponseController(w).Flush()
			select {
			case <-hold:
				fmt.Fprint(w, " released")
			case <-r.Context().Done():
			}
		}
	})}
	onStage(ts).closers = append(onStage(ts).closers, server)
	go func() { _ = server.Serve(ln) }()
	ts.Setenv(args[0], ln.Addr().String())
}

func cmdRelease(ts *testscript.TestScript, _ bool, args []string) {
	close(onStage(ts).holds[args[0]])
}

func cmdRaw(ts *testscript.TestScript, _ bool, args []string) {
	conn, err := net.DialTimeout("tcp", args[0], scriptWait)
	ts.Check(err)
	defer conn.Close()
	ts.Check(conn.SetDeadline(time.Now().Add(scriptWait)))
	_, err = io.WriteString(conn, unquote(ts, args[1]))
	ts.Check(err)
	ts.Check(conn.(*net.TCPConn).CloseWrite())
	answer, _ := io.ReadAll(conn) // a reset is an answer too
	_, err = ts.Stdout().Write(answer)
	ts.Check(err)
}

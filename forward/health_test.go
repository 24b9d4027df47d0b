package forward

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// patient is a service that is what its script says at each check: an answer to
// send, "refuse", or "hang".
type patient struct {
	script  []string
	request string // the first line and host that came last
}

func (p *patient) dial(context.Context, string, string) (net.Conn, error) {
	do := p.script[0]
	if len(p.script) > 1 {
		p.script = p.script[1:]
	}
	if do == "refuse" {
		return nil, errors.New("connection refused")
	}
	near, far := Pipe()
	go func() {
		defer far.Close()
		r, err := http.ReadRequest(bufio.NewReader(far))
		if err != nil {
			return // a tcp check
		}
		p.request = r.Method + " " + r.RequestURI + " " + r.Host
		if do == "hang" {
			far.Read(make([]byte, 1))
			return
		}
		far.Write([]byte(do))
	}()
	return near, nil
}

type report struct {
	At      time.Duration
	Healthy bool
	Reason  string
}

func runPatient(t *testing.T, check Check, target string, p *patient, length time.Duration) []report {
	t.Helper()
	where, err := ParseTarget(target)
	if err != nil {
		t.Fatal(err)
	}
	var got []report
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), length)
		defer cancel()
		start := time.Now()
		err := Checker{Check: check, Target: where, Dial: p.dial}.Run(ctx, func(healthy bool, reason string) {
			got = append(got, report{time.Since(start), healthy, reason})
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Run: %v", err)
		}
	})
	return got
}

const healthOK = "HTTP/1.1 204 No Content\r\n\r\n"

func TestHealthHTTP(t *testing.T) {
	p := &patient{script: []string{
		healthOK, healthOK,
		"HTTP/1.1 500 Oops\r\n\r\n", "HTTP/1.1 404 Gone\r\n\r\n",
		"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\n\r\n",
		"hang", "junk\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\nendless",
		"refuse",
	}}
	got := runPatient(t, Check{Type: "http", Path: "/healthz"}, "http://web:8080/app", p, 85*time.Second)
	want := []report{
		{0, true, ""},
		{20 * time.Second, false, "status 500"},
		{40 * time.Second, true, ""},
		{52 * time.Second, false, "no answer within the timeout: context deadline exceeded"},
		{70 * time.Second, true, ""},
		{80 * time.Second, false, "connection refused"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if p.request != "GET /app/healthz web:8080" {
		t.Errorf("asked %q", p.request)
	}
}

func TestHealthTCP(t *testing.T) {
	p := &patient{script: []string{"refuse", healthOK, healthOK, "refuse"}}
	got := runPatient(t, Check{Type: "tcp", Interval: time.Second}, "unix:/run/s", p, 10*time.Second)
	want := []report{{0, false, "connection refused"}, {time.Second, true, ""}, {3 * time.Second, false, "connection refused"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestHealthAnswerIsBounded(t *testing.T) {
	endless := "HTTP/1.1 200 OK\r\n" + strings.Repeat("X-Header: x\r\n", 100_000) + "\r\n"
	informational := strings.Repeat("HTTP/1.1 103 Early\r\n\r\n", 100)
	for _, answer := range []string{endless, informational} {
		got := runPatient(t, Check{Type: "http"}, "tcp://web:1", &patient{script: []string{answer}}, time.Second)
		if len(got) != 1 || got[0].Healthy || len(got[0].Reason) > maxHealthReason {
			t.Errorf("%.30q…: %+v", answer, got)
		}
	}
}

func TestHealthTLS(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	server.Config.ErrorLog = quietLog()
	where, err := ParseTarget(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	c := Checker{Check: Check{Type: "http"}, Target: where, TLS: &tls.Config{RootCAs: roots}}
	if err := c.once(t.Context()); err == nil || err.Error() != "status 404" {
		t.Errorf("check over TLS: %v", err)
	}
	c.TLS = nil
	if err := c.once(t.Context()); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("check of an unknown certificate: %v", err)
	}
}

func TestHealthValidate(t *testing.T) {
	for _, bad := range []Check{
		{},
		{Type: "udp"},
		{Type: "tcp", Path: "/"},
		{Type: "http", Path: "healthz"},
		{Type: "http", Path: "/a b"},
		{Type: "http", Path: "/a\r\nX: y"},
		{Type: "tcp", Interval: time.Millisecond},
		{Type: "tcp", Interval: -1},
		{Type: "tcp", Timeout: -1},
	} {
		if err := RunHealth(t.Context(), bad, Target{}, nil); !errors.Is(err, ErrInvalid) {
			t.Errorf("%+v: %v; want ErrInvalid", bad, err)
		}
	}
	if err := (Check{Type: "http", Path: "/x?y=1", Interval: time.Second}).Validate(); err != nil {
		t.Error(err)
	}
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"strings"
	"time"
)

// stepWait bounds one wait for the mesh.
const stepWait = 30 * time.Second

func (d *demo) makeCertificates(context.Context) (string, error) {
	for _, name := range []string{"ca", "foreign-ca"} {
		if _, err := d.tool("ca", "init", d.path(name), "-consortium", strings.TrimSuffix(name, "-ca")+"demo"); err != nil {
			return "", err
		}
	}
	for name, authority := range map[string]string{"first": "ca", "second": "ca", "third": "ca", "foreign": "foreign-ca"} {
		if _, err := d.tool("-newcert", "-label", name, "-data-folder", d.path(name)); err != nil {
			return "", err
		}
		if _, err := d.tool("ca", "sign", d.path(authority), d.path(name, "node.csr"),
			"-perm", "route", "-perm", "store", "-perm", "blob", "-perm", "call:*", "-perm", "register:*",
			"-days", "1", "-out", d.path(name, "signed.crt")); err != nil {
			return "", err
		}
	}
	return "", nil
}

// certified are the flags of a node with a certificate.
func (d *demo) certified(name, authority string) []string {
	return []string{
		"-cert", d.path(name, "signed.crt"), "-privkey", d.path(name, "node.key"),
		"-trust-ca", d.path(authority, "ca.crt"),
	}
}

func (d *demo) startServices(ctx context.Context) (string, error) {
	var err error
	if d.filesA, err = serveFiles(ctx, d.path("files-a"), "hello from the first provider\n"); err != nil {
		return "", err
	}
	if d.filesB, err = serveFiles(ctx, d.path("files-b"), "hello from the second provider\n"); err != nil {
		return "", err
	}
	d.echo, err = serveEcho(ctx)
	return "", err
}

func (d *demo) startFirst(context.Context) (_ string, err error) {
	config := fmt.Sprintf("services:\n  - {name: files, address: \"http://%s\"}\n  - {name: echo, address: \"tcp://%s\"}\n", d.filesA, d.echo)
	if err := writeFile(d.path("first.yaml"), config); err != nil {
		return "", err
	}
	d.first, err = d.startNode("first", append(d.certified("first", "ca"), "-config", d.path("first.yaml"))...)
	if err != nil {
		return "", err
	}
	return d.first.url, nil
}

func (d *demo) startSecond(ctx context.Context) (_ string, err error) {
	if d.second, err = d.startNode("second", append(d.certified("second", "ca"), "-boot", d.first.udp)...); err != nil {
		return "", err
	}
	if err := d.awaitReady(ctx, d.second); err != nil {
		return "", err
	}
	_, err = d.tool("register", "files", "http://"+d.filesB, "-api", d.second.url)
	return d.second.url, err
}

func (d *demo) startThird(ctx context.Context) (_ string, err error) {
	config := "listen:\n  - {service: echo, address: \"tcp://127.0.0.1:0\"}\n"
	if err := writeFile(d.path("third.yaml"), config); err != nil {
		return "", err
	}
	d.third, err = d.startNode("third", append(d.certified("third", "ca"), "-boot", d.first.udp+","+d.second.udp, "-config", d.path("third.yaml"))...)
	if err != nil {
		return "", err
	}
	return d.third.url, d.awaitReady(ctx, d.third)
}

func (d *demo) awaitReady(ctx context.Context, p *process) error {
	return until(ctx, func() error {
		_, err := get(ctx, http.DefaultClient, p.url+"/readyz", "")
		return err
	})
}

// providers asks a node who offers a service.
func providers(ctx context.Context, p *process, service string) ([]string, error) {
	body, err := get(ctx, http.DefaultClient, p.url+"/api/v1/discovery/"+service, "")
	if err != nil {
		return nil, err
	}
	var found struct{ Providers []struct{ Label string } }
	if err := json.Unmarshal([]byte(body), &found); err != nil {
		return nil, err
	}
	var labels []string
	for _, p := range found.Providers {
		labels = append(labels, p.Label)
	}
	return labels, nil
}

func (d *demo) lookUp(ctx context.Context) (detail string, err error) {
	err = until(ctx, func() error {
		labels, err := providers(ctx, d.third, "files")
		if err == nil && len(labels) != 2 {
			err = fmt.Errorf("%d providers %v, want 2", len(labels), labels)
		}
		detail = strings.Join(labels, " and ")
		return err
	})
	return detail, err
}

func (d *demo) fetchFile(ctx context.Context) (string, error) {
	body, err := get(ctx, http.DefaultClient, d.third.url+"/api/v1/forward/files/hello.txt", "")
	return wantGreeting(body, err)
}

func wantGreeting(body string, err error) (string, error) {
	if err == nil && !strings.HasPrefix(body, "hello from the ") {
		err = fmt.Errorf("unexpected answer %q", body)
	}
	return fmt.Sprintf("%q", strings.TrimSpace(body)), err
}

// fetchByHost mixes requests to a service and to the API on one connection.
func (d *demo) fetchByHost(ctx context.Context) (string, error) {
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
	defer client.CloseIdleConnections()
	connections := 0
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			if !info.Reused {
				connections++
			}
		},
	})
	for range 3 {
		if _, err := wantGreeting(get(ctx, client, d.third.url+"/hello.txt", "files.mcc")); err != nil {
			return "", err
		}
		if _, err := get(ctx, client, d.third.url+"/api/v1/node", ""); err != nil {
			return "", err
		}
	}
	if connections != 1 {
		return "", fmt.Errorf("%d connections, want 1", connections)
	}
	return "6 requests on 1 connection", nil
}

func (d *demo) talkToEcho(ctx context.Context) (string, error) {
	body, err := get(ctx, http.DefaultClient, d.third.url+"/api/v1/listeners", "")
	if err != nil {
		return "", err
	}
	var list struct{ Listeners []struct{ Address string } }
	if err := json.Unmarshal([]byte(body), &list); err != nil || len(list.Listeners) != 1 {
		return "", errors.Join(err, fmt.Errorf("want one listener, got %s", body))
	}
	addr := strings.TrimPrefix(list.Listeners[0].Address, "tcp://")
	conn, err := net.DialTimeout("tcp", addr, stepWait)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(stepWait)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, "ping"); err != nil {
		return "", err
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(conn)
	if err == nil && string(answer) != "ping" {
		err = fmt.Errorf("the echo said %q", answer)
	}
	return addr, err
}

// startForeign wants a node with a certificate of another CA to stay alone.
func (d *demo) startForeign(ctx context.Context) (_ string, err error) {
	d.foreign, err = d.startNode("foreign", append(d.certified("foreign", "foreign-ca"), "-boot", d.first.udp)...)
	if err != nil {
		return "", err
	}
	if err := d.awaitRefusal(ctx); err != nil {
		return "", err
	}
	body, err := get(ctx, http.DefaultClient, d.first.url+"/api/v1/peers", "")
	if err != nil {
		return "", err
	}
	if strings.Contains(body, d.foreign.id) {
		return "", errors.New("the first node lists the foreign one as a peer")
	}
	if labels, err := providers(ctx, d.foreign, "files"); err != nil || len(labels) > 0 {
		return "", fmt.Errorf("the foreign node found providers %v (%w)", labels, err)
	}
	return "no session, no service", nil
}

// awaitRefusal waits until the foreign node reports that its try to join
// failed, and checks that it is not ready.
func (d *demo) awaitRefusal(ctx context.Context) error {
	return until(ctx, func() error {
		_, err := get(ctx, http.DefaultClient, d.foreign.url+"/readyz", "")
		var status statusError
		switch {
		case err == nil:
			return fmt.Errorf("the foreign node joined the mesh")
		case errors.As(err, &status) && status.code == http.StatusServiceUnavailable && strings.Contains(status.body, "no bootnode answered"):
			return nil
		}
		return err
	})
}

func (d *demo) failOver(ctx context.Context) (string, error) {
	if err := d.second.stop(ctx); err != nil {
		return "", err
	}
	body, err := get(ctx, http.DefaultClient, d.third.url+"/api/v1/forward/files/hello.txt", "")
	if err == nil && !strings.Contains(body, "first") {
		err = fmt.Errorf("answer %q is not the first provider's", body)
	}
	return fmt.Sprintf("%q", strings.TrimSpace(body)), err
}

// statusError is an HTTP answer that is not 200.
type statusError struct {
	code int
	body string
}

func (e statusError) Error() string { return fmt.Sprintf("status %d: %s", e.code, e.body) }

// get fetches a URL, with another Host name if host is not empty.
func get(ctx context.Context, client *http.Client, url, host string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, stepWait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	req.Host = host
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", statusError{resp.StatusCode, string(body)}
	}
	return string(body), nil
}

// until tries again until check succeeds or the wait is over.
func until(ctx context.Context, check func() error) error {
	ctx, cancel := context.WithTimeout(ctx, stepWait)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}

// serveFiles runs a file server over dir with one file, hello.txt.
func serveFiles(ctx context.Context, dir, greeting string) (addr string, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	if err := writeFile(dir+"/hello.txt", greeting); err != nil {
		return "", err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: http.FileServer(http.Dir(dir)), ReadHeaderTimeout: stepWait}
	go func() { _ = server.Serve(ln) }()
	context.AfterFunc(ctx, func() { _ = server.Close() })
	return ln.Addr().String(), nil
}

// serveEcho runs a TCP server that sends back what it gets.
func serveEcho(ctx context.Context) (addr string, err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	context.AfterFunc(ctx, func() { _ = ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { defer conn.Close(); _, _ = io.Copy(conn, conn) }()
		}
	}()
	return ln.Addr().String(), nil
}

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is a running node.
type process struct {
	name         string
	id, udp, url string
	cmd          *exec.Cmd
	log          *tail
	done         chan error // its exit, once
}

// startWait is how long a node may take to print its addresses.
const startWait = 20 * time.Second

// startNode runs mcc in its own data folder and reads what it prints.
func (d *demo) startNode(name string, args ...string) (*process, error) {
	folder := filepath.Join(d.dir, name)
	args = append([]string{"-data-folder", folder, "-listen", "127.0.0.1:0", "-http", "127.0.0.1:0"}, args...)
	p := &process{name: name, cmd: exec.Command(d.mcc, args...), log: &tail{}, done: make(chan error, 1)}
	p.cmd.Stderr = p.log
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	printed := make(chan struct{})
	go p.read(out, printed)
	timer := time.NewTimer(startWait)
	defer timer.Stop()
	select {
	case <-printed:
	case <-timer.C:
	}
	if p.url == "" {
		p.kill()
		return nil, fmt.Errorf("node %s did not start:\n%s", name, p.log)
	}
	return p, nil
}

// read takes the addresses from standard output, then waits for the end.
func (p *process) read(out io.Reader, printed chan<- struct{}) {
	lines := bufio.NewScanner(out)
	for p.url == "" && lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), " ")
		switch key {
		case "id":
			p.id = value
		case "udp":
			p.udp = value
		case "http":
			p.url = value
		}
	}
	close(printed)
	_, _ = io.Copy(io.Discard, out)
	p.done <- p.cmd.Wait()
}

// stop ends the node as an operator would, and wants exit code 0.
func (p *process) stop(ctx context.Context) error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case err := <-p.done:
		p.done <- err
		if err != nil {
			return fmt.Errorf("node %s: %w:\n%s", p.name, err, p.log)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// kill ends the node whatever its state; a node that has ended is left alone.
func (p *process) kill() {
	select {
	case err := <-p.done:
		p.done <- err
		return
	default:
	}
	_ = p.cmd.Process.Kill()
	p.done <- <-p.done
}

// tool runs an mcc subcommand and returns what it printed.
func (d *demo) tool(args ...string) (string, error) {
	out, err := exec.Command(d.mcc, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("mcc %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return string(out), nil
}

func (d *demo) path(elem ...string) string {
	return filepath.Join(append([]string{d.dir}, elem...)...)
}

func writeFile(path, text string) error { return os.WriteFile(path, []byte(text), 0o600) }

// tail keeps the end of a node's log for error messages.
type tail struct {
	mu   sync.Mutex
	data []byte
}

const tailSize = 4096

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.data = append(t.data, b...)
	t.data = t.data[max(0, len(t.data)-tailSize):]
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.data)
}

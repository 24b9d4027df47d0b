package meshtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/staex-mcc/mcc"
)

// echo answers on loopback with what it is sent, up to the end.
func echo(t *testing.T) (address string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go serveEcho(ln)
	return "tcp://" + ln.Addr().String()
}

func serveEcho(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			_, _ = io.Copy(conn, conn)
		}()
	}
}

// offer registers an echo until the test ends.
func offer(t *testing.T, m Member, s mcc.Service) {
	t.Helper()
	s.Address = echo(t)
	if err := m.Mesh.Register(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Mesh.Unregister(context.Background(), s.Name) })
}

func testRegister(t *testing.T, a, _ Member) {
	ctx, name := t.Context(), unique("svc")
	for what, s := range map[string]mcc.Service{
		"no name":   {Address: "tcp://127.0.0.1:1"},
		"bad name":  {Name: "Bad_Name", Address: "tcp://127.0.0.1:1"},
		"address":   {Name: name, Address: "nowhere"},
		"weight":    {Name: name, Address: "tcp://127.0.0.1:1", Weight: 1001},
		"health":    {Name: name, Address: "tcp://127.0.0.1:1", Health: &mcc.HealthCheck{Type: "icmp"}},
		"bad allow": {Name: name, Address: "tcp://127.0.0.1:1", Allow: []string{"everybody"}},
	} {
		wantError(t, what, a.Mesh.Register(ctx, s), mcc.ErrInvalid)
	}
	offer(t, a, mcc.Service{Name: name})
	wantError(t, "second time", a.Mesh.Register(ctx, mcc.Service{Name: name, Address: "tcp://127.0.0.1:1"}), mcc.ErrExists)
	if err := a.Mesh.Unregister(ctx, name); err != nil {
		t.Fatal(err)
	}
	wantError(t, "unregister again", a.Mesh.Unregister(ctx, name), mcc.ErrNotFound)
}

func testDiscover(t *testing.T, a, b Member) {
	ctx, name := t.Context(), unique("svc")
	if found, err := b.Mesh.Providers(ctx, name); err != nil || len(found) != 0 {
		t.Errorf("providers of nothing: %v, %v", found, err)
	}
	_, err := b.Mesh.Providers(ctx, "Bad_Name")
	wantError(t, "bad name", err, mcc.ErrInvalid)
	offer(t, a, mcc.Service{Name: name, Tags: []string{"blue"}, Meta: map[string]string{"version": "1.2"}, Weight: 7})
	var found []mcc.Provider
	eventually(t, "find the provider", func() (err error) {
		if found, err = b.Mesh.Providers(ctx, name); err == nil && len(found) != 1 {
			err = fmt.Errorf("%d providers", len(found))
		}
		return err
	})
	p := found[0]
	if p.Node != a.ID || p.Label != a.Label || len(p.Tags) != 1 || p.Tags[0] != "blue" || p.Meta["version"] != "1.2" ||
		p.Weight != 7 || !p.Healthy || p.Expires.IsZero() {
		t.Errorf("provider %+v", p)
	}
}

// errSeen ends a watch that has seen what it waited for.
var errSeen = errors.New("seen")

func testWatch(t *testing.T, a, b Member) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	name := unique("svc")
	for _, err := range b.Mesh.Watch(ctx, "Bad_Name") {
		wantError(t, "bad name", err, mcc.ErrInvalid)
	}
	offer(t, a, mcc.Service{Name: name})
	seen := func() error {
		added := false
		for change, err := range b.Mesh.Watch(ctx, name) {
			switch {
			case err != nil:
				return err
			case change.Provider.Node != a.ID:
				return fmt.Errorf("change %+v", change)
			case change.Kind == mcc.Added && !added:
				added = true
				if err := a.Mesh.Unregister(ctx, name); err != nil {
					return err
				}
			case change.Kind == mcc.Removed && added:
				return errSeen
			}
		}
		return ctx.Err()
	}()
	wantError(t, "watch", seen, errSeen)
}

func testDialService(t *testing.T, a, b Member) {
	ctx, name := t.Context(), unique("svc")
	wantError(t, "network", closed(b.Mesh.DialContext(ctx, "udp", name)), mcc.ErrInvalid)
	wantError(t, "bad name", closed(b.Mesh.DialContext(ctx, "tcp", "Bad_Name")), mcc.ErrInvalid)
	wantError(t, "nobody", closed(b.Mesh.DialContext(ctx, "tcp", name)), mcc.ErrNoProvider)
	offer(t, a, mcc.Service{Name: name})
	for _, m := range []Member{b, a} {
		for _, address := range []string{name, name + ".mcc", name + ".mcc:80"} {
			eventually(t, "dial "+address, func() error {
				conn, err := m.Mesh.DialContext(ctx, "tcp", address)
				if err != nil {
					return err
				}
				defer conn.Close()
				return echoes(conn, 200_000)
			})
		}
	}
}

// echoes sends n bytes, ends its direction and wants them back.
func echoes(conn net.Conn, n int) error {
	sent := content(n)
	failed := make(chan error, 1)
	go func() {
		_, err := conn.Write(sent)
		failed <- errors.Join(err, closeWrite(conn))
	}()
	got, err := io.ReadAll(conn)
	if err := errors.Join(err, <-failed); err != nil {
		return err
	}
	if string(got) != string(sent) {
		return fmt.Errorf("%d bytes came back other than the %d sent", len(got), len(sent))
	}
	return nil
}

func closeWrite(conn net.Conn) error {
	c, ok := conn.(interface{ CloseWrite() error })
	if !ok {
		return fmt.Errorf("%T has no CloseWrite", conn)
	}
	return c.CloseWrite()
}

// content is n bytes without a short period.
func content(n int) []byte {
	b := make([]byte, n)
	x := uint32(2463534242)
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x)
	}
	return b
}

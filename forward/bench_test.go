package forward

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
)

// pump measures sending chunks from one connection to another.
func pump(b *testing.B, from, to net.Conn) {
	chunk := make([]byte, 64<<10)
	b.SetBytes(int64(len(chunk)))
	b.ReportAllocs()
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 64<<10)
		for {
			if _, err := to.Read(buf); err != nil {
				return
			}
		}
	}()
	for b.Loop() {
		if _, err := from.Write(chunk); err != nil {
			b.Fatal(err)
		}
	}
	from.Close()
	<-done
}

func BenchmarkDirect(b *testing.B) {
	x, y := tcpPair(b)
	pump(b, x, y)
}

func BenchmarkJoin(b *testing.B) {
	a, x := tcpPair(b)
	c, y := tcpPair(b)
	result := join(x, y)
	pump(b, a, c)
	c.Close()
	<-result
}

func BenchmarkPipe(b *testing.B) {
	x, y := Pipe()
	pump(b, x, y)
}

// BenchmarkGateway is one request after the other through gateway and backend
// to a service, in one process; the front and the service speak over loopback.
func BenchmarkGateway(b *testing.B) {
	m := newMesh(b, GatewayConfig{})
	m.offerHandler("web", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") })
	benchRequests(b, m.front.URL+"/web/")
}

// BenchmarkGatewayDirect is the same request to the service itself.
func BenchmarkGatewayDirect(b *testing.B) {
	m := newMesh(b, GatewayConfig{})
	s := m.offerHandler("web", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") })
	benchRequests(b, s.URL+"/")
}

func benchRequests(b *testing.B, url string) {
	tr := &http.Transport{MaxIdleConnsPerHost: 64}
	defer tr.CloseIdleConnections()
	client := http.Client{Transport: tr}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			resp, err := client.Get(url)
			if err != nil {
				b.Error(err)
				return
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				b.Error(resp.Status)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
}

// BenchmarkConnection is a whole connection through an entrance.
func BenchmarkConnection(b *testing.B) {
	addr := serveTCP(b, echo)
	e := newTestEntrances(b, Config{Dial: func(ctx context.Context, s string, c Choice) (net.Conn, error) {
		return dialTo(addr)(ctx, s, c)
	}})
	_, local := addEntrance(b, e, Spec{Service: "echo"})
	buf := make([]byte, 1)
	b.ReportAllocs()
	for b.Loop() {
		c, err := net.Dial("tcp", local)
		if err != nil {
			b.Fatal(err)
		}
		c.Write(buf)
		if _, err := io.ReadFull(c, buf); err != nil {
			b.Fatal(err)
		}
		c.Close()
	}
}

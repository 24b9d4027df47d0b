package simnet_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/staex-mcc/mcc/transport/simnet"
)

// selfSigned makes a certificate that is valid at the time of the bubble.
func selfSigned(t testing.TB) tls.Certificate {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		DNSNames:     []string{"simnet"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(nil, template, template, pub, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// TestQUIC sends a stream through a bad link in virtual time.
func TestQUIC(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := network(t, simnet.Options{
			Seed: 3, Latency: 20 * time.Millisecond, Jitter: 2 * time.Millisecond,
			Loss: 0.02, Duplicate: 0.01, Reorder: 0.01,
		})
		server := &quic.Transport{Conn: listen(t, n, bob)}
		client := &quic.Transport{Conn: listen(t, n, netip.AddrPortFrom(alice.Addr(), 0))}
		defer server.Close()
		defer client.Close()
		tlsConf := &tls.Config{
			Certificates: []tls.Certificate{selfSigned(t)}, NextProtos: []string{"simnet"}, InsecureSkipVerify: true,
		}
		ln, err := server.Listen(tlsConf, nil)
		if err != nil {
			t.Fatal(err)
		}
		payload := make([]byte, 512<<10)
		rand.NewChaCha8([32]byte{}).Read(payload)
		start := time.Now()
		go serveOnce(t, ln, payload)

		conn, err := client.Dial(t.Context(), net.UDPAddrFromAddrPort(bob), tlsConf, nil)
		if err != nil {
			t.Fatal(err)
		}
		stream, err := conn.AcceptUniStream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(stream)
		if err != nil || !bytes.Equal(got, payload) {
			t.Fatalf("read %d of %d bytes, %v", len(got), len(payload), err)
		}
		t.Logf("%d KiB in %v of virtual time, %+v", len(payload)>>10, time.Since(start), n.Stats())
		conn.CloseWithError(0, "")
		if n.Stats().Lost == 0 {
			t.Error("nothing was lost on the way")
		}
	})
}

func serveOnce(t *testing.T, ln *quic.Listener, payload []byte) {
	conn, err := ln.Accept(t.Context())
	if err != nil {
		t.Error(err)
		return
	}
	stream, err := conn.OpenUniStream()
	if err != nil {
		t.Error(err)
		return
	}
	stream.Write(payload)
	stream.Close()
}

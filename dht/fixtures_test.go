package dht

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/staex-mcc/mcc/identity"
)

var (
	testAddr  = netip.MustParseAddrPort("192.0.2.1:9376")
	testAddr6 = netip.MustParseAddrPort("[2001:db8::1]:9376")
	testTime  = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
)

// testIdentity is the n-th identity of the tests; its seed is n in 32 bytes.
func testIdentity(tb testing.TB, n uint64) *identity.Local {
	tb.Helper()
	var seed [32]byte
	binary.BigEndian.PutUint64(seed[24:], n)
	id, err := identity.FromSeed(seed, "test", testTime)
	if err != nil {
		tb.Fatal(err)
	}
	return id
}

func testRecord(tb testing.TB, n uint64, name string, seq uint64, value string) *Item {
	tb.Helper()
	r, err := SignRecord(testIdentity(tb, n), Record{Name: name, Seq: seq, Value: []byte(value), Expires: testTime.Add(time.Hour)})
	if err != nil {
		tb.Fatal(err)
	}
	return RecordItem(r)
}

func testLease(tb testing.TB, n uint64, key Key, seq uint64, life time.Duration, body string) *Lease {
	tb.Helper()
	l := Lease{Key: key, Seq: seq, Body: []byte(body), Expires: testTime.Add(life)}
	if life == 0 {
		l.Expires = time.Time{}
	}
	l, err := SignLease(testIdentity(tb, n), l)
	if err != nil {
		tb.Fatal(err)
	}
	return &l
}

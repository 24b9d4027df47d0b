// Package dhttest is the conformance suite of the DHT contract. Whoever writes
// a dht.DHT runs it:
//
//	func TestConformance(t *testing.T) { dhttest.Run(t, myFactory) }
//
// The suite connects DHTs through a network in memory, [Mesh], in virtual time
// (testing/synctest), so an implementation under test uses no real network and
// starts all its goroutines in New. It knows nothing of the wire format: to try
// forged and replayed requests, it changes those that went over the network.
package dhttest

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/staex-mcc/mcc/dht"
)

// Run tests a DHT that f makes.
func Run(t *testing.T, f dht.Factory) {
	for name, test := range map[string]func(*testing.T, *Mesh){
		"Join":            testJoin,
		"JoinNobody":      testJoinNobody,
		"FindPeer":        testFindPeer,
		"NoSeat":          testNoSeat,
		"Leave":           testLeave,
		"DeadNeighbours":  testDeadNeighbours,
		"Alone":           testAlone,
		"RecordVersions":  testRecordVersions,
		"RecordRejects":   testRecordRejects,
		"RecordExpiry":    testRecordExpiry,
		"RecordRestart":   testRecordRestart,
		"RecordRepublish": testRecordRepublish,
		"RecordHandOver":  testRecordHandOver,
		"RecordSizes":     testRecordSizes,
		"RecordConflict":  testRecordConflict,
		"RecordProlong":   testRecordProlong,
		"RecordDrop":      testRecordDrop,
		"Values":          testValues,
		"ValueLife":       testValueLife,
		"ValueDrop":       testValueDrop,
		"LargeRestart":    testLargeRestart,
		"LargeHandOver":   testLargeHandOver,
		"LyingHolders":    testLyingHolders,
		"StaleHolders":    testStaleHolders,
		"ValueLies":       testValueLies,
		"Leases":          testLeases,
		"LeaseExpiry":     testLeaseExpiry,
		"LeaseWithdrawal": testLeaseWithdrawal,
		"LeaseRejects":    testLeaseRejects,
		"ManyLeases":      testManyLeases,
		"HandleGarbage":   testHandleGarbage,
		"HandleEarly":     testHandleEarly,
		"HandleForged":    testHandleForged,
		"HandleDenied":    testHandleDenied,
		"HandleSmallRoom": testHandleSmallRoom,
		"RestartContacts": testRestartContacts,
		"Cancel":          testCancel,
		"Close":           testClose,
		"Fifty":           testFifty,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, NewMesh(t, f, Latency)) })
		})
	}
}

// settle gives what goes on in the background time to end.
func settle() { time.Sleep(20 * time.Second) }

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got error %v, want %v", what, err, want)
	}
}

// SignRecord makes a record of n that lives an hour from now.
func (n *Node) SignRecord(name string, seq uint64, value string) dht.Record {
	n.mesh.tb.Helper()
	return n.signRecord(dht.Record{Name: name, Seq: seq, Value: []byte(value), Expires: time.Now().Add(time.Hour)})
}

func (n *Node) signRecord(r dht.Record) dht.Record {
	n.mesh.tb.Helper()
	r, err := dht.SignRecord(n.Identity, r)
	if err != nil {
		n.mesh.tb.Fatalf("SignRecord: %v", err)
	}
	return r
}

// SignLease makes a lease of n for the given time.
func (n *Node) SignLease(key dht.Key, seq uint64, body string, life time.Duration) dht.Lease {
	n.mesh.tb.Helper()
	l := dht.Lease{Key: key, Seq: seq, Body: []byte(body), Expires: time.Now().Add(life)}
	if life == 0 {
		l.Expires = time.Time{}
	}
	l, err := dht.SignLease(n.Identity, l)
	if err != nil {
		n.mesh.tb.Fatalf("SignLease: %v", err)
	}
	return l
}

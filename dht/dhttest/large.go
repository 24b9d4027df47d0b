package dhttest

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/staex-mcc/mcc/dht"
)

// sizes of values that are handled differently, or might be.
var sizes = []int{0, 1, 700, 1000, dht.MaxValue - 1, dht.MaxValue}

// filled is a value of a size that no other fill has.
func filled(size int, fill string) string { return strings.Repeat(fill, size) }

// mustPutRecord puts a record that at least least others acknowledge.
func (n *Node) mustPutRecord(t *testing.T, r dht.Record, least int) {
	t.Helper()
	if acks, err := n.PutRecord(t.Context(), r); err != nil || acks < least {
		t.Fatalf("PutRecord: got %d, %v, want at least %d", acks, err, least)
	}
}

func testRecordSizes(t *testing.T, m *Mesh) {
	nodes := m.StartJoined(30)
	settle()
	for seq, size := range sizes {
		value := filled(size, "v")
		nodes[0].mustPutRecord(t, nodes[0].SignRecord("a", uint64(seq), value), 15)
		for _, n := range nodes {
			n.wantRecord(t, nodes[0], "a", value)
		}
	}
	if m.Streams() == 0 {
		t.Error("nothing went over a stream")
	}
	own, err := nodes[0].OwnRecord(t.Context(), "a")
	if err != nil || len(own.Value) != dht.MaxValue || own.Verify() != nil {
		t.Errorf("OwnRecord: got %d bytes, %v", len(own.Value), err)
	}
}

// testRecordConflict: of two large values with one sequence the larger hash wins
// everywhere, and whoever put the other is told.
func testRecordConflict(t *testing.T, m *Mesh) {
	nodes := m.StartJoined(6)
	settle()
	values := []string{filled(2000, "a"), filled(2000, "b")}
	slices.SortFunc(values, func(a, b string) int {
		x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
		return bytes.Compare(x[:], y[:])
	})
	owner := nodes[0]
	owner.mustPutRecord(t, owner.SignRecord("a", 1, values[0]), 5)
	// The owner's twin puts the other one while the owner is away.
	owner.SetCut(true)
	nodes[1].mustPutRecord(t, owner.SignRecord("a", 1, values[1]), 4)
	owner.SetCut(false)
	_, err := owner.PutRecord(t.Context(), owner.SignRecord("a", 1, values[0]))
	wantErr(t, "the smaller hash", err, dht.ErrOutdated)
	settle()
	for _, n := range nodes {
		n.wantRecord(t, owner, "a", values[1])
	}
	if own, err := owner.OwnRecord(t.Context(), "a"); err != nil || string(own.Value) != values[1] {
		t.Errorf("the owner did not catch up: %v", err)
	}
}

// testRecordProlong: who has a value already is not sent it again.
func testRecordProlong(t *testing.T, m *Mesh) {
	nodes := m.StartJoined(5)
	settle()
	r := nodes[0].SignRecord("a", 1, filled(dht.MaxValue, "v"))
	nodes[0].mustPutRecord(t, r, 4)
	if got := m.Streams(); got != 4 {
		t.Errorf("%d streams for 4 holders", got)
	}
	r.Expires = r.Expires.Add(time.Hour)
	r = nodes[0].signRecord(r)
	nodes[0].mustPutRecord(t, r, 4)
	time.Sleep(time.Hour) // republished six times
	if got := m.Streams(); got != 4 {
		t.Errorf("prolonging and republishing took %d streams", got-4)
	}
	nodes[0].Stop()
	for _, n := range nodes[1:] {
		n.Restart()
	}
	time.Sleep(30 * time.Minute) // past the first expiry
	for _, n := range nodes[1:] {
		n.wantRecord(t, nodes[0], "a", string(r.Value))
	}
}

func testRecordDrop(t *testing.T, m *Mesh) {
	nodes := m.StartJoined(3)
	settle()
	for _, size := range []int{3, 3000} {
		r := nodes[0].SignRecord("a", 1, filled(size, "v"))
		nodes[0].mustPutRecord(t, r, 2)
		if _, err := nodes[1].OwnRecord(t.Context(), "a"); err == nil {
			t.Error("a holder has an own record that it did not put")
		}
		wantErr(t, "DropRecord at a holder", nodes[1].DropRecord(t.Context(), "a"), dht.ErrNotFound)
		if err := nodes[0].DropRecord(t.Context(), "a"); err != nil {
			t.Fatalf("DropRecord: %v", err)
		}
		wantErr(t, "DropRecord again", nodes[0].DropRecord(t.Context(), "a"), dht.ErrNotFound)
		nodes[0].Restart()
		_, err := nodes[0].OwnRecord(t.Context(), "a")
		wantErr(t, "OwnRecord of a dropped record", err, dht.ErrNotFound)
		nodes[0].MustJoin(nodes[1].Contact())
		time.Sleep(time.Hour + dht.ClockTolerance + time.Minute)
		for _, n := range nodes {
			_, err := n.GetRecord(t.Context(), r.Owner, "a")
			wantErr(t, "a dropped record after its expiry", err, dht.ErrNotFound)
		}
	}
}

func testLargeRestart(t *testing.T, m *Mesh) {
	nodes := m.StartJoined(4)
	settle()
	value := filled(dht.MaxValue, "r")
	nodes[0].mustPutRecord(t, nodes[0].SignRecord("a", 7, value), 3)
	key := nodes[0].mustPutValue(t, filled(dht.MaxValue, "i"), 3)
	for _, n := range nodes {
		n.Restart()
	}
	for _, n := range nodes {
		n.wantRecord(t, nodes[0], "a", value)
		n.wantValue(t, key, filled(dht.MaxValue, "i"))
	}
	_, err := nodes[0].PutRecord(t.Context(), nodes[0].SignRecord("a", 6, "old"))
	wantErr(t, "an older version after a restart", err, dht.ErrOutdated)
	if own, err := nodes[0].OwnRecord(t.Context(), "a"); err != nil || string(own.Value) != value {
		t.Errorf("OwnRecord after a restart: %v", err)
	}
	wantErr(t, "DropValue at a holder", nodes[1].DropValue(t.Context(), key), dht.ErrNotFound)
	if err := nodes[0].DropValue(t.Context(), key); err != nil {
		t.Errorf("DropValue after a restart: %v", err)
	}
}

func testLargeHandOver(t *testing.T, m *Mesh) {
	nodes := m.StartJoined(3)
	settle()
	owner := nodes[0]
	owner.mustPutRecord(t, owner.SignRecord("a", 1, filled(5000, "r")), 2)
	large := owner.mustPutValue(t, filled(5000, "i"), 2)
	small := owner.mustPutValue(t, "small", 2)
	owner.Stop()
	late := m.Start()
	late.MustJoin(nodes[1].Contact())
	settle()
	nodes[1].Stop()
	nodes[2].Stop()
	late.wantRecord(t, owner, "a", filled(5000, "r"))
	late.wantValue(t, large, filled(5000, "i"))
	late.wantValue(t, small, "small")
}

// lies are what a holder may do to the answer that carries a value.
var lies = map[string]func(answer []byte) []byte{
	"another value": func(answer []byte) []byte { answer[len(answer)-1] ^= 1; return answer },
	"a cut value":   func(answer []byte) []byte { return answer[:len(answer)-1] },
	"a long value":  func(answer []byte) []byte { return append(answer, 0) },
	"another head":  func(answer []byte) []byte { answer[60] ^= 1; return answer },
	"nothing":       func(answer []byte) []byte { return answer[:3] },
	"silence":       func([]byte) []byte { return nil },
}

// testLyingHolders: as long as one holder is honest, whoever asks gets the true
// value, and if none is, nothing.
func testLyingHolders(t *testing.T, m *Mesh) {
	nodes := m.StartJoined(6)
	settle()
	r := nodes[0].SignRecord("a", 1, filled(5000, "r"))
	nodes[0].mustPutRecord(t, r, 5)
	key := nodes[0].mustPutValue(t, filled(5000, "i"), 5)
	for what, lie := range lies {
		lying := func(m dht.Message, answer []byte) []byte {
			if !m.Stream {
				return answer
			}
			return lie(bytes.Clone(answer))
		}
		for _, honest := range []int{0, 3, 5} {
			for i, n := range nodes {
				n.SetTamper(lying)
				if i == honest {
					n.SetTamper(nil)
				}
			}
			guest := m.Start("call:*") // gets no seat, so nothing is handed over to it
			guest.MustJoin(nodes[0].Contact())
			start := time.Now()
			guest.wantRecord(t, nodes[0], "a", string(r.Value))
			guest.wantValue(t, key, filled(5000, "i"))
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("%s: it took %v", what, took)
			}
			nodes[honest].SetTamper(lying)
			_, err := guest.GetRecord(t.Context(), r.Owner, "a")
			wantErr(t, what+" from all", err, dht.ErrNotFound)
			guest.Stop()
		}
	}
}

// testStaleHolders: one holder with the newest version is enough, and forged
// answers of others change nothing.
func testStaleHolders(t *testing.T, m *Mesh) {
	nodes := m.StartJoined(3)
	settle()
	nodes[1].MustJoin(nodes[0].Contact()) // everybody knows everybody
	for seq, size := range []int{10, 5000} {
		owner, fresh := nodes[0], nodes[1]
		old := filled(size, "o")
		owner.mustPutRecord(t, owner.SignRecord("a", uint64(2*seq), old), 2)
		nodes[2].SetCut(true)
		value := filled(size, "n")
		owner.mustPutRecord(t, owner.SignRecord("a", uint64(2*seq+1), value), 1)
		nodes[2].SetCut(false)
		owner.SetCut(true)
		nodes[2].wantRecord(t, owner, "a", value)

		// All answers are forged but those of one.
		owner.SetCut(false)
		guest := m.Start("call:*")
		guest.MustJoin(fresh.Contact())
		for _, n := range nodes {
			n.SetTamper(func(_ dht.Message, answer []byte) []byte {
				answer = bytes.Clone(answer)
				if i := bytes.LastIndex(answer, owner.Peer.ID[:]); i >= 0 && len(answer) > i+100 {
					answer[i+39] ^= 1 // within what is signed
				}
				return answer
			})
		}
		_, err := guest.GetRecord(t.Context(), owner.Peer.ID, "a")
		wantErr(t, "forged by all", err, dht.ErrNotFound)
		fresh.SetTamper(nil)
		guest.wantRecord(t, owner, "a", value)
		for _, n := range nodes {
			n.SetTamper(nil)
		}
		guest.Stop()
	}
}

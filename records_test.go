package mcc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/staex-mcc/mcc"
	"github.com/staex-mcc/mcc/dht"
	"github.com/staex-mcc/mcc/mcctest"
	"github.com/staex-mcc/mcc/store/memory"
)

func TestRecordVersionsFollowEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := mcctest.Start(t, 4)
		ctx, owner, reader := t.Context(), mesh.Nodes[1], mesh.Nodes[3]
		steps := []struct {
			value string
			o     mcc.RecordOptions
			seq   uint64
			err   error
		}{
			{"early", mcc.RecordOptions{IfSeq: new(uint64(1))}, 0, mcc.ErrConflict},
			{"one", mcc.RecordOptions{IfSeq: new(uint64(0))}, 1, nil},
			{"again", mcc.RecordOptions{IfSeq: new(uint64(0))}, 1, mcc.ErrConflict},
			{"two", mcc.RecordOptions{}, 2, nil},
			{"stale", mcc.RecordOptions{IfSeq: new(uint64(1))}, 2, mcc.ErrConflict},
			{strings.Repeat("3", mcc.MaxValue), mcc.RecordOptions{IfSeq: new(uint64(2))}, 3, nil},
			{strings.Repeat("4", mcc.MaxValue+1), mcc.RecordOptions{}, 3, mcc.ErrTooLarge},
			{"four", mcc.RecordOptions{TTL: time.Hour}, 4, nil},
			{"five", mcc.RecordOptions{TTL: 49 * time.Hour}, 4, mcc.ErrInvalid},
			{"", mcc.RecordOptions{}, 5, nil},
		}
		want := ""
		for _, s := range steps {
			r, err := owner.PutRecord(ctx, "state", []byte(s.value), s.o)
			if !errors.Is(err, s.err) || err == nil && r.Seq != s.seq {
				t.Fatalf("put %.9q: sequence %d, %v; want %d, %v", s.value, r.Seq, err, s.seq, s.err)
			}
			if err == nil {
				want = s.value
			}
			if s.seq == 0 {
				continue
			}
			got, err := reader.GetRecord(ctx, owner.Label(), "state")
			if err != nil || string(got.Value) != want || got.Seq != s.seq {
				t.Fatalf("after %.9q: read %.9q, sequence %d, %v; want %.9q, %d", s.value, got.Value, got.Seq, err, want, s.seq)
			}
			if err := got.Verify(); err != nil {
				t.Errorf("signature: %v", err)
			}
			if got.Value = append(got.Value, 'x'); got.Verify() == nil {
				t.Error("a changed value passes for signed")
			}
		}
	})
}

func TestRecordNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node := mcctest.Start(t, 1).Nodes[0]
		for _, name := range []string{"", "mcc.did", "a\nb", "\xff", strings.Repeat("n", 201)} {
			if _, err := node.PutRecord(t.Context(), name, nil, mcc.RecordOptions{}); !errors.Is(err, mcc.ErrInvalid) {
				t.Errorf("name %q: %v, want ErrInvalid", name, err)
			}
		}
		for _, name := range []string{"a", "a/b c", "ä", strings.Repeat("n", 200)} {
			if _, err := node.PutRecord(t.Context(), name, nil, mcc.RecordOptions{}); err != nil {
				t.Errorf("name %q: %v", name, err)
			}
		}
	})
}

// Whoever owns a record is named in any way that names a node.
func TestRecordOwnerNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := mcctest.Start(t, 3)
		ctx, owner, reader := t.Context(), mesh.Nodes[1], mesh.Nodes[2]
		if _, err := owner.PutRecord(ctx, "r", []byte("v"), mcc.RecordOptions{}); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{owner.ID().String(), owner.ID().DID(), didOf(owner), owner.Label()} {
			if r, err := reader.GetRecord(ctx, name, "r"); err != nil || string(r.Value) != "v" {
				t.Errorf("%s: %q, %v", name, r.Value, err)
			}
		}
		for _, name := range []string{"", "did:web:example.org", "did:mcc:nobody", "No Label"} {
			if _, err := reader.GetRecord(ctx, name, "r"); !errors.Is(err, mcc.ErrInvalid) && !errors.Is(err, mcc.ErrUnsupported) {
				t.Errorf("%q: %v, want ErrInvalid or ErrUnsupported", name, err)
			}
		}
	})
}

// A program whose put was told "conflict" reads and tries again: nothing that
// was counted gets lost.
func TestCompareAndSwapLosesNoUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node := mcctest.Start(t, 3).Nodes[0]
		const writers, rounds = 4, 5
		errs := make(chan error, writers)
		for range writers {
			go func() { errs <- count(t.Context(), node, rounds) }()
		}
		for range writers {
			if err := <-errs; err != nil {
				t.Fatal(err)
			}
		}
		r, err := node.GetRecord(t.Context(), node.ID().String(), "count")
		if err != nil || string(r.Value) != fmt.Sprint(writers*rounds) {
			t.Errorf("the count is %q, %v; want %d", r.Value, err, writers*rounds)
		}
	})
}

// count adds one to the record "count", several times.
func count(ctx context.Context, node *mcc.Node, rounds int) error {
	for done := 0; done < rounds; {
		r, err := node.GetRecord(ctx, node.ID().String(), "count")
		if err != nil && !errors.Is(err, mcc.ErrNotFound) {
			return err
		}
		n := 0
		_, _ = fmt.Sscan(string(r.Value), &n)
		_, err = node.PutRecord(ctx, "count", fmt.Append(nil, n+1), mcc.RecordOptions{IfSeq: &r.Seq})
		if err == nil {
			done++
		} else if !errors.Is(err, mcc.ErrConflict) {
			return err
		}
	}
	return nil
}

func TestRecordIsKeptAliveAndDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := mcctest.Start(t, 1)
		ctx, owner := t.Context(), mesh.Nodes[0]
		put := func(name string, o mcc.RecordOptions) {
			if _, err := owner.PutRecord(ctx, name, []byte("v"), o); err != nil {
				t.Fatalf("put %s: %v", name, err)
			}
		}
		put("kept", mcc.RecordOptions{})
		put("dropped", mcc.RecordOptions{})
		put("short", mcc.RecordOptions{TTL: time.Hour})
		if err := owner.DropRecord(ctx, "dropped"); err != nil {
			t.Fatal(err)
		}
		if err := owner.DropRecord(ctx, "dropped"); !errors.Is(err, mcc.ErrNotFound) {
			t.Errorf("dropped twice: %v, want ErrNotFound", err)
		}
		id, err := owner.PutValue(ctx, []byte("immutable"))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Hour) // virtual
		reader := mesh.Add(nil)
		time.Sleep(time.Minute)
		if r, err := reader.GetRecord(ctx, owner.Label(), "kept"); err != nil || r.Seq != 1 {
			t.Errorf("kept: sequence %d, %v", r.Seq, err)
		}
		if v, err := reader.GetValue(ctx, id); err != nil || string(v) != "immutable" {
			t.Errorf("value: %q, %v", v, err)
		}
		for _, name := range []string{"short", "dropped"} {
			if _, err := reader.GetRecord(ctx, owner.Label(), name); !errors.Is(err, mcc.ErrNotFound) {
				t.Errorf("%s after 50 h: %v, want ErrNotFound", name, err)
			}
		}
	})
}

// A node that was off for longer than its records live brings them back.
func TestRecordsComeBackAfterALongTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := memory.New()
		defer disk.Close()
		mesh := mcctest.StartWith(t, 2, mcctest.Config{Options: func(i int, o *mcc.Options) {
			if i == 1 {
				o.Store = disk
			}
		}})
		ctx, owner := t.Context(), mesh.Nodes[1]
		for _, value := range []string{"v", "w"} {
			if _, err := owner.PutRecord(ctx, "r", []byte(value), mcc.RecordOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		self := owner.Identity()
		for _, node := range mesh.Nodes {
			if err := node.Close(); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(100 * 24 * time.Hour)
		reader := mesh.Replace(0, nil)
		back := mesh.Replace(1, func(_ int, o *mcc.Options) { o.Store, o.Identity = disk, self })
		time.Sleep(time.Minute)
		r, err := reader.GetRecord(ctx, back.ID().String(), "r")
		if err != nil || string(r.Value) != "w" || r.Seq != 2 {
			t.Errorf("read %q, sequence %d, %v; want \"w\", 2", r.Value, r.Seq, err)
		}
	})
}

// Whoever lost the data folder but not the key goes on behind the last version.
func TestSequenceIsLearntFromTheMesh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := mcctest.Start(t, 4)
		ctx, owner := t.Context(), mesh.Nodes[1]
		for range 3 {
			if _, err := owner.PutRecord(ctx, "r", []byte("old"), mcc.RecordOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		self := owner.Identity()
		owner.Close()
		back := mesh.Replace(1, func(_ int, o *mcc.Options) { o.Identity = self })
		r, err := back.PutRecord(ctx, "r", []byte("new"), mcc.RecordOptions{})
		if err != nil || r.Seq != 4 {
			t.Fatalf("put: sequence %d, %v; want 4", r.Seq, err)
		}
		got, err := mesh.Nodes[3].GetRecord(ctx, back.ID().String(), "r")
		if err != nil || string(got.Value) != "new" {
			t.Errorf("read %q, %v", got.Value, err)
		}
	})
}

func TestValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := mcctest.Start(t, 4)
		ctx := t.Context()
		for _, size := range []int{0, 1, 700, 1000, 65_535, mcc.MaxValue} {
			want := bytes.Repeat([]byte{7}, size)
			id, err := mesh.Nodes[1].PutValue(ctx, want)
			if err != nil {
				t.Fatalf("%d bytes: %v", size, err)
			}
			got, err := mesh.Nodes[3].GetValue(ctx, id)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes: read %d, %v", size, len(got), err)
			}
		}
		if _, err := mesh.Nodes[1].PutValue(ctx, make([]byte, mcc.MaxValue+1)); !errors.Is(err, mcc.ErrTooLarge) {
			t.Errorf("over the bound: %v, want ErrTooLarge", err)
		}
		if _, err := mesh.Nodes[1].GetValue(ctx, mcc.Hash{1}); !errors.Is(err, mcc.ErrNotFound) {
			t.Errorf("unknown value: %v, want ErrNotFound", err)
		}
		if err := mesh.Nodes[1].DropValue(ctx, mcc.Hash{1}); !errors.Is(err, mcc.ErrNotFound) {
			t.Errorf("drop of an unknown value: %v, want ErrNotFound", err)
		}
	})
}

// balkyDHT fails puts of records while told so.
type balkyDHT struct {
	dht.DHT
	balk atomic.Bool
}

func (d *balkyDHT) PutRecord(ctx context.Context, r dht.Record) (int, error) {
	if d.balk.Load() {
		return 0, dht.ErrBusy
	}
	return d.DHT.PutRecord(ctx, r)
}

// A put that failed leaves the sequence and the value as they were.
func TestFailedPutLeavesNoGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		balky := &balkyDHT{}
		mesh := mcctest.StartWith(t, 1, mcctest.Config{Options: func(_ int, o *mcc.Options) {
			o.DHT = func(env dht.Env) (dht.DHT, error) {
				k, err := dht.New(env)
				balky.DHT = k
				return balky, err
			}
		}})
		ctx, node := t.Context(), mesh.Nodes[0]
		put := func(value string, want uint64) error {
			_, err := node.PutRecord(ctx, "r", []byte(value), mcc.RecordOptions{IfSeq: &want})
			return err
		}
		if err := put("one", 0); err != nil {
			t.Fatal(err)
		}
		balky.balk.Store(true)
		if err := put("two", 1); !errors.Is(err, mcc.ErrBusy) {
			t.Fatalf("put: %v, want ErrBusy", err)
		}
		if err := node.DeactivateDID(ctx, didOf(node)); !errors.Is(err, mcc.ErrBusy) {
			t.Fatalf("deactivate: %v, want ErrBusy", err)
		}
		balky.balk.Store(false)
		time.Sleep(30 * time.Hour) // virtual: time to prolong
		if r, err := node.GetRecord(ctx, node.ID().String(), "r"); err != nil || string(r.Value) != "one" {
			t.Errorf("in force is %q, %v; want \"one\"", r.Value, err)
		}
		if err := put("three", 1); err != nil {
			t.Errorf("put after the failure: %v", err)
		}
		if err := node.DeactivateDID(ctx, didOf(node)); err != nil {
			t.Errorf("deactivate after the failure: %v", err)
		}
	})
}

// A put that was cut between DHT and disk is kept alive like any other.
func TestCutPutIsKeptAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := mcctest.Start(t, 1)
		ctx, node := t.Context(), mesh.Nodes[0]
		if _, err := node.PutRecord(ctx, "r", []byte("one"), mcc.RecordOptions{}); err != nil {
			t.Fatal(err)
		}
		r, err := dht.SignRecord(node.Identity(), dht.Record{
			Name: "r", Seq: 2, Value: []byte("two"), Expires: time.Now().Add(dht.RecordLife),
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := node.DHT().PutRecord(ctx, r); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Hour)
		got, err := node.GetRecord(ctx, node.ID().String(), "r")
		if err != nil || string(got.Value) != "two" {
			t.Errorf("after 50 h: %q, %v; want \"two\"", got.Value, err)
		}
	})
}

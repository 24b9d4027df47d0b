package meshtest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/staex-mcc/mcc"
)

func testRecords(t *testing.T, a, b Member) {
	ctx, name := t.Context(), unique("rec")
	_, err := b.Mesh.GetRecord(ctx, a.ID.String(), name)
	wantError(t, "get before put", err, mcc.ErrNotFound)
	wantError(t, "drop before put", a.Mesh.DropRecord(ctx, name), mcc.ErrNotFound)
	for i, value := range []string{"one", "", "three\x00", strings.Repeat("4", mcc.MaxValue)} {
		put := must[mcc.Record](t, "put")(a.Mesh.PutRecord(ctx, name, []byte(value), mcc.RecordOptions{}))
		if put.Owner != a.ID || put.Name != name || put.Seq != uint64(i+1) || put.Expires.IsZero() || string(put.Value) != value || put.Verify() != nil {
			t.Errorf("put %.9q: owner %s, name %q, sequence %d, %v", value, put.Owner, put.Name, put.Seq, put.Verify())
		}
		for _, owner := range []string{a.ID.String(), a.ID.DID(), a.Label} {
			eventually(t, "get", func() error {
				got, err := b.Mesh.GetRecord(ctx, owner, name)
				if err == nil && (got.Seq != put.Seq || string(got.Value) != value || got.Owner != a.ID) {
					return fmt.Errorf("sequence %d, %.9q", got.Seq, got.Value)
				}
				if err == nil {
					err = got.Verify()
				}
				return err
			})
		}
	}
	if err := a.Mesh.DropRecord(ctx, name); err != nil {
		t.Error(err)
	}
	_, err = b.Mesh.GetRecord(ctx, "nobodyatall", name)
	wantError(t, "nobody's label", err, mcc.ErrNotFound)
}

func testRecordRules(t *testing.T, a, _ Member) {
	ctx, name := t.Context(), unique("rec")
	for _, step := range []struct {
		value string
		o     mcc.RecordOptions
		seq   uint64
		want  error
	}{
		{"early", mcc.RecordOptions{IfSeq: new(uint64(1))}, 0, mcc.ErrConflict},
		{"one", mcc.RecordOptions{IfSeq: new(uint64(0))}, 1, nil},
		{"again", mcc.RecordOptions{IfSeq: new(uint64(0))}, 0, mcc.ErrConflict},
		{"two", mcc.RecordOptions{IfSeq: new(uint64(1))}, 2, nil},
		{"stale", mcc.RecordOptions{IfSeq: new(uint64(1))}, 0, mcc.ErrConflict},
		{"hour", mcc.RecordOptions{TTL: time.Hour}, 3, nil},
		{"short", mcc.RecordOptions{TTL: time.Millisecond}, 0, mcc.ErrInvalid},
		{"long", mcc.RecordOptions{TTL: 49 * time.Hour}, 0, mcc.ErrInvalid},
		{"negative", mcc.RecordOptions{TTL: -time.Hour}, 0, mcc.ErrInvalid},
		{strings.Repeat("x", mcc.MaxValue+1), mcc.RecordOptions{}, 0, mcc.ErrTooLarge},
	} {
		r, err := a.Mesh.PutRecord(ctx, name, []byte(step.value), step.o)
		if wantError(t, fmt.Sprintf("put %.9q", step.value), err, step.want); err == nil && r.Seq != step.seq {
			t.Errorf("put %.9q: sequence %d, want %d", step.value, r.Seq, step.seq)
		}
		if left := time.Until(r.Expires); err == nil && step.o.TTL > 0 && (left > step.o.TTL+time.Minute || left < step.o.TTL/2) {
			t.Errorf("put %.9q: lives %v", step.value, left)
		}
	}
}

func testRecordNames(t *testing.T, a, b Member) {
	ctx := t.Context()
	for _, bad := range []string{"", strings.Repeat("n", 201), "mcc.own", "line\nbreak", "\xff"} {
		_, err := a.Mesh.PutRecord(ctx, bad, []byte("x"), mcc.RecordOptions{})
		wantError(t, fmt.Sprintf("put %.9q", bad), err, mcc.ErrInvalid)
	}
	prefix := unique("n")
	for _, good := range []string{".", "..", "/", "a/b", "../..", "%2f?x=#y&z+", "ü ", strings.Repeat("n", 150), "a//b", "/a/", "*"} {
		name := good
		if len(good) > 2 {
			name += prefix // the others must be those very names
		}
		put := must[mcc.Record](t, "put "+name)(a.Mesh.PutRecord(ctx, name, []byte(prefix), mcc.RecordOptions{}))
		eventually(t, "get "+name, func() error {
			got, err := b.Mesh.GetRecord(ctx, a.ID.String(), name)
			if err == nil && (got.Name != name || got.Seq != put.Seq) {
				err = fmt.Errorf("got %q, sequence %d", got.Name, got.Seq)
			}
			return err
		})
		if err := a.Mesh.DropRecord(ctx, name); err != nil {
			t.Errorf("drop %q: %v", name, err)
		}
	}
}

func testValues(t *testing.T, a, b Member) {
	ctx := t.Context()
	for _, value := range []string{unique("value"), strings.Repeat("v", mcc.MaxValue), "\x00\xff"} {
		id := must[mcc.Hash](t, "put")(a.Mesh.PutValue(ctx, []byte(value)))
		if again, err := a.Mesh.PutValue(ctx, []byte(value)); err != nil || again != id {
			t.Errorf("again: %s, %v, want %s", again, err, id)
		}
		eventually(t, "get", func() error {
			got, err := b.Mesh.GetValue(ctx, id)
			if err == nil && string(got) != value {
				err = fmt.Errorf("got %.20q", got)
			}
			return err
		})
		if err := a.Mesh.DropValue(ctx, id); err != nil {
			t.Error(err)
		}
	}
	_, err := a.Mesh.PutValue(ctx, make([]byte, mcc.MaxValue+1))
	wantError(t, "too large", err, mcc.ErrTooLarge)
	_, err = b.Mesh.GetValue(ctx, mcc.Hash{1, 31: 1})
	wantError(t, "unknown", err, mcc.ErrNotFound)
}

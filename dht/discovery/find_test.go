package discovery

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/staex-mcc/mcc/dht"
	"github.com/staex-mcc/mcc/identity"
)

func TestLabels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := newFakeMesh()
		var want []identity.ID
		for n := range byte(3) {
			r := newRegistry(t, n+1, mesh.node(), func(c *Config) {
				c.Identity = newIdentity(t, n+1, "web")
				c.Consortium = fmt.Sprint("consortium", n)
			})
			// A service of the same name lies elsewhere.
			mustRegister(t, r, Entry{Name: "web"})
			if err := r.RegisterLabel(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := r.RegisterLabel(t.Context()); !errors.Is(err, ErrExists) {
				t.Errorf("second RegisterLabel: %v", err)
			}
			want = append(want, newIdentity(t, n+1, "web").ID())
		}
		slices.SortFunc(want, identity.ID.Compare)
		r := newRegistry(t, 9, mesh.node())
		time.Sleep(3 * time.Minute)
		got, err := r.FindLabel(t.Context(), "web")
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("FindLabel: %v (-want +got):\n%s", err, diff)
		}
		if got, err := r.FindLabel(t.Context(), "nobody"); err != nil || got == nil || len(got) != 0 {
			t.Errorf("FindLabel of nobody: %v, %v", got, err)
		}
		if _, err := r.FindLabel(t.Context(), "No Label"); !errors.Is(err, ErrInvalid) {
			t.Errorf("FindLabel of no label: %v", err)
		}
	})
}

// TestForeignLeases: what cannot be read or lies under the wrong key is left
// out and counted.
func TestForeignLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := newFakeMesh()
		d := mesh.node()
		place := func(number byte, key dht.Key, data []byte) {
			l, err := dht.SignLease(newIdentity(t, number, "x"), dht.Lease{
				Key: key, Seq: 1, Expires: time.Now().Add(time.Minute), Body: data,
			})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.PutLease(t.Context(), l); err != nil {
				t.Fatal(err)
			}
		}
		encoded := func(b body) []byte {
			b.weight = 1
			data, err := b.encode()
			if err != nil {
				t.Fatal(err)
			}
			return data
		}
		r := newRegistry(t, 1, d)
		mustRegister(t, r, Entry{Name: "files"})
		place(2, Key("acme", "files"), []byte("junk"))
		place(3, Key("acme", "files"), nil)
		place(4, Key("acme", "files"), encoded(body{consortium: "other"}))
		place(5, LabelKey("web"), encoded(body{label: "mail"}))
		if n := len(mustFind(t, r, "files")); n != 1 {
			t.Errorf("%d providers, want 1", n)
		}
		if got, err := r.FindLabel(t.Context(), "web"); err != nil || len(got) != 0 {
			t.Errorf("FindLabel: %v, %v", got, err)
		}
		if s := r.Stats(); s.Dropped != 4 {
			t.Errorf("%d dropped, want 4", s.Dropped)
		}
	})
}

func TestManyProviders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := newFakeMesh()
		for n := range byte(100) {
			mustRegister(t, newRegistry(t, n, mesh.node()), Entry{Name: "files", Weight: 1 + int(n)})
		}
		time.Sleep(3 * time.Minute)
		got := mustFind(t, newRegistry(t, 200, mesh.node()), "files")
		if len(got) != 100 {
			t.Fatalf("%d providers, want 100", len(got))
		}
		if !slices.IsSortedFunc(got, func(a, b Provider) int { return a.ID.Compare(b.ID) }) {
			t.Error("not in the order of ids")
		}
	})
}

package mcc_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/staex-mcc/mcc"
	"github.com/staex-mcc/mcc/mcctest"
)

func didOf(node *mcc.Node) string { return "did:mcc:" + node.ID().String() }

func TestNodePublishesItsDocument(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := mcctest.Start(t, 4)
		ctx, node, reader := t.Context(), mesh.Nodes[1], mesh.Nodes[3]
		time.Sleep(time.Minute) // virtual
		first, err := reader.ResolveDID(ctx, didOf(node))
		if err != nil || !strings.Contains(string(first.Document), didOf(node)) {
			t.Fatalf("%s, %v", first.Document, err)
		}
		offerEcho(t, node, mcc.Service{Name: "files"})
		time.Sleep(time.Minute)
		second, err := reader.ResolveDID(ctx, didOf(node))
		if err != nil || second.Version != first.Version+1 || !strings.Contains(string(second.Document), "#files") {
			t.Errorf("with a service: version %d, %v: %s", second.Version, err, second.Document)
		}
	})
}

func TestUsersDocumentStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := mcctest.Start(t, 4)
		ctx, node, reader := t.Context(), mesh.Nodes[1], mesh.Nodes[3]
		time.Sleep(time.Minute)
		document := fmt.Sprintf(`{"id": %q,  "alsoKnownAs": ["https://example.org/"]}`, didOf(node))
		put, err := node.PutDID(ctx, didOf(node), []byte(document))
		if err != nil {
			t.Fatal(err)
		}
		self := node.Identity()
		offerEcho(t, node, mcc.Service{Name: "files"})
		time.Sleep(time.Minute)
		check := func(when string) {
			got, err := reader.ResolveDID(ctx, didOf(node))
			if err != nil || string(got.Document) != document || got.Version != put.Version {
				t.Errorf("%s: version %d, %v: %s", when, got.Version, err, got.Document)
			}
		}
		check("after a registration")
		node.Close()
		mesh.Replace(1, func(_ int, o *mcc.Options) { o.Identity = self })
		time.Sleep(time.Minute)
		check("after a new start without the data folder")
	})
}

func TestDIDRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := mcctest.Start(t, 3)
		ctx, node, other := t.Context(), mesh.Nodes[1], mesh.Nodes[2]
		time.Sleep(time.Minute)
		good := fmt.Sprintf(`{"id":%q}`, didOf(node))
		puts := []struct {
			did, document string
			want          error
		}{
			{didOf(other), fmt.Sprintf(`{"id":%q}`, didOf(other)), mcc.ErrDenied},
			{node.ID().DID(), fmt.Sprintf(`{"id":%q}`, node.ID().DID()), mcc.ErrDenied},
			{didOf(node), fmt.Sprintf(`{"id":%q}`, didOf(other)), mcc.ErrInvalid},
			{didOf(node), `{`, mcc.ErrInvalid},
			{didOf(node), `{"id":"` + didOf(node) + `","x":"` + strings.Repeat("x", mcc.MaxValue) + `"}`, mcc.ErrTooLarge},
			{"did:web:example.org", good, mcc.ErrUnsupported},
			{"did:mcc:nobody", good, mcc.ErrInvalid},
			{"nonsense", good, mcc.ErrInvalid},
			{didOf(node), good, nil},
		}
		for _, p := range puts {
			if _, err := node.PutDID(ctx, p.did, []byte(p.document)); !errors.Is(err, p.want) {
				t.Errorf("put %s %.40s: %v, want %v", p.did, p.document, err, p.want)
			}
		}
		resolves := []struct {
			did  string
			want error
		}{
			{didOf(node), nil},
			{other.ID().DID(), nil},
			{"did:web:example.org", mcc.ErrUnsupported},
			{"did:mcc:nobody", mcc.ErrInvalid},
			{"nonsense", mcc.ErrInvalid},
			{"did:mcc:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK", mcc.ErrNotFound},
		}
		for _, r := range resolves {
			if _, err := other.ResolveDID(ctx, r.did); !errors.Is(err, r.want) {
				t.Errorf("resolve %s: %v, want %v", r.did, err, r.want)
			}
		}
	})
}

func TestDeactivationIsFinal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := mcctest.Start(t, 3)
		ctx, node := t.Context(), mesh.Nodes[1]
		time.Sleep(time.Minute)
		if err := mesh.Nodes[2].DeactivateDID(ctx, didOf(node)); !errors.Is(err, mcc.ErrDenied) {
			t.Errorf("by another node: %v, want ErrDenied", err)
		}
		if err := node.DeactivateDID(ctx, didOf(node)); err != nil {
			t.Fatal(err)
		}
		self := node.Identity()
		offerEcho(t, node, mcc.Service{Name: "files"})
		_, err := node.PutDID(ctx, didOf(node), fmt.Appendf(nil, `{"id":%q}`, didOf(node)))
		if !errors.Is(err, mcc.ErrDeactivated) {
			t.Errorf("put: %v, want ErrDeactivated", err)
		}
		node.Close()
		mesh.Replace(1, func(_ int, o *mcc.Options) { o.Identity = self })
		time.Sleep(time.Minute)
		got, err := mesh.Nodes[2].ResolveDID(ctx, didOf(node))
		if !errors.Is(err, mcc.ErrDeactivated) || !got.Deactivated || len(got.Document) > 0 {
			t.Errorf("resolve: %+v, %v; want ErrDeactivated", got, err)
		}
	})
}

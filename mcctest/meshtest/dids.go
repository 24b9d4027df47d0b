package meshtest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/staex-mcc/mcc"
)

func testDIDs(t *testing.T, a, b Member) {
	ctx := t.Context()
	var made mcc.DIDDocument
	eventually(t, "the node's own document", func() (err error) {
		made, err = b.Mesh.ResolveDID(ctx, a.did())
		return err
	})
	if made.DID != a.did() || made.Version == 0 || !strings.Contains(string(made.Document), a.did()) {
		t.Errorf("the node's own document: %+v", made)
	}
	document := fmt.Sprintf(`{"id": %q,  "alsoKnownAs": ["https://example.org/%s"]}`, a.did(), unique("x"))
	put := must[mcc.DIDDocument](t, "put")(a.Mesh.PutDID(ctx, a.did(), []byte(document)))
	if put.Version <= made.Version || string(put.Document) != document {
		t.Errorf("put version %d after %d: %s", put.Version, made.Version, put.Document)
	}
	eventually(t, "resolve", func() error {
		got, err := b.Mesh.ResolveDID(ctx, a.did())
		if err == nil && (got.Version != put.Version || string(got.Document) != document || got.Deactivated) {
			err = fmt.Errorf("%+v", got)
		}
		return err
	})
	key := must[mcc.DIDDocument](t, "did:key")(b.Mesh.ResolveDID(ctx, a.ID.DID()))
	if key.Version != 0 || key.DID != a.ID.DID() || !strings.Contains(string(key.Document), a.ID.DID()) {
		t.Errorf("did:key: %+v", key)
	}
}

func testDIDRules(t *testing.T, a, b Member) {
	ctx := t.Context()
	document := func(did string) string { return fmt.Sprintf(`{"id":%q}`, did) }
	for _, put := range []struct {
		did, document string
		want          error
	}{
		{b.did(), document(b.did()), mcc.ErrDenied},
		{a.ID.DID(), document(a.ID.DID()), mcc.ErrDenied},
		{a.did(), document(b.did()), mcc.ErrInvalid},
		{a.did(), `{`, mcc.ErrInvalid},
		{a.did(), "", mcc.ErrInvalid},
		{a.did(), document(a.did()) + strings.Repeat(" ", mcc.MaxValue), mcc.ErrTooLarge},
		{"did:web:example.org", document("did:web:example.org"), mcc.ErrUnsupported},
		{"did:mcc:nobody", document("did:mcc:nobody"), mcc.ErrInvalid},
		{"nonsense", "{}", mcc.ErrInvalid},
	} {
		_, err := a.Mesh.PutDID(ctx, put.did, []byte(put.document))
		wantError(t, fmt.Sprintf("put %s %.40s", put.did, put.document), err, put.want)
	}
	for did, want := range map[string]error{
		"did:web:example.org": mcc.ErrUnsupported, "did:mcc:nobody": mcc.ErrInvalid, "nonsense": mcc.ErrInvalid, "": mcc.ErrInvalid,
		"did:mcc:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK": mcc.ErrNotFound,
	} {
		_, err := a.Mesh.ResolveDID(ctx, did)
		wantError(t, "resolve "+did, err, want)
	}
	wantError(t, "deactivate another's", a.Mesh.DeactivateDID(ctx, b.did()), mcc.ErrDenied)
}

// testDeactivated: a DID that was given up stays so.
func testDeactivated(t *testing.T, a, b Member) {
	ctx := t.Context()
	if err := a.Mesh.DeactivateDID(ctx, a.did()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "resolve", func() error {
		if _, err := b.Mesh.ResolveDID(ctx, a.did()); err == nil {
			return fmt.Errorf("it resolves")
		}
		return nil
	})
	_, err := b.Mesh.ResolveDID(ctx, a.did())
	wantError(t, "resolve", err, mcc.ErrDeactivated)
	_, err = a.Mesh.PutDID(ctx, a.did(), fmt.Appendf(nil, `{"id":%q}`, a.did()))
	wantError(t, "put", err, mcc.ErrDeactivated)
	wantError(t, "again", a.Mesh.DeactivateDID(ctx, a.did()), mcc.ErrDeactivated)
}

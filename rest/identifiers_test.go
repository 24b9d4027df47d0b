package rest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	mcc "github.com/staex-mcc/mcc"
)

const testDocument = `{"id":"did:mcc:x","note":"<&>"}`

func resolver(t *testing.T) (*fakeNode, *Handler) {
	f := newFakeNode()
	f.dids["did:mcc:x"] = mcc.DIDDocument{DID: "did:mcc:x", Document: []byte(testDocument), Version: 3}
	f.dids["did:mcc:gone"] = mcc.DIDDocument{DID: "did:mcc:gone", Version: 4, Deactivated: true}
	f.dids["did:mcc:odd"] = mcc.DIDDocument{DID: "did:mcc:odd", Document: []byte("{"), Version: 1}
	return f, newHandler(t, f, Options{})
}

// What is answered depends on Accept (DID Resolution 1.0, 12.1).
func TestIdentifierForms(t *testing.T) {
	_, h := resolver(t)
	const result = `{"didDocument":` + testDocument + `,"didResolutionMetadata":{"contentType":"application/did"},"didDocumentMetadata":{"versionId":"3"}}`
	const older = `{"@context":"https://w3id.org/did-resolution/v1","didDocument":` + testDocument +
		`,"didResolutionMetadata":{"contentType":"application/did+json"},"didDocumentMetadata":{"versionId":"3"}}`
	for _, c := range []struct{ accept, form, want string }{
		{"", resolutionType, result},
		{"  ", resolutionType, result},
		{"*/*", resolutionType, result},
		{"application/*", resolutionType, result},
		{"text/html,application/xhtml+xml,*/*;q=0.8", resolutionType, result},
		{"application/did-resolution", resolutionType, result},
		{"Application/DID-Resolution", resolutionType, result},
		{`application/ld+json;profile="https://w3id.org/did-resolution"`, olderResolutionType, older},
		{`application/ld+json; profile="https://w3id.org/did-resolution"; charset=utf-8`, olderResolutionType, older},
		{"application/did", "application/did", testDocument},
		{"application/did+json", didType, testDocument},
		{"application/did+ld+json", "application/did+ld+json", testDocument},
		{"application/json", "application/json", testDocument},
		{"application/json;charset=utf-8", "application/json", testDocument},
		{"application/ld+json", "application/ld+json", testDocument},
		{"application/did-resolution;q=0.5, application/did", "application/did", testDocument},
		{"application/did;q=0.5, */*;q=0.1", "application/did", testDocument},
		{"application/did-resolution;q=0, */*", "application/did", testDocument},
		{"application/did;q=2, application/json", "application/json", testDocument},
		{`application/ld+json;profile="a\",b", application/did`, "application/did", testDocument},
		{"nonsense, application/did", "application/did", testDocument},
		{"text/html\nAccept: application/did", "application/did", testDocument},
	} {
		var headers []string
		if c.accept != "" {
			headers = strings.Split("Accept: "+c.accept, "\n")
		}
		w := do(t, h, "GET /1.0/identifiers/did:mcc:x", "", headers...)
		if got := w.Header().Get("Content-Type"); w.Code != 200 || got != c.form || strings.TrimSpace(w.Body.String()) != c.want {
			t.Errorf("%q: %d %s\n%s", c.accept, w.Code, got, w.Body)
		}
		if w.Header().Get("Vary") != "Accept" {
			t.Errorf("%q: Vary %q", c.accept, w.Header().Get("Vary"))
		}
	}
	sameHead(t, h, "/1.0/identifiers/did:mcc:x")
	sameHead(t, h, "/1.0/identifiers/did%3Amcc%3Ax", "Accept: application/did")
}

// Errors are results, whatever was asked for.
func TestIdentifierErrors(t *testing.T) {
	for _, c := range []struct {
		path, accept string
		failing      error
		status       int
		name         string
	}{
		{path: "nonsense", status: 400, name: "INVALID_DID"},
		{path: "did:web:example.com", status: 501, name: "METHOD_NOT_SUPPORTED"},
		{path: "did:mcc:nobody", status: 404, name: "NOT_FOUND"},
		{path: "did:mcc:nobody", accept: "application/did", status: 404, name: "NOT_FOUND"},
		{path: "did:mcc:x", accept: "text/html", status: 406, name: "REPRESENTATION_NOT_SUPPORTED"},
		{path: "did:mcc:x", accept: "application/did;q=0", status: 406, name: "REPRESENTATION_NOT_SUPPORTED"},
		{path: "did:mcc:x", accept: `application/ld+json;profile="other"`, status: 406, name: "REPRESENTATION_NOT_SUPPORTED"},
		{path: "did:mcc:x?versionId=1", status: 501, name: "FEATURE_NOT_SUPPORTED"},
		{path: "did:mcc:x?service=files&relativeRef=/a", status: 501, name: "FEATURE_NOT_SUPPORTED"},
		{path: "did:mcc:x?limit=1", status: 400, name: "INVALID_OPTIONS"},
		{path: "did:mcc:odd", status: 500, name: "INVALID_DID_DOCUMENT"},
		{path: "did:mcc:x", failing: fmt.Errorf("x: %w: %w", mcc.ErrDamaged, mcc.ErrInvalid), status: 500, name: "INVALID_DID_DOCUMENT"},
		{path: "did:mcc:x", failing: mcc.ErrUnreachable, status: 500, name: "INTERNAL_ERROR"},
		{path: "did:mcc:x", failing: errPlain, status: 500, name: "INTERNAL_ERROR"},
	} {
		f, h := resolver(t)
		f.fail(c.failing)
		var headers []string
		if c.accept != "" {
			headers = []string{"Accept: " + c.accept}
		}
		w := do(t, h, "GET /1.0/identifiers/"+c.path, "", headers...)
		var got struct {
			Document *json.RawMessage `json:"didDocument"`
			Metadata struct {
				Error struct{ Type, Title, Detail string }
			} `json:"didResolutionMetadata"`
			DocumentMetadata map[string]any `json:"didDocumentMetadata"`
		}
		err := json.Unmarshal(w.Body.Bytes(), &got)
		e := got.Metadata.Error
		if err != nil || w.Code != c.status || w.Header().Get("Content-Type") != resolutionType || e.Type != "https://www.w3.org/ns/did#"+c.name ||
			e.Title == "" || e.Detail == "" || got.Document != nil || got.DocumentMetadata == nil || len(got.DocumentMetadata) != 0 {
			t.Errorf("%+v: %d %v %s", c, w.Code, err, w.Body)
		}
		if !strings.Contains(w.Body.String(), `"didDocument":null`) || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%+v: %s", c, w.Body)
		}
	}
	_, h := resolver(t)
	w := do(t, h, "GET /1.0/identifiers/did:mcc:nobody", "", "Accept: "+olderResolutionType)
	if w.Code != 404 || !strings.Contains(w.Body.String(), `"error":"notFound"`) || w.Header().Get("Content-Type") != olderResolutionType {
		t.Errorf("older form: %d %s", w.Code, w.Body)
	}
	wantProblem(t, do(t, h, "POST /1.0/identifiers/did:mcc:x", "{}"), 405, "method")
	wantProblem(t, do(t, h, "GET /1.0/identifiers/did:mcc:x", "", "Origin: https://evil.example"), 403, "origin")
}

func TestIdentifierDeactivated(t *testing.T) {
	_, h := resolver(t)
	for _, accept := range []string{"*/*", "application/did"} {
		w := do(t, h, "GET /1.0/identifiers/did:mcc:gone", "", "Accept: "+accept)
		want := `{"didDocument":null,"didResolutionMetadata":{},"didDocumentMetadata":{"deactivated":true,"versionId":"4"}}`
		if w.Code != 410 || strings.TrimSpace(w.Body.String()) != want || w.Header().Get("Content-Type") != resolutionType {
			t.Errorf("%s: %d %s", accept, w.Code, w.Body)
		}
	}
}

func FuzzAccept(f *testing.F) {
	for _, seed := range []string{
		"", "*/*", "application/did", `application/ld+json;profile="https://w3id.org/did-resolution"`, "a/b;q=0.5,c/d;q=1.001",
		`a/b;c="d,e\",f"`, ",,,", strings.Repeat("a/b,", 100), `a/b;c="`, "a/b;q=NaN", "a/b;q=-1", "*/*;q=0",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		ranges := parseAccept(header)
		if len(ranges) > maxMediaRanges {
			t.Errorf("%d ranges", len(ranges))
		}
		for _, m := range ranges {
			if !(m.q >= 0 && m.q <= 1) {
				t.Errorf("%q: q %v", header, m.q)
			}
		}
		if i := negotiate(ranges, resolutionForms); i >= len(resolutionForms) || i >= 0 && len(ranges) == 0 {
			t.Errorf("%q: %d", header, i)
		}
	})
}

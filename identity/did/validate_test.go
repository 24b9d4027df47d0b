package did

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// goodDocument is one of testdata/documents.json.
type goodDocument struct {
	Name, Source, DID string
	Document          json.RawMessage
}

func goodDocuments(t testing.TB) []goodDocument {
	t.Helper()
	var file struct{ Documents []goodDocument }
	readJSON(t, "testdata/documents.json", &file)
	if len(file.Documents) < 5 {
		t.Fatalf("only %d documents", len(file.Documents))
	}
	return file.Documents
}

func TestValidate(t *testing.T) {
	for _, doc := range goodDocuments(t) {
		before := bytes.Clone(doc.Document)
		if err := Validate(doc.Document, mustParse(t, doc.DID)); err != nil {
			t.Errorf("%s: %v", doc.Name, err)
		}
		if !bytes.Equal(before, doc.Document) {
			t.Errorf("%s: the bytes changed", doc.Name)
		}
		if err := Validate(doc.Document, DID{"example", "other"}); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s for another DID: %v", doc.Name, err)
		}
	}
}

// Parts of the documents below.
const (
	vm    = `"type":"Multikey","controller":"did:x:a","publicKeyMultibase":"` + nodeID + `"`
	key1  = `{"id":"#k",` + vm + `}`
	jwk25 = `"kty":"OKP","crv":"Ed25519","x":"VDXDwuGKVq91zxU6q7__jLDUq8_C5cuxECgd-1feFTE"`
)

func withMethod(fields string) string {
	return `"verificationMethod":[{"id":"#k","type":"T","controller":"did:x:a",` + fields + `}]`
}

func withJWK(fields string) string { return withMethod(`"publicKeyJwk":{` + fields + `}`) }

func withService(fields string) string { return `"service":[{` + fields + `}]` }

// badProperties stand behind the id of a document; path must be in the error.
var badProperties = []struct{ properties, path string }{
	{`"@context":null`, "@context:"},
	{`"@context":[]`, "@context:"},
	{`"@context":"https://example.com"`, "@context:"},
	{`"@context":{"a":1}`, "@context:"},
	{`"@context":["https://w3id.org/security/multikey/v1","https://www.w3.org/ns/did/v1"]`, "@context:"},
	{`"@context":["https://www.w3.org/ns/did/v1",1]`, "@context[1]:"},
	{`"@context":["https://www.w3.org/ns/did/v1","not a uri"]`, "@context[1]:"},
	{`"controller":null`, "controller:"},
	{`"controller":""`, "controller:"},
	{`"controller":"did:x:a#k"`, "controller:"},
	{`"controller":{"id":"did:x:a"}`, "controller:"},
	{`"controller":["did:x:b",7]`, "controller[1]:"},
	{`"controller":["did:x:b","x"]`, "controller[1]:"},
	{`"controller":["did:x:b","did:x:b"]`, "controller[1]:"},
	{`"alsoKnownAs":"https://example.com"`, "alsoKnownAs:"},
	{`"alsoKnownAs":null`, "alsoKnownAs:"},
	{`"alsoKnownAs":["example.com"]`, "alsoKnownAs[0]:"},
	{`"alsoKnownAs":["a:b",["a:b"]]`, "alsoKnownAs[1]:"},
	{`"alsoKnownAs":["a:b","a:b"]`, "alsoKnownAs[1]:"},
	{`"verificationMethod":{}`, "verificationMethod:"},
	{`"verificationMethod":["#k"]`, "verificationMethod[0]:"},
	{`"verificationMethod":[null]`, "verificationMethod[0]:"},
	{`"verificationMethod":[{` + vm + `}]`, "verificationMethod[0].id:"},
	{`"verificationMethod":[{"id":7,` + vm + `}]`, "verificationMethod[0].id:"},
	{`"verificationMethod":[{"id":"k",` + vm + `}]`, "verificationMethod[0].id:"},
	{`"verificationMethod":[{"id":"#a b",` + vm + `}]`, "verificationMethod[0].id:"},
	{`"verificationMethod":[{"id":"https://example.com#k",` + vm + `}]`, "verificationMethod[0].id:"},
	{`"verificationMethod":[` + key1 + `,` + key1 + `]`, "verificationMethod[1].id:"},
	{`"verificationMethod":[` + key1 + `,{"id":"did:example:123#k",` + vm + `}]`, "verificationMethod[1].id:"},
	{`"verificationMethod":[{"id":"#k","controller":"did:x:a"}]`, "verificationMethod[0].type:"},
	{`"verificationMethod":[{"id":"#k","type":["Multikey"],"controller":"did:x:a"}]`, "verificationMethod[0].type:"},
	{`"verificationMethod":[{"id":"#k","type":"","controller":"did:x:a"}]`, "verificationMethod[0].type:"},
	{`"verificationMethod":[{"id":"#k","type":"T"}]`, "verificationMethod[0].controller:"},
	{`"verificationMethod":[{"id":"#k","type":"T","controller":["did:x:a"]}]`, "verificationMethod[0].controller:"},
	{`"verificationMethod":[{"id":"#k","type":"T","controller":"did:x:a/p"}]`, "verificationMethod[0].controller:"},
	{`"verificationMethod":[{"id":"#k","type":"Multikey","controller":"did:x:a"}]`, "verificationMethod[0].publicKeyMultibase:"},
	{`"verificationMethod":[{"id":"#k","type":"Multikey","controller":"did:x:a","publicKeyJwk":{` + jwk25 + `}}]`, "verificationMethod[0].publicKeyMultibase:"},
	{`"verificationMethod":[{"id":"#k","type":"JsonWebKey","controller":"did:x:a"}]`, "verificationMethod[0].publicKeyJwk:"},
	{`"verificationMethod":[{"id":"#k","type":"JsonWebKey2020","controller":"did:x:a","publicKeyJwk":null}]`, "verificationMethod[0].publicKeyJwk:"},
	{`"verificationMethod":[{"id":"#k","type":"Multikey","controller":"did:x:a","publicKeyMultibase":"` + multikey{0xed, make([]byte, 31)}.String() + `"}]`, "verificationMethod[0].publicKeyMultibase:"},
	{`"verificationMethod":[{"id":"#k","type":"Multikey","controller":"did:x:a","publicKeyMultibase":"zH3C2AVvLMv6gmMNam3uVAjZpfkcJCwDwnZn6z3wXmqP0"}]`, "verificationMethod[0].publicKeyMultibase:"},
	{`"verificationMethod":[{"id":"#k","type":"Multikey","controller":"did:x:a","publicKeyMultibase":"` + multikey{0x1300, make([]byte, 32)}.String() + `"}]`, "verificationMethod[0].publicKeyMultibase:"},
	{withMethod(`"publicKeyMultibase":7`), "verificationMethod[0].publicKeyMultibase:"},
	{withMethod(`"publicKeyMultibase":"x"`), "verificationMethod[0].publicKeyMultibase:"},
	{withMethod(`"publicKeyMultibase":"` + strings.Repeat("z", 5000) + `"`), "verificationMethod[0].publicKeyMultibase:"},
	{withMethod(`"publicKeyBase58":"0"`), "verificationMethod[0].publicKeyBase58:"},
	{withMethod(`"publicKeyBase58":{}`), "verificationMethod[0].publicKeyBase58:"},
	{withMethod(`"publicKeyBase58":"11","publicKeyJwk":{` + jwk25 + `}`), "verificationMethod[0].publicKeyJwk:"},
	{withMethod(`"publicKeyMultibase":"` + nodeID + `","publicKeyJwk":{` + jwk25 + `}`), "verificationMethod[0].publicKeyMultibase:"},
	{withMethod(`"publicKeyJwk":"x"`), "verificationMethod[0].publicKeyJwk:"},
	{withMethod(`"privateKeyMultibase":"z"`), "verificationMethod[0].privateKeyMultibase:"},
	{withMethod(`"secretKeyMultibase":"z"`), "verificationMethod[0].secretKeyMultibase:"},
	{withMethod(`"PrivateKey_Pem":"z"`), "verificationMethod[0].PrivateKey_Pem:"},
	{withJWK(``), "verificationMethod[0].publicKeyJwk.kty:"},
	{withJWK(`"kty":["EC"]`), "verificationMethod[0].publicKeyJwk.kty:"},
	{withJWK(`"kty":"oct"`), "verificationMethod[0].publicKeyJwk.kty:"},
	{withJWK(`"kty":"oct","k":"AA"`), "verificationMethod[0].publicKeyJwk.k:"},
	{withJWK(jwk25 + `,"d":"AA"`), "verificationMethod[0].publicKeyJwk.d:"},
	{withJWK(`"kty":"RSA","n":"AA","e":"AQAB","p":"AA"`), "verificationMethod[0].publicKeyJwk.p:"},
	{withJWK(`"kty":"RSA","n":"AA","e":"AQAB","oth":[]`), "verificationMethod[0].publicKeyJwk.oth:"},
	{withJWK(`"kty":"RSA","n":"AA"`), "verificationMethod[0].publicKeyJwk.e:"},
	{withJWK(`"kty":"RSA","n":"A=","e":"AQAB"`), "verificationMethod[0].publicKeyJwk.n:"},
	{withJWK(`"kty":"AKP","pub":"AA","priv":"AA"`), "verificationMethod[0].publicKeyJwk.priv:"},
	{withJWK(`"kty":"OKP","x":"AA"`), "verificationMethod[0].publicKeyJwk.crv:"},
	{withJWK(`"kty":"OKP","crv":"Ed25519"`), "verificationMethod[0].publicKeyJwk.x:"},
	{withJWK(`"kty":"OKP","crv":"Ed25519","x":"AA"`), "verificationMethod[0].publicKeyJwk.x:"},
	{withJWK(`"kty":"OKP","crv":"X25519","x":"AA"`), "verificationMethod[0].publicKeyJwk.x:"},
	{withJWK(`"kty":"OKP","crv":"Ed448","x":"A A"`), "verificationMethod[0].publicKeyJwk.x:"},
	{withJWK(`"kty":"EC","x":"AA","y":"AA"`), "verificationMethod[0].publicKeyJwk.crv:"},
	{withJWK(`"kty":"EC","crv":"P-256","x":"AA"`), "verificationMethod[0].publicKeyJwk.y:"},
	{withJWK(`"kty":"EC","crv":"P-256","y":"AA"`), "verificationMethod[0].publicKeyJwk.x:"},
	{withJWK(`"kty":"EC","crv":"P-256","x":"AA","y":"AA"`), "verificationMethod[0].publicKeyJwk:"},
	{withJWK(`"kty":"EC","crv":"P-256","x":"igrFmi0whuihKnj9R3Om1SoMph72wUGeFaBbzG2vzns","y":"hW2ojTNfH7Jbi8--CJUo3OCbH3y5n91g-IMA9MLMbTU"`), "verificationMethod[0].publicKeyJwk:"},
	{withJWK(`"kty":"EC","crv":"secp256k1","x":"igrFmi0whuihKnj9R3Om1SoMph72wUGeFaBbzG2vzns","y":"efsX5b10x8yjyrj4ny3pGfLcY7Xby1KzgqOdqnsrJIM"`), "verificationMethod[0].publicKeyJwk:"},
	{`"authentication":"#k"`, "authentication:"},
	{`"authentication":[]`, "authentication:"},
	{`"authentication":["#k"]`, "authentication[0]:"},
	{`"authentication":["k"]`, "authentication[0]:"},
	{`"authentication":["did:example:123"]`, "authentication[0]:"},
	{`"authentication":["did:other:1# "]`, "authentication[0]:"},
	{`"authentication":[7]`, "authentication[0]:"},
	{`"verificationMethod":[` + key1 + `],"assertionMethod":["#k","#k"]`, "assertionMethod[1]:"},
	{`"verificationMethod":[` + key1 + `],"assertionMethod":[` + key1 + `]`, "assertionMethod[0].id:"},
	{`"keyAgreement":[` + key1 + `],"authentication":["#k"]`, "authentication[0]:"},
	{`"keyAgreement":[{"id":"#k","type":"T"}]`, "keyAgreement[0].controller:"},
	{`"capabilityInvocation":null`, "capabilityInvocation:"},
	{`"capabilityDelegation":[["#k"]]`, "capabilityDelegation[0]:"},
	{`"service":{}`, "service:"},
	{`"service":["a:b"]`, "service[0]:"},
	{withService(`"type":"T","serviceEndpoint":"a:b"`), "service[0].id:"},
	{withService(`"id":"s","type":"T","serviceEndpoint":"a:b"`), "service[0].id:"},
	{withService(`"id":"#s s","type":"T","serviceEndpoint":"a:b"`), "service[0].id:"},
	{withService(`"id":"#s","serviceEndpoint":"a:b"`), "service[0].type:"},
	{withService(`"id":"#s","type":[],"serviceEndpoint":"a:b"`), "service[0].type:"},
	{withService(`"id":"#s","type":["T",""],"serviceEndpoint":"a:b"`), "service[0].type[1]:"},
	{withService(`"id":"#s","type":["T","T"],"serviceEndpoint":"a:b"`), "service[0].type[1]:"},
	{withService(`"id":"#s","type":{},"serviceEndpoint":"a:b"`), "service[0].type:"},
	{withService(`"id":"#s","type":"T"`), "service[0].serviceEndpoint:"},
	{withService(`"id":"#s","type":"T","serviceEndpoint":"example.com"`), "service[0].serviceEndpoint:"},
	{withService(`"id":"#s","type":"T","serviceEndpoint":[]`), "service[0].serviceEndpoint:"},
	{withService(`"id":"#s","type":"T","serviceEndpoint":["a:b",7]`), "service[0].serviceEndpoint[1]:"},
	{withService(`"id":"#s","type":"T","serviceEndpoint":["a:b","a:b"]`), "service[0].serviceEndpoint[1]:"},
	{withService(`"id":"#s","type":"T","serviceEndpoint":{"privateKeyJwk":{}}`), "service[0].serviceEndpoint.privateKeyJwk:"},
	{`"service":[{"id":"#s","type":"T","serviceEndpoint":"a:b"},{"id":"did:example:123#s","type":"T","serviceEndpoint":"a:c"}]`, "service[1].id:"},
	{`"verificationMethod":[` + key1 + `],"service":[{"id":"#k","type":"T","serviceEndpoint":"a:b"}]`, "service[0].id:"},
	{`"x":{"y":[{"privateKeyHex":"00"}]}`, "x.y[0].privateKeyHex:"},
	{`"x":{"kty":"EC","d":"AA"}`, "x.d:"},
	{`"id":"did:example:123"`, "id:"},
	{`"a":1,"a":1`, "a:"},
	{`"a":[{"b\n":1,"b\u000a":1}]`, `a[0]."b\n":`},
	{`"a":` + strings.Repeat("[", 16) + strings.Repeat("]", 16), "nested"},
}

func TestValidateNamesThePlace(t *testing.T) {
	d := mustParse(t, "did:example:123")
	for _, test := range badProperties {
		text := `{"id":"did:example:123",` + test.properties + `}`
		err := Validate([]byte(text), d)
		if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), test.path) || !strings.HasPrefix(err.Error(), "document: ") {
			t.Errorf("%.200s\ngot %v, want %q", text, err, test.path)
		}
		if err != nil && len(err.Error()) > 500 {
			t.Errorf("%.100s: the error has %d bytes", text, len(err.Error()))
		}
	}
}

// TestValidateForm takes what is no document at all.
func TestValidateForm(t *testing.T) {
	d := mustParse(t, "did:example:123")
	const good = `{"id":"did:example:123"}`
	filled := `{"id":"did:example:123","x":"` + strings.Repeat("x", MaxDocument-len(good)-7) + `"}`
	if err := Validate([]byte(filled), d); err != nil || len(filled) != MaxDocument {
		t.Errorf("%d bytes: %v", len(filled), err)
	}
	deepest := `{"id":"did:example:123","a":` + strings.Repeat("[", 15) + strings.Repeat("]", 15) + `}`
	if err := Validate([]byte(deepest), d); err != nil {
		t.Errorf("deepest: %v", err)
	}
	for _, test := range []struct{ text, want string }{
		{"", "no JSON"},
		{" ", "no JSON"},
		{"{", "no JSON"},
		{good + "x", "no JSON at byte 25"},
		{good + good, "no JSON"},
		{"\xef\xbb\xbf" + good, "no JSON at byte 1"},
		{`{"id":"did:example:123",}`, "no JSON"},
		{`{'id':"did:example:123"}`, "no JSON"},
		{`{"id":"did:example:123" /* c */}`, "no JSON"},
		{`{"id":"did:example:123\xff"}`, "no JSON"},
		{"{\"id\":\"did:example:123\",\"a\":\"\xff\"}", "UTF-8"},
		{"[" + good + "]", "object"},
		{"null", "object"},
		{`"did:example:123"`, "object"},
		{"7", "object"},
		{"{}", "id:"},
		{`{"id":7}`, "id:"},
		{`{"id":"did:example:124"}`, `"did:example:123"`},
		{`{"ID":"did:example:123"}`, "id:"},
		{filled + " ", "65537 bytes"},
		{strings.Repeat("[", MaxDocument), "no JSON"},
		{strings.Repeat("[", 5000) + strings.Repeat("]", 5000), "nested"},
		{strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000), "nested"},
	} {
		if err := Validate([]byte(test.text), d); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%.100q\ngot %v, want %q", test.text, err, test.want)
		}
	}
	if err := Validate([]byte(`{"id":""}`), DID{}); !errors.Is(err, ErrInvalid) {
		t.Errorf("zero DID: %v", err)
	}
}

// TestValidateIsStable: of several faults always the same is told.
func TestValidateIsStable(t *testing.T) {
	var text strings.Builder
	text.WriteString(`{"id":"did:example:123","x":{"kty":"EC"`)
	for i := range 50 {
		fmt.Fprintf(&text, `,"privateKey%02d":1`, i)
	}
	text.WriteString("}}")
	for range 20 {
		err := Validate([]byte(text.String()), mustParse(t, "did:example:123"))
		if err == nil || !strings.Contains(err.Error(), "x.privateKey00:") {
			t.Fatalf("got %v", err)
		}
	}
}

// BenchmarkValidate takes the documents that cost most for their size.
func BenchmarkValidate(b *testing.B) {
	fill := func(method string) []byte {
		text := `{"id":"did:example:123","verificationMethod":[`
		for i := 0; len(text)+len(method)+20 < MaxDocument; i++ {
			text += strings.ReplaceAll(method, "ID", fmt.Sprint("#k", i)) + ","
		}
		return []byte(strings.TrimSuffix(text, ",") + "]}")
	}
	for name, method := range map[string]string{
		"base58":    `{"id":"ID","type":"Multikey","controller":"did:x:a","publicKeyMultibase":"z` + strings.Repeat("2", maxMultibase-1) + `"}`,
		"P-521":     `{"id":"ID","type":"Multikey","controller":"did:x:a","publicKeyMultibase":"z2J9gaYxrKVpdoG9A4gRnmpnRCcxU6agDtFVVBVdn1JedouoZN7SzcyREXXzWgt3gGiwpoHq7K68X4m32D8HgzG8wv3sY5j7"}`,
		"secp256k1": `{"id":"ID","type":"Multikey","controller":"did:x:a","publicKeyMultibase":"zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme"}`,
	} {
		text := fill(method)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if err := Validate(text, DID{"example", "123"}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

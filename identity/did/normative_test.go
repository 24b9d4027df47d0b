package did

import (
	"encoding/json"
	"math/rand/v2"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/staex-mcc/mcc/identity"
)

// The statements of DID Core 5 and 6 about a document that somebody produces, in
// the order and spirit of the W3C test suite (did-core-properties,
// did-production), with checks of their own: none of them uses the parsers here.

var (
	didPattern = regexp.MustCompile(`^did:[a-z0-9]+:([A-Za-z0-9._-]|%[0-9A-Fa-f]{2}|:)*([A-Za-z0-9._-]|%[0-9A-Fa-f]{2})$`)
	urlPattern = regexp.MustCompile(`^did:[a-z0-9]+:[A-Za-z0-9.:%_-]+#[A-Za-z0-9._~%-]+$`)
)

// produced are documents that this package writes.
func produced(t *testing.T) map[string][]byte {
	t.Helper()
	all := make(map[string][]byte)
	vectors, _ := keyVectors(t)
	for _, v := range vectors {
		text, err := Key(mustParse(t, v.DID))
		if err != nil {
			t.Fatal(err)
		}
		all[v.DID] = text
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		var seed [32]byte
		for i := range seed {
			seed[i] = byte(rng.Uint32())
		}
		id := identity.PrivateKeyFromSeed(seed).ID()
		var services []Service
		for range rng.IntN(5) {
			name := make([]byte, rng.IntN(20))
			for i := range name {
				name[i] = byte(rng.Uint32())
			}
			services = append(services, Service{string(name)})
		}
		all["did:mcc:"+id.String()] = ForNode(id, services)
	}
	return all
}

func TestProducedDocuments(t *testing.T) {
	for did, text := range produced(t) {
		var doc map[string]any
		// 6.2.1: the root is a JSON object in UTF-8.
		if err := json.Unmarshal(text, &doc); err != nil {
			t.Fatalf("%s: %v", did, err)
		}
		// 5.1.1: id is there and a DID; 3.1: its scheme is did, its method in
		// lower case.
		if doc["id"] != did || !didPattern.MatchString(did) {
			t.Errorf("id %v, want %s", doc["id"], did)
		}
		// 6.3.1: the first context is DID Core's.
		if context, _ := doc["@context"].([]any); len(context) == 0 || context[0] != "https://www.w3.org/ns/did/v1" {
			t.Errorf("%s: @context %v", did, doc["@context"])
		}
		ids := checkProducedMethods(t, did, doc)
		checkProducedRelationships(t, did, doc, ids)
		checkProducedServices(t, did, doc)
		if err := Validate(text, mustParse(t, did)); err != nil {
			t.Errorf("%s: %v", did, err)
		}
		if strings.Contains(string(text), " ") || len(text) > MaxDocument {
			t.Errorf("%s: not compact, or %d bytes", did, len(text))
		}
	}
}

// checkProducedMethods holds 5.2: id is a DID URL, type one string, controller a
// DID, the key in one form, no private one, and no id twice.
func checkProducedMethods(t *testing.T, did string, doc map[string]any) (ids []string) {
	t.Helper()
	methods, _ := doc["verificationMethod"].([]any)
	if len(methods) == 0 {
		t.Errorf("%s: no verification method", did)
	}
	for _, m := range methods {
		m, _ := m.(map[string]any)
		id, _ := m["id"].(string)
		controller, _ := m["controller"].(string)
		multibase, _ := m["publicKeyMultibase"].(string)
		if !urlPattern.MatchString(id) || !didPattern.MatchString(controller) || m["type"] != "Multikey" ||
			len(m) != 4 || !strings.HasPrefix(multibase, "z") || slices.Contains(ids, id) {
			t.Errorf("%s: method %v", did, m)
		}
		ids = append(ids, id)
	}
	return ids
}

// checkProducedRelationships holds 5.3: each is a set of one or more, which are
// methods of this document.
func checkProducedRelationships(t *testing.T, did string, doc map[string]any, ids []string) {
	t.Helper()
	used := 0
	for _, name := range []string{"authentication", "assertionMethod", "keyAgreement", "capabilityInvocation", "capabilityDelegation"} {
		value, present := doc[name]
		if !present {
			continue
		}
		used++
		references, _ := value.([]any)
		if len(references) != 1 || !slices.Contains(ids, references[0].(string)) {
			t.Errorf("%s: %s is %v", did, name, value)
		}
	}
	if used == 0 {
		t.Errorf("%s: no relationship", did)
	}
}

// checkProducedServices holds 5.4: id and endpoint are URIs, no id twice.
func checkProducedServices(t *testing.T, did string, doc map[string]any) {
	t.Helper()
	seen := map[any]bool{}
	services, _ := doc["service"].([]any)
	for _, s := range services {
		s, _ := s.(map[string]any)
		id, errID := url.Parse(s["id"].(string))
		endpoint, errEndpoint := url.Parse(s["serviceEndpoint"].(string))
		if errID != nil || id.Scheme != "did" || errEndpoint != nil || endpoint.Scheme != "mcc" || s["type"] != "MCCService" || seen[s["id"]] {
			t.Errorf("%s: service %v", did, s)
			continue
		}
		seen[s["id"]] = true
		if "did:mcc:"+endpoint.Host != did || "/"+id.Fragment != endpoint.Path {
			t.Errorf("%s: service %v leads elsewhere", did, s)
		}
	}
}

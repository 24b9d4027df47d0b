package did

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/staex-mcc/mcc/identity"
)

func testNode(t testing.TB) identity.ID {
	t.Helper()
	id, err := identity.ParseID(nodeID)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestForNodeBytes pins the bytes: nodes sign and publish them.
func TestForNodeBytes(t *testing.T) {
	const did, sign, agree = "did:mcc:" + nodeID, "did:mcc:" + nodeID + "#" + nodeID,
		"did:mcc:" + nodeID + "#z6LShs9GGnqk85isEBzzshkuVWrVKsRp24GnDuHk8QWkARMW"
	start := `{"@context":["https://www.w3.org/ns/did/v1","https://w3id.org/security/multikey/v1"],"id":"` + did + `",` +
		`"verificationMethod":[{"id":"` + sign + `","type":"Multikey","controller":"` + did + `","publicKeyMultibase":"` + nodeID + `"},` +
		`{"id":"` + agree + `","type":"Multikey","controller":"` + did + `","publicKeyMultibase":"z6LShs9GGnqk85isEBzzshkuVWrVKsRp24GnDuHk8QWkARMW"}],` +
		`"authentication":["` + sign + `"],"assertionMethod":["` + sign + `"],"capabilityInvocation":["` + sign + `"],` +
		`"capabilityDelegation":["` + sign + `"],"keyAgreement":["` + agree + `"]`
	entry := func(name string) string {
		return `{"id":"` + did + `#` + name + `","type":"MCCService","serviceEndpoint":"mcc://` + nodeID + `/` + name + `"}`
	}
	for _, test := range []struct {
		services []Service
		want     string
	}{
		{nil, start + `}`},
		{[]Service{{""}}, start + `}`},
		{[]Service{{"web"}, {"files"}, {"web"}}, start + `,"service":[` + entry("files") + `,` + entry("web") + `]}`},
		{[]Service{{"a b<\"é"}}, start + `,"service":[` + entry("a%20b%3C%22%C3%A9") + `]}`},
		{[]Service{{strings.Repeat("x", 256)}}, start + `}`},
	} {
		if diff := cmp.Diff(test.want, string(ForNode(testNode(t), test.services))); diff != "" {
			t.Errorf("%v (-want +got):\n%s", test.services, diff)
		}
	}
}

// TestForNodeIsBounded: what has no room is left out from the end, and the rest
// is whole.
func TestForNodeIsBounded(t *testing.T) {
	var services []Service
	for i := range 1000 {
		services = append(services, Service{fmt.Sprintf("%063d", i)})
	}
	text := ForNode(testNode(t), services)
	doc := decodeDocument(t, text)
	if n := len(doc.Service); n < 200 || n == 1000 || len(text) > maxMade || len(text) < maxMade-500 {
		t.Errorf("%d services in %d bytes", n, len(text))
	}
	for i, s := range doc.Service {
		if want := fmt.Sprintf("#%063d", i); !strings.HasSuffix(s.ID, want) {
			t.Fatalf("service %d is %s", i, s.ID)
		}
	}
	if err := Validate(text, OfNode(testNode(t))); err != nil {
		t.Error(err)
	}
}

// TestForNodeFillsUp: a document may be full to the byte, and the last service
// is left out only where it does not fit.
func TestForNodeFillsUp(t *testing.T) {
	var services []Service
	size := func() int { return len(ForNode(testNode(t), services)) }
	for maxMade-size() > 600 {
		services = append(services, Service{fmt.Sprintf("%063d", len(services))})
	}
	without := size()
	services = append(services, Service{"z"})
	last, gap := &services[len(services)-1], maxMade-size()
	last.Name = strings.Repeat("z", 1+gap/2) // a letter stands in two places
	if n := size(); n != maxMade-gap%2 {
		t.Errorf("%d bytes, want %d", n, maxMade-gap%2)
	}
	last.Name += "z"
	if n := size(); n != without {
		t.Errorf("%d bytes with one that does not fit, want %d", n, without)
	}
}

// TestForNodeIgnoresOrder also leaves the caller's slice alone.
func TestForNodeIgnoresOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	services := []Service{{"a"}, {"b"}, {"c"}, {"d"}, {""}, {"a"}}
	want := string(ForNode(testNode(t), services))
	for range 20 {
		rng.Shuffle(len(services), func(i, j int) { services[i], services[j] = services[j], services[i] })
		before := slices.Clone(services)
		if got := string(ForNode(testNode(t), services)); got != want {
			t.Fatalf("%v: %s", services, got)
		}
		if !slices.Equal(before, services) {
			t.Fatal("the caller's slice changed")
		}
	}
}

// TestForNodeBadKey: there is no X25519 key for an id that is no point.
func TestForNodeBadKey(t *testing.T) {
	doc := decodeDocument(t, ForNode(identity.ID{1}, nil))
	if len(doc.VerificationMethod) != 1 || doc.KeyAgreement != nil {
		t.Errorf("got %+v", doc)
	}
}

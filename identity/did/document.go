package did

import "encoding/json"

// Contexts of JSON-LD. The first must lead every document that has any.
const (
	contextDID      = "https://www.w3.org/ns/did/v1"
	contextDID11    = "https://www.w3.org/ns/did/v1.1"
	contextMultikey = "https://w3id.org/security/multikey/v1"
)

// document is what Key and ForNode write, in this order.
type document struct {
	Context              []string  `json:"@context"`
	ID                   string    `json:"id"`
	VerificationMethod   []method  `json:"verificationMethod"`
	Authentication       []string  `json:"authentication,omitempty"`
	AssertionMethod      []string  `json:"assertionMethod,omitempty"`
	CapabilityInvocation []string  `json:"capabilityInvocation,omitempty"`
	CapabilityDelegation []string  `json:"capabilityDelegation,omitempty"`
	KeyAgreement         []string  `json:"keyAgreement,omitempty"`
	Service              []service `json:"service,omitempty"`
}

// method is one key.
type method struct {
	ID                 string `json:"id"`
	Type               string `json:"type"`
	Controller         string `json:"controller"`
	PublicKeyMultibase string `json:"publicKeyMultibase"`
}

type service struct {
	ID              string `json:"id"`
	Type            string `json:"type"`
	ServiceEndpoint string `json:"serviceEndpoint"`
}

func newDocument(d DID) *document {
	return &document{Context: []string{contextDID, contextMultikey}, ID: d.String()}
}

// add lists a key and returns the id it has there: its own text as fragment.
func (doc *document) add(k multikey) (id string) {
	text := k.String()
	id = doc.ID + "#" + text
	doc.VerificationMethod = append(doc.VerificationMethod, method{id, "Multikey", doc.ID, text})
	return id
}

// addSigning lists a key for all that signatures are for.
func (doc *document) addSigning(k multikey) {
	ids := []string{doc.add(k)}
	doc.Authentication, doc.AssertionMethod = ids, ids
	doc.CapabilityInvocation, doc.CapabilityDelegation = ids, ids
}

// addAgreement lists a key for encryption.
func (doc *document) addAgreement(k multikey) { doc.KeyAgreement = []string{doc.add(k)} }

// marshal writes JSON without spaces. Its input are strings alone, with which it
// cannot fail.
func marshal(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic("BUG: marshal strings: " + err.Error())
	}
	return text
}

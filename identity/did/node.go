package did

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/staex-mcc/mcc/identity"
)

// ServiceType is the type of a node's services in its document.
const ServiceType = "MCCService"

// Service is one that a node offers.
type Service struct {
	// Name is the service's, as in discovery.
	Name string
}

// ForNode makes the default document of a node's did:mcc: its key for all
// purposes of a signature, the X25519 key that belongs to it for key agreement,
// and a service for each name, whose endpoint is "mcc://<id>/<name>". The same
// input gives the same bytes, whatever the order of services, and they pass
// Validate.
//
// Services are listed by name, each name once, as many as MaxDocument has room
// for with 64 bytes to spare (at least 200). A service without a name is left out; what a URL cannot
// hold is percent encoded. An id that is no valid key has no key agreement.
func ForNode(id identity.ID, services []Service) []byte {
	doc := newDocument(OfNode(id))
	k := multikey{ed25519Pub, id[:]}
	doc.addSigning(k)
	if agreement, err := k.agreement(); err == nil {
		doc.addAgreement(agreement)
	}
	room := maxMade - len(marshal(doc)) - len(`,"service":[]`)
	for _, s := range inOrder(services) {
		entry := service{
			ID:              doc.ID + "#" + escape(s.Name),
			Type:            ServiceType,
			ServiceEndpoint: "mcc://" + id.String() + "/" + escape(s.Name),
		}
		if room -= len(marshal(entry)) + len(","); room < 0 {
			break
		}
		doc.Service = append(doc.Service, entry)
	}
	return marshal(doc)
}

// maxMade leaves room for what a keeper of documents writes beside them.
const maxMade = MaxDocument - 64

// maxServiceName keeps the URLs of a service below MaxDID, escapes included.
const maxServiceName = 255

// inOrder sorts by name, and drops repetitions and what cannot be listed.
func inOrder(services []Service) []Service {
	services = slices.Clone(services)
	slices.SortFunc(services, func(a, b Service) int { return cmp.Compare(a.Name, b.Name) })
	services = slices.Compact(services)
	return slices.DeleteFunc(services, func(s Service) bool { return s.Name == "" || len(s.Name) > maxServiceName })
}

// escape leaves the unreserved characters of RFC 3986 and encodes the others.
func escape(name string) string {
	var out strings.Builder
	for i := range len(name) {
		if c := name[i]; isIDChar(c) || c == '~' {
			out.WriteByte(c)
		} else {
			fmt.Fprintf(&out, "%%%02X", c)
		}
	}
	return out.String()
}

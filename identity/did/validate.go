package did

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Validate checks a document that somebody hands in for the DID of: that it is
// JSON in UTF-8 of at most MaxDocument bytes, nested at most 16 deep and without
// repeated names; that id is the DID; and that the properties DID Core 5 knows
// have the form it asks for, where relationships to methods of the same DID must
// lead to one in verificationMethod. Ids may be relative ("#key"). Keys of known
// kinds must be valid, and private keys are refused wherever they stand.
// Properties and kinds of keys that are unknown pass.
//
// An error is ErrInvalid and names the place, as in
// "verificationMethod[0].controller". Nothing is fetched, and no signature is
// checked: who may publish the document is for the caller to know.
func Validate(document []byte, of DID) error {
	root, err := parseObject(document)
	if err != nil {
		return err
	}
	c := &checker{of: of, ids: make(map[string]string), methods: make(map[string]bool)}
	return c.document(root)
}

// checker walks one document.
type checker struct {
	of DID
	// ids says where each id was defined, methods which of them are in
	// verificationMethod; both by absolute DID URL.
	ids     map[string]string
	methods map[string]bool
}

func (c *checker) document(root object) error {
	for _, check := range []func(object) error{
		func(root object) error { return withoutSecrets("", root) },
		checkContext, c.checkID, checkControllers, checkAliases,
		c.checkMethods, c.checkRelationships, c.checkServices,
	} {
		if err := check(root); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) checkID(root object) error {
	if id, _ := root["id"].(string); id == "" || id != c.of.String() {
		return fault("id", "it must be %s", quote(c.of.String()))
	}
	return nil
}

func checkContext(root object) error {
	value, present := root["@context"]
	if !present {
		return nil
	}
	items, ok := value.([]any)
	if !ok {
		items = []any{value}
	}
	if len(items) == 0 || items[0] != contextDID && items[0] != contextDID11 {
		return fault("@context", "the first must be %q", contextDID)
	}
	for i, item := range items {
		switch item := item.(type) {
		case object:
			continue
		case string:
			if isURI(item) {
				continue
			}
		}
		return fault(element("@context", i), "it must be a URI or an object")
	}
	return nil
}

// checkControllers takes one DID or a set of them.
func checkControllers(root object) error {
	value, present := root["controller"]
	if !present {
		return nil
	}
	if _, ok := value.([]any); !ok {
		return checkDID("controller", value)
	}
	return eachOnce("controller", value, checkDID)
}

func checkDID(path string, value any) error {
	text, ok := value.(string)
	if !ok {
		return fault(path, "it must be a DID")
	}
	if _, err := Parse(text); err != nil {
		return fmt.Errorf("document: %s: %w", path, err)
	}
	return nil
}

func checkAliases(root object) error {
	value, present := root["alsoKnownAs"]
	if !present {
		return nil
	}
	return eachOnce("alsoKnownAs", value, checkURI)
}

func checkURI(path string, value any) error {
	if text, ok := value.(string); !ok || !isURI(text) {
		return fault(path, "it must be a URI with its scheme, of at most %d bytes", MaxDID)
	}
	return nil
}

// eachOnce applies check to the items of a set, which must be an array in which
// no text stands twice.
func eachOnce(path string, value any, check func(path string, item any) error) error {
	items, ok := value.([]any)
	if !ok {
		return fault(path, "it must be an array")
	}
	seen := make(map[string]bool, len(items))
	for i, item := range items {
		at := element(path, i)
		if err := check(at, item); err != nil {
			return err
		}
		if text, ok := item.(string); ok {
			if seen[text] {
				return fault(at, "%s is there twice; remove one", quote(text))
			}
			seen[text] = true
		}
	}
	return nil
}

// requireText returns a property that must be text and not empty.
func requireText(path string, o object, name string) (string, error) {
	text, ok := o[name].(string)
	if !ok || text == "" {
		return "", fault(member(path, name), "it must be there, and be text that is not empty")
	}
	return text, nil
}

// define notes an id, which must be new.
func (c *checker) define(path, id string) error {
	id = absolute(c.of, id)
	if before, twice := c.ids[id]; twice {
		return fault(path, "%s is the id of %s already; choose another", quote(id), before)
	}
	c.ids[id] = strings.TrimSuffix(path, ".id")
	return nil
}

// withoutSecrets refuses private keys by the names they have in the data models
// of keys, anywhere in the document.
func withoutSecrets(path string, value any) error {
	switch value := value.(type) {
	case object:
		_, isJWK := value["kty"]
		for _, name := range slices.Sorted(maps.Keys(value)) {
			at := member(path, name)
			if isSecretName(name) || isJWK && isSecretJWKName(name) {
				return fault(at, "private keys must not be published; take it out and stop using the key")
			}
			if err := withoutSecrets(at, value[name]); err != nil {
				return err
			}
		}
	case []any:
		for i, item := range value {
			if err := withoutSecrets(element(path, i), item); err != nil {
				return err
			}
		}
	}
	return nil
}

func isSecretName(name string) bool {
	name = strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(name))
	return strings.HasPrefix(name, "privatekey") || strings.HasPrefix(name, "secretkey")
}

// isSecretJWKName knows the private members of a JSON Web Key (RFC 7518 6.2.2,
// 6.3.2, 6.4.1, and of kind AKP).
func isSecretJWKName(name string) bool {
	return slices.Contains([]string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"}, name)
}

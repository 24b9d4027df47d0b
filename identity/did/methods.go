package did

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// relationships are what a verification method may be for (DID Core 5.3).
func relationships() []string {
	return []string{"authentication", "assertionMethod", "keyAgreement", "capabilityInvocation", "capabilityDelegation"}
}

func (c *checker) checkMethods(root object) error {
	value, present := root["verificationMethod"]
	if !present {
		return nil
	}
	return eachOnce("verificationMethod", value, func(path string, item any) error {
		id, err := c.checkMethod(path, item)
		if err == nil {
			c.methods[absolute(c.of, id)] = true
		}
		return err
	})
}

// checkRelationships takes references and embedded methods.
func (c *checker) checkRelationships(root object) error {
	for _, name := range relationships() {
		value, present := root[name]
		if !present {
			continue
		}
		if items, ok := value.([]any); ok && len(items) == 0 {
			return fault(name, "it must have at least one method; leave it out otherwise")
		}
		if err := eachOnce(name, value, c.checkRelationship); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) checkRelationship(path string, item any) error {
	reference, ok := item.(string)
	if !ok {
		_, err := c.checkMethod(path, item)
		return err
	}
	reference = absolute(c.of, reference)
	u, err := ParseURL(reference)
	if err != nil {
		return fmt.Errorf("document: %s: %w", path, err)
	}
	if u.DID == c.of && !c.methods[reference] {
		return fault(path, "%s is not in verificationMethod; add it there", quote(reference))
	}
	return nil
}

// checkMethod takes one verification method (DID Core 5.2).
func (c *checker) checkMethod(path string, item any) (id string, err error) {
	o, ok := item.(object)
	if !ok {
		return "", fault(path, "it must be an object with id, type and controller")
	}
	if id, err = requireText(path, o, "id"); err != nil {
		return "", err
	}
	at := member(path, "id")
	if _, err := ParseURL(absolute(c.of, id)); err != nil {
		return "", fmt.Errorf("document: %s: %w", at, err)
	}
	if err := c.define(at, id); err != nil {
		return "", err
	}
	kind, err := requireText(path, o, "type")
	if err != nil {
		return "", err
	}
	if err := checkDID(member(path, "controller"), o["controller"]); err != nil {
		return "", err
	}
	return id, checkMaterial(path, kind, o)
}

// checkMaterial takes the key itself, in one form at most. A kind of method may
// have another form, unknown here.
func checkMaterial(path, kind string, o object) error {
	forms := slices.DeleteFunc(slices.Sorted(maps.Keys(o)), func(name string) bool {
		return !strings.HasPrefix(name, "publicKey")
	})
	if len(forms) > 1 {
		return fault(member(path, forms[1]), "%s has the key already; remove one", quote(forms[0]))
	}
	if form := formOf(kind); form != "" && o[form] == nil {
		return fault(member(path, form), "a method of type %s must have it", quote(kind))
	}
	if len(forms) == 0 {
		return nil
	}
	at, value := member(path, forms[0]), o[forms[0]]
	switch forms[0] {
	case "publicKeyMultibase":
		return checkMultibase(at, "", kind, value)
	case "publicKeyBase58":
		return checkMultibase(at, "z", kind, value)
	case "publicKeyJwk":
		return checkJWK(at, value)
	}
	return nil
}

// formOf is the property that a type of method must have, empty if it is unknown
// here.
func formOf(kind string) string {
	switch kind {
	case "Multikey":
		return "publicKeyMultibase"
	case "JsonWebKey", "JsonWebKey2020":
		return "publicKeyJwk"
	}
	return ""
}

// checkMultibase asks for a whole Multikey where the type says so. Others have
// the key alone as well, of a length of their own.
func checkMultibase(path, base, kind string, value any) error {
	text, ok := value.(string)
	if !ok {
		return fault(path, "it must be text")
	}
	var err error
	if kind == "Multikey" {
		_, err = parseMultikey(base + text)
	} else {
		_, err = decodeMultibase(base + text)
	}
	if err != nil {
		return fmt.Errorf("document: %s: %w", path, err)
	}
	return nil
}

package did

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/staex-mcc/mcc/identity"
)

func FuzzParse(f *testing.F) {
	for _, test := range validDIDs {
		f.Add(test.text)
	}
	for _, text := range invalidDIDs {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := Parse(text)
		matches := len(text) <= MaxDID && didPattern.MatchString(text)
		switch {
		case (err == nil) != matches:
			t.Errorf("%q: %v, but the grammar says %v", text, err, matches)
		case err != nil && (!errors.Is(err, ErrInvalid) || d != DID{}):
			t.Errorf("%q: %v", text, err)
		case err == nil && d.String() != text:
			t.Errorf("%q became %q", text, d)
		}
	})
}

func FuzzParseURL(f *testing.F) {
	for _, rest := range dereferenced {
		f.Add("did:example:123" + rest.text)
	}
	f.Add("did:x:a#b#c")
	f.Fuzz(func(t *testing.T, text string) {
		u, err := ParseURL(text)
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		if u.String() != text || !isURI(text) {
			t.Errorf("%q became %q, or is no URI", text, u)
		}
		if _, err := Parse(text); (err == nil) != (u.Path+u.Query+u.Fragment == "") {
			t.Errorf("Parse(%q): %v", text, err)
		}
	})
}

func FuzzKey(f *testing.F) {
	vectors, unsupported := keyVectors(f)
	for _, v := range slices.Concat(vectors, unsupported) {
		f.Add(v.DID)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := Parse(text)
		if err != nil {
			return
		}
		doc, err := Key(d)
		if err != nil {
			if !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrUnsupported) {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		if err := Validate(doc, d); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	})
}

func FuzzMultikey(f *testing.F) {
	vectors, _ := keyVectors(f)
	for _, v := range vectors {
		f.Add(v.DID[len("did:key:"):])
	}
	f.Add("u7QE")
	f.Fuzz(func(t *testing.T, text string) {
		k, err := parseMultikey(text)
		if err != nil {
			return
		}
		if text[0] == 'z' && k.String() != text {
			t.Errorf("%q became %q", text, k)
		}
		if again, err := parseMultikey(k.String()); len(k.raw) < 2000 && (err != nil || again.codec != k.codec || !bytes.Equal(again.raw, k.raw)) {
			t.Errorf("%q: %+v, %v", text, again, err)
		}
	})
}

// FuzzValidate also holds that what passes is what it promises, by other means.
func FuzzValidate(f *testing.F) {
	for _, doc := range goodDocuments(f) {
		f.Add([]byte(doc.Document), doc.DID)
	}
	for _, test := range badProperties {
		f.Add([]byte(`{"id":"did:example:123",`+test.properties+`}`), "did:example:123")
	}
	f.Fuzz(func(t *testing.T, text []byte, did string) {
		d, err := Parse(did)
		if err != nil {
			return
		}
		before := bytes.Clone(text)
		if err := Validate(text, d); err != nil {
			if !errors.Is(err, ErrInvalid) || len(err.Error()) > 4096 || !utf8.ValidString(err.Error()) {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		if len(text) > MaxDocument || !utf8.Valid(text) || !bytes.Equal(text, before) {
			t.Errorf("%q passed", text)
		}
		if root, err := parseObject(text); err != nil || root["id"] != did {
			t.Errorf("%q: %v, %v", text, root, err)
		}
	})
}

func FuzzForNode(f *testing.F) {
	f.Add([]byte{1}, "files", "web")
	f.Add(make([]byte, 32), "\xff", "a b")
	f.Fuzz(func(t *testing.T, seed []byte, a, b string) {
		var s [32]byte
		copy(s[:], seed)
		id := identity.PrivateKeyFromSeed(s).ID()
		if err := Validate(ForNode(id, []Service{{a}, {b}, {a}}), OfNode(id)); err != nil {
			t.Errorf("%q, %q: %v", a, b, err)
		}
	})
}

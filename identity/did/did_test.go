package did

import (
	"errors"
	"strings"
	"testing"

	"github.com/staex-mcc/mcc/identity"
)

const nodeID = "z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp"

// validDIDs follow the grammar of DID Core 3.1; method and id are what they hold.
var validDIDs = []struct{ text, method, id string }{
	{"did:example:123456789abcdefghi", "example", "123456789abcdefghi"},
	{"did:key:" + nodeID, "key", nodeID},
	{"did:mcc:" + nodeID, "mcc", nodeID},
	{"did:web:example.com%3A3000:user:alice", "web", "example.com%3A3000:user:alice"},
	{"did:3:a", "3", "a"},
	{"did:a1b2:A.b-c_d", "a1b2", "A.b-c_d"},
	{"did:x::a", "x", ":a"},
	{"did:x:a::b", "x", "a::b"},
	{"did:x:%00%fF", "x", "%00%fF"},
	{"did:x:" + strings.Repeat("a", MaxDID-6), "x", strings.Repeat("a", MaxDID-6)},
}

var invalidDIDs = []string{
	"", "did", "did:", "did:x", "did:x:", "did::a", "DID:x:a", "Did:x:a", " did:x:a", "did:x:a ", "did:X:a", "did:exAmple:a",
	"did:a-b:c", "did:a_b:c", "did:a.b:c", "did:ü:a", "did:x:ü", "did:x:a:", "did:x::", "did:x:a b", "did:x:a@b", "did:x:a~b",
	"did:x:a!b", "did:x:%", "did:x:%1", "did:x:%1g", "did:x:a%", "did:x:a+b", "did:x:a\x00", "did:x:a\n", "did:x:a\xff",
	"did:%61:b", "urn:x:a", "https://example.com", "did:x:" + strings.Repeat("a", MaxDID-5),
}

// dereferenced stand behind a DID in a DID URL.
var dereferenced = []struct{ text, path, query, fragment string }{
	{"", "", "", ""},
	{"/", "/", "", ""},
	{"/a/b//c", "/a/b//c", "", ""},
	{"?", "", "?", ""},
	{"#", "", "", "#"},
	{"?service=agent&relativeRef=%2Fpath%2Fto", "", "?service=agent&relativeRef=%2Fpath%2Fto", ""},
	{"#key-1", "", "", "#key-1"},
	{"/p?q#f", "/p", "?q", "#f"},
	{"/a:@!$&'()*+,;=~?/?a=b#/?x", "/a:@!$&'()*+,;=~", "?/?a=b", "#/?x"},
	{"#a?b", "", "", "#a?b"},
	{"?a/b", "", "?a/b", ""},
}

func TestParse(t *testing.T) {
	for _, test := range validDIDs {
		d, err := Parse(test.text)
		if err != nil || d.Method() != test.method || d.ID() != test.id || d.String() != test.text {
			t.Errorf("Parse(%q): method %q, id %q, text %q, %v", test.text, d.Method(), d.ID(), d, err)
		}
	}
	if d, err := Parse("did:example:a"); err != nil || d != (DID{"example", "a"}) {
		t.Errorf("got %#v, %v", d, err)
	}
	if s := (DID{}).String(); s != "" {
		t.Errorf("the zero DID is %q", s)
	}
}

func TestParseRefuses(t *testing.T) {
	bad := invalidDIDs
	for _, rest := range dereferenced[1:] {
		bad = append(bad, "did:example:123"+rest.text)
	}
	for _, text := range bad {
		d, err := Parse(text)
		if !errors.Is(err, ErrInvalid) || d != (DID{}) {
			t.Errorf("Parse(%q): %#v, %v", text, d, err)
		}
		if err != nil && len(err.Error()) > 500 {
			t.Errorf("Parse(%.20q): the error has %d bytes", text, len(err.Error()))
		}
	}
}

func TestParseURL(t *testing.T) {
	for _, test := range validDIDs {
		for _, rest := range dereferenced {
			text := test.text + rest.text
			if len(text) > MaxDID {
				continue
			}
			want := URL{DID{test.method, test.id}, rest.path, rest.query, rest.fragment}
			if got, err := ParseURL(text); err != nil || got != want || got.String() != text {
				t.Errorf("ParseURL(%q): %+v, %v", text, got, err)
			}
		}
	}
}

func TestParseURLRefuses(t *testing.T) {
	bad := append([]string{}, invalidDIDs...)
	for _, rest := range []string{"#a#b", "# ", "/a b", "/%", "?%zz", "#%1", "/ü", "?ü", "#ü", "/a[b", "?a[b]", "#^", "/\"", "?\\", "/a\n", "#\x7f", "/{}", "?|"} {
		bad = append(bad, "did:example:123"+rest)
	}
	for _, text := range bad {
		if u, err := ParseURL(text); !errors.Is(err, ErrInvalid) || u != (URL{}) {
			t.Errorf("ParseURL(%q): %+v, %v", text, u, err)
		}
	}
}

func TestIsURI(t *testing.T) {
	for _, text := range []string{
		"did:x:a", "https://example.com", "mcc://" + nodeID + "/files", "urn:a:b", "a:b", "http://[2001:db8::1]:80/?a#b", "x+y-z.1:?",
	} {
		if !isURI(text) {
			t.Errorf("%q is refused", text)
		}
	}
	for _, text := range []string{
		"", ":", "a", "a:", "1a:b", "a b:c", "a:b c", "#a", "/a", "//a/b", "a:%", "a:b#c#d", "a:ü", "ä:b", "a:<b>", "a_b:c", "a:#b",
		"a:" + strings.Repeat("b", MaxDID),
	} {
		if isURI(text) {
			t.Errorf("%q is taken", text)
		}
	}
}

func TestNode(t *testing.T) {
	id, err := identity.ParseID(nodeID)
	if err != nil {
		t.Fatal(err)
	}
	if d := OfNode(id); d.String() != "did:mcc:"+nodeID {
		t.Errorf("OfNode: %s", d)
	}
	for _, text := range []string{"did:mcc:" + nodeID, "did:key:" + nodeID} {
		if got, err := mustParse(t, text).Node(); err != nil || got != id {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for text, want := range map[string]error{
		"did:mcc:abc":               ErrInvalid,
		"did:mcc:did:key:" + nodeID: ErrInvalid,
		"did:mcc:" + nodeID + "1":   ErrInvalid,
		"did:key:z0":                ErrInvalid,
		"did:web:example.com":       ErrUnsupported,
		"did:key:zDnaerDaTF5BXEavCrfRZEk316dpbLsfPDZ3WJ5hRTPFU2169": ErrUnsupported,
	} {
		if got, err := mustParse(t, text).Node(); !errors.Is(err, want) || !got.IsZero() {
			t.Errorf("%s: %v, %v, want %v", text, got, err, want)
		}
	}
	if _, err := (DID{}).Node(); !errors.Is(err, ErrUnsupported) {
		t.Errorf("zero DID: %v", err)
	}
}

func mustParse(t testing.TB, text string) DID {
	t.Helper()
	d, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

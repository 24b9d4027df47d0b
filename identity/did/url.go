package did

import "strings"

// URL is a DID URL (DID Core 3.2): a DID and what is wanted of it. Its parts
// stand next to each other in the text.
type URL struct {
	DID DID
	// Path begins with "/", Query with "?" and Fragment with "#"; what is
	// absent is empty.
	Path, Query, Fragment string
}

// ParseURL reads a DID URL of at most MaxDID bytes; a DID is one, too. Anything
// else is ErrInvalid.
func ParseURL(s string) (URL, error) {
	d, rest, err := parsePrefix(s)
	if err != nil {
		return URL{}, err
	}
	u := URL{DID: d}
	if at := strings.IndexByte(rest, '#'); at >= 0 {
		rest, u.Fragment = rest[:at], rest[at:]
	}
	if at := strings.IndexByte(rest, '?'); at >= 0 {
		rest, u.Query = rest[:at], rest[at:]
	}
	u.Path = rest
	switch {
	case !onlyOf(u.Path, "/", isPathChar):
		return URL{}, invalidDID(s, "the path has a character that must be written as %XX")
	case !onlyOf(u.Query, "/?", isPathChar):
		return URL{}, invalidDID(s, "the query has a character that must be written as %XX")
	case !onlyOf(strings.TrimPrefix(u.Fragment, "#"), "/?", isPathChar):
		return URL{}, invalidDID(s, "the fragment has a character that must be written as %XX")
	}
	return u, nil
}

// String is the text that ParseURL reads.
func (u URL) String() string { return u.DID.String() + u.Path + u.Query + u.Fragment }

// isPathChar is pchar of RFC 3986, without percent encodings.
func isPathChar(c byte) bool {
	return isAlphanumeric(c) || strings.IndexByte("-._~!$&'()*+,;=:@", c) >= 0
}

// isURI reports whether s is a URI (RFC 3986 section 3): a scheme, a colon, and
// what may follow.
func isURI(s string) bool {
	scheme, rest, ok := strings.Cut(s, ":")
	if !ok || scheme == "" || len(s) > MaxDID || !isLetter(scheme[0]) || !onlyOf(scheme, "", isSchemeChar) {
		return false
	}
	rest, fragment, _ := strings.Cut(rest, "#")
	return rest != "" && onlyOf(rest, "/?[]", isPathChar) && onlyOf(fragment, "/?", isPathChar)
}

func isLetter(c byte) bool { return isAlphanumeric(c) && c > '9' }

func isSchemeChar(c byte) bool { return isAlphanumeric(c) || c == '+' || c == '-' || c == '.' }

// absolute resolves a reference to a part of the document of d ("#key") to the
// whole DID URL (DID Core 3.2.2); anything else stays as it is.
func absolute(d DID, s string) string {
	if strings.HasPrefix(s, "#") {
		return d.String() + s
	}
	return s
}

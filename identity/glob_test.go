package identity

import (
	"regexp"
	"strings"
	"testing"
)

func TestMatchGlob(t *testing.T) {
	for _, tt := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true},
		{"", "a", false},
		{"*", "", true},
		{"*", "any/thing", true},
		{"web*", "web", true},
		{"web*", "website", true},
		{"web*", "we", false},
		{"*web", "theweb", true},
		{"*web", "webs", false},
		{"a*b*c", "aXbXbXc", true},
		{"a*b*c", "aXbX", false},
		{"a**c", "abc", true},
		{"[a]", "a", false},
		{"[a]", "[a]", true},
		{"a?", "ab", false},
		{"a\\*", "a\\z", true},
		{"*a", "aba", true},
		{"*ab", "aab", true},
		{"abc", "abcd", false},
		{"abcd", "abc", false},
	} {
		if got := MatchGlob(tt.pattern, tt.s); got != tt.want {
			t.Errorf("MatchGlob(%q, %q) = %v, want %v", tt.pattern, tt.s, got, tt.want)
		}
	}
}

func FuzzMatchGlob(f *testing.F) {
	f.Add("web*", "website")
	f.Add("*a*b*", "xxaxxbxx")
	f.Add("a/*[b", "a/c/[b")
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if len(pattern) > 64 || len(s) > 256 || !isASCII(pattern) || !isASCII(s) {
			t.Skip() // regexp counts runes, the glob bytes
		}
		model := regexp.MustCompile(`(?s)^` + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, `.*`) + `$`)
		if got, want := MatchGlob(pattern, s), model.MatchString(s); got != want {
			t.Fatalf("MatchGlob(%q, %q) = %v, model %v", pattern, s, got, want)
		}
	})
}

func isASCII(s string) bool { return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 }) }

func TestPermissionsAllow(t *testing.T) {
	for _, tt := range []struct {
		have string
		want string
		ok   bool
	}{
		{"all", "admin", true},
		{"route", "route", true},
		{"route", "routes", false},
		{"register:files", "register:files", true},
		{"register:files", "register:file", false},
		{"register:*", "register:x", true},
		{"register:web*", "register:web-1", true},
		{"register:web*", "call:web-1", false},
		{"call:*", "call:a.b", true},
		// A star means something in names of services only.
		{"*", "admin", false},
		{"r*", "relay", false},
		{"re*", "register:x", false},
		{"regist*", "register:x", false},
		{"store*", "store", false},
		{"*:*", "call:x", false},
		{"call:x", "call:*", false},
		{"", "route", false},
	} {
		if got := (Permissions{tt.have}).Allow(tt.want); got != tt.ok {
			t.Errorf("%q allows %q: %v, want %v", tt.have, tt.want, got, tt.ok)
		}
	}
	if Permissions(nil).Allow("route") || (*Peer)(nil).May("route") {
		t.Error("nil permits something")
	}
	open := OpenPermissions()
	for _, p := range []string{"relay", "admin", "all"} {
		if open.Allow(p) {
			t.Errorf("the open mesh allows %q", p)
		}
	}
	open[0] = "all"
	if OpenPermissions().Allow("admin") {
		t.Error("OpenPermissions hands out its own slice")
	}
}

func TestParsePermissions(t *testing.T) {
	got, err := ParsePermissions([]string{"route", "register:web*", "route"})
	if err != nil || strings.Join(got, " ") != "route register:web*" {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range []string{"", "Route", "a b", "é", "a\x00", "register:a/b", strings.Repeat("a", 129)} {
		if _, err := ParsePermissions([]string{"route", bad}); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

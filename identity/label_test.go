package identity

import (
	"errors"
	"regexp"
	"strings"
	"testing"
)

func TestNormalizeLabel(t *testing.T) {
	long := strings.Repeat("a", 30)
	for _, tt := range []struct{ in, want string }{
		{"web1", "web1"},
		{"Web-1!", "web1"},
		{" My Node ", "mynode"},
		{"é1ß", "1"},
		{long, long},
		{long + "-_ ", long},
		{"A\x00B", "ab"},
		{"İ9", "9"},
	} {
		if got, err := NormalizeLabel(tt.in); err != nil || got != tt.want {
			t.Errorf("NormalizeLabel(%q) = %q, %v, want %q", tt.in, got, err, tt.want)
		}
	}
	for _, bad := range []string{"", "---", "éß", long + "a", strings.Repeat("x", 1<<20)} {
		_, err := NormalizeLabel(bad)
		if !errors.Is(err, ErrBadLabel) || len(err.Error()) > 400 {
			t.Errorf("NormalizeLabel(%.40q): %v", bad, err)
		}
	}
}

func TestRandomLabel(t *testing.T) {
	word := regexp.MustCompile(`^([bdfgklmnprstvz][aeiou]){4}$`)
	seen := map[string]bool{}
	for range 100 {
		l := RandomLabel()
		if normal, err := NormalizeLabel(l); err != nil || normal != l || !word.MatchString(l) {
			t.Fatalf("RandomLabel() = %q", l)
		}
		seen[l] = true
	}
	if len(seen) < 90 {
		t.Errorf("%d different words of 100", len(seen))
	}
}

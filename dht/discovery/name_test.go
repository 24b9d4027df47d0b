package discovery

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/staex-mcc/mcc/dht"
)

func TestValidateName(t *testing.T) {
	good := []string{"a", "0", "files", "a-b", "a--b", "9lives", strings.Repeat("x", 63)}
	for _, name := range good {
		if err := ValidateName(name); err != nil {
			t.Errorf("ValidateName(%q): %v", name, err)
		}
	}
	bad := []string{"", "-", "-a", "a-", "A", "a.b", "a_b", "a b", "ä", "a\x00b", "aXb", "a.", strings.Repeat("x", 64)}
	for _, name := range bad {
		if err := ValidateName(name); !errors.Is(err, ErrInvalid) {
			t.Errorf("ValidateName(%q): got %v, want ErrInvalid", name, err)
		}
	}
}

func TestParseName(t *testing.T) {
	tests := []struct{ text, name, consortium string }{
		{"files", "files", ""},
		{"files.acme", "files", "acme"},
		{"files.acme.example", "files", "acme.example"},
		{"files.Acme Corp", "files", "Acme Corp"},
	}
	for _, test := range tests {
		name, consortium, err := ParseName(test.text)
		if err != nil || name != test.name || consortium != test.consortium {
			t.Errorf("ParseName(%q) = %q, %q, %v", test.text, name, consortium, err)
		}
	}
	bad := []string{"", ".", ".acme", "files.", "Files.acme", "files.a\nb", "files.\xff", "files." + strings.Repeat("c", 65)}
	for _, text := range bad {
		if name, consortium, err := ParseName(text); !errors.Is(err, ErrInvalid) || name != "" || consortium != "" {
			t.Errorf("ParseName(%q) = %q, %q, %v, want ErrInvalid", text, name, consortium, err)
		}
	}
}

// TestKeys pins positions, which all nodes must agree on (computed with another
// program from the layout in Key's comment), and that different
// things lie at different ones.
func TestKeys(t *testing.T) {
	pinned := map[string]dht.Key{
		"92187e95c737e57d": Key("", "files"),
		"30073cd5da28f89b": Key("acme", "files"),
		"1a5e4c1c779fd078": LabelKey("files"),
		"8db3b67d9b993cb8": BlobKey(countingBytes()),
	}
	for want, key := range pinned {
		if got := hex.EncodeToString(key[:len(want)/2]); got != want {
			t.Errorf("position begins with %s, want %s", key, want)
		}
	}
	seen := map[dht.Key]string{}
	for name, key := range map[string]dht.Key{
		"open files": Key("", "files"), "acme files": Key("acme", "files"), "acm efiles": Key("acm", "efiles"),
		"acmefiles in none": Key("", "acmefiles"), "label files": LabelKey("files"), "label acmefiles": LabelKey("acmefiles"),
	} {
		if other, taken := seen[key]; taken {
			t.Errorf("%s and %s lie at the same position", name, other)
		}
		seen[key] = name
	}
}

// countingBytes is 0 to 31.
func countingBytes() (id [32]byte) {
	for i := range id {
		id[i] = byte(i)
	}
	return id
}

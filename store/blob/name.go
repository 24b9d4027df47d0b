package blob

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxName is the longest name of a BLOB in bytes.
const MaxName = 255

// CleanName is the name that Put and Complete keep for what they are given: what
// follows the last slash or backslash, without bytes that are not UTF-8 and
// characters that do not print (control characters, changes of direction), cut
// to MaxName bytes at a character's start. "." and ".." become empty. The name
// is only ever shown: no file is called by it.
func CleanName(name string) string {
	name = name[strings.LastIndexAny(name, `/\`)+1:]
	name = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, name)
	name = strings.TrimSpace(name)
	if name == "." || name == ".." {
		return ""
	}
	if len(name) <= MaxName {
		return name
	}
	end := MaxName
	for !utf8.RuneStart(name[end]) {
		end--
	}
	return strings.TrimSpace(name[:end])
}

package identity

import (
	"crypto/rand"
	"fmt"
)

// MaxLabel is the longest label in bytes (contract, flag -label).
const MaxLabel = 30

// NormalizeLabel removes everything but ASCII letters and digits from s and
// lowers the case. What is left must have 1 to MaxLabel bytes, else the error
// is ErrBadLabel.
func NormalizeLabel(s string) (string, error) {
	kept := make([]byte, 0, MaxLabel)
	for i := range len(s) {
		c := s[i]
		switch {
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		default:
			continue
		}
		if len(kept) == MaxLabel {
			return "", fmt.Errorf("%w: %q is over %d letters and digits", ErrBadLabel, clip(s), MaxLabel)
		}
		kept = append(kept, c)
	}
	if len(kept) == 0 {
		return "", fmt.Errorf("%w: %q has no ASCII letter or digit", ErrBadLabel, clip(s))
	}
	return string(kept), nil
}

// RandomLabel is a pronounceable made-up word of lower-case letters, one of
// about 24 million, from crypto/rand.
func RandomLabel() string {
	var entropy [labelSyllables]byte
	rand.Read(entropy[:]) // never fails since Go 1.24
	return wordFrom(entropy)
}

const labelSyllables = 4

// wordFrom makes a word of one syllable for each byte.
func wordFrom(entropy [labelSyllables]byte) string {
	const consonants, vowels = "bdfgklmnprstvz", "aeiou"
	word := make([]byte, 0, 2*labelSyllables)
	for _, b := range entropy {
		syllable := int(b) % (len(consonants) * len(vowels))
		word = append(word, consonants[syllable/len(vowels)], vowels[syllable%len(vowels)])
	}
	return string(word)
}

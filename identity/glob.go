package identity

// MatchGlob reports whether s matches pattern, in which '*' stands for any run
// of bytes, also none, and everything else for itself. The whole of s must
// match. It serves permissions and the allow and from lists of services.
//
// Time is at most len(pattern) × len(s), so a pattern from a certificate cannot
// be made expensive beyond its length.
func MatchGlob(pattern, s string) bool {
	p, i := 0, 0
	// After a mismatch only the last star can take one byte more: what an
	// earlier star could win, the last one wins too.
	star, mark := -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && pattern[p] == s[i]:
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

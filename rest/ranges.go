package rest

import (
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// maxRanges bounds the ranges of one request; a request for more gets the whole
// content (RFC 9110 14.2).
const maxRanges = 64

// takeRange puts the Range of a request into the form that http.ServeContent
// understands. One that is malformed or in another unit than bytes is taken out,
// as RFC 9110 14.2 asks for: the whole content is right then, where
// http.ServeContent refuses.
func takeRange(hd http.Header) {
	lines := hd.Values("Range")
	if len(lines) == 0 {
		return
	}
	if ranges, ok := readRanges(lines[0]); ok && len(lines) == 1 {
		hd.Set("Range", "bytes="+strings.Join(ranges, ","))
		return
	}
	hd.Del("Range")
}

// readRanges reads a Range in bytes (RFC 9110 14.1.2), at most maxRanges.
func readRanges(text string) (ranges []string, ok bool) {
	unit, set, _ := strings.Cut(text, "=")
	if !strings.EqualFold(unit, "bytes") {
		return nil, false
	}
	for part := range strings.SplitSeq(set, ",") {
		part = strings.Trim(part, " \t")
		if part == "" {
			continue // a list may have empty elements (RFC 9110 5.6.1.2)
		}
		if part, ok = readRange(part); !ok || len(ranges) == maxRanges {
			return nil, false
		}
		ranges = append(ranges, part)
	}
	return ranges, len(ranges) > 0
}

// readRange reads first-last, first- or -length.
func readRange(text string) (normal string, ok bool) {
	first, last, ok := strings.Cut(text, "-")
	if !ok || first == "" && last == "" || !isDigits(first) || !isDigits(last) {
		return "", false
	}
	from, to := position(first), position(last)
	switch {
	case first == "" && to == 0:
		// The last no bytes cannot be had: a place behind all contents.
		return nowhere, true
	case first == "":
		return "-" + strconv.FormatInt(to, 10), true
	case last == "":
		return strconv.FormatInt(from, 10) + "-", true
	}
	return strconv.FormatInt(from, 10) + "-" + strconv.FormatInt(to, 10), compareDigits(first, last) <= 0
}

const nowhere = "9223372036854775807-"

func isDigits(text string) bool {
	return !slices.ContainsFunc([]byte(text), func(c byte) bool { return c < '0' || c > '9' })
}

// position reads a number. What is too large lies behind all contents.
func position(digits string) int64 {
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil && digits != "" {
		return math.MaxInt64
	}
	return n
}

// compareDigits compares two numbers of any length.
func compareDigits(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

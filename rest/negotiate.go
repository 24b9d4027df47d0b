package rest

import (
	"mime"
	"strconv"
	"strings"
)

// maxMediaRanges bounds what is read of an Accept header; further ranges count
// as absent.
const maxMediaRanges = 64

// mediaRange is one range of an Accept header.
type mediaRange struct {
	mediaType string // may be */* or type/*
	params    map[string]string
	q         float64
}

// parseAccept reads an Accept header (RFC 9110 12.5.1). What is malformed is
// left out.
func parseAccept(header string) []mediaRange {
	var ranges []mediaRange
	for len(header) > 0 && len(ranges) < maxMediaRanges {
		var part string
		part, header = cutList(header)
		mediaType, params, err := mime.ParseMediaType(part)
		if err != nil || strings.Count(mediaType, "/") != 1 {
			continue
		}
		q, ok := quality(params["q"])
		if !ok {
			continue
		}
		delete(params, "q")
		delete(params, "charset") // JSON has one
		ranges = append(ranges, mediaRange{mediaType, params, q})
	}
	return ranges
}

// cutList cuts the first element off a list, heeding quoted strings.
func cutList(list string) (first, rest string) {
	quoted := false
	for i := 0; i < len(list); i++ {
		switch {
		case quoted && list[i] == '\\':
			i++
		case list[i] == '"':
			quoted = !quoted
		case list[i] == ',' && !quoted:
			return list[:i], list[i+1:]
		}
	}
	return list, ""
}

// quality reads a weight; empty is 1.
func quality(text string) (q float64, ok bool) {
	if text == "" {
		return 1, true
	}
	if len(text) > len("0.000") || strings.Trim(text, "0123456789.") != "" {
		return 0, false
	}
	q, err := strconv.ParseFloat(text, 64)
	return q, err == nil && q <= 1
}

// fit is how well a range names an offered type: 0 is not at all, more is more
// exact.
func (m mediaRange) fit(mediaType string, params map[string]string) int {
	kind, _, _ := strings.Cut(mediaType, "/")
	for name, value := range m.params {
		if params[name] != value {
			return 0
		}
	}
	switch m.mediaType {
	case "*/*":
		return 1
	case kind + "/*":
		return 2
	case mediaType:
		return 3 + len(m.params)
	}
	return 0
}

// negotiate returns the index of the offered media type that ranges prefer, the
// first of equals, or -1.
func negotiate(ranges []mediaRange, offers []string) int {
	best, bestQ := -1, 0.0
	for i, offer := range offers {
		mediaType, params, _ := mime.ParseMediaType(offer) // our own are well formed
		q, exact := 0.0, 0
		for _, m := range ranges {
			if fit := m.fit(mediaType, params); fit > exact {
				q, exact = m.q, fit
			}
		}
		if q > bestQ {
			best, bestQ = i, q
		}
	}
	return best
}

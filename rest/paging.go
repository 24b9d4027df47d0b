package rest

import (
	"cmp"
	"slices"
)

// Bounds of a list's page.
const (
	maxPage     = 1000
	defaultPage = maxPage
)

// Page is asked for by every list: ?limit=&cursor=.
type Page struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"1000" doc:"How many at most"`
	Cursor string `query:"cursor" maxLength:"256" doc:"The next of an earlier answer; empty is the start"`
}

// page sorts items by key and cuts out what p asks for. The cursor is the last
// key of the page before, so entries that come and go in between neither repeat
// nor hide others.
func page[T any](p Page, items []T, key func(T) string) (part []T, next string) {
	items = slices.Clone(items)
	slices.SortFunc(items, func(a, b T) int { return cmp.Compare(key(a), key(b)) })
	from := 0
	if p.Cursor != "" {
		from, _ = slices.BinarySearchFunc(items, p.Cursor, func(item T, cursor string) int {
			if key(item) <= cursor {
				return -1
			}
			return 1
		})
	}
	items = items[from:]
	limit := cmp.Or(p.Limit, defaultPage)
	if len(items) > limit {
		return items[:limit], key(items[limit-1])
	}
	return items, ""
}

// list maps items to their JSON form; the result is never nil, so that it is
// [] and not null.
func list[T, J any](items []T, to func(T) J) []J {
	out := make([]J, 0, len(items))
	for _, item := range items {
		out = append(out, to(item))
	}
	return out
}

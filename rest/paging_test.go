package rest

import (
	"fmt"
	"slices"
	"testing"
)

// Following next visits every entry once, whatever the page size and whatever
// comes and goes meanwhile.
func TestPage(t *testing.T) {
	self := func(s string) string { return s }
	var all []string
	for i := range 10 {
		all = append(all, fmt.Sprintf("%02d", i))
	}
	for limit := 1; limit <= 11; limit++ {
		items, seen, cursor := slices.Clone(all), []string{}, ""
		slices.Reverse(items) // the order given is of no matter
		for {
			part, next := page(Page{Limit: limit, Cursor: cursor}, items, self)
			seen = append(seen, part...)
			if next == "" {
				break
			}
			cursor = next
			// The entry the cursor names goes, and one before it comes.
			items = slices.DeleteFunc(items, func(s string) bool { return s == cursor })
			items = append(items, "!")
		}
		if !slices.Equal(seen, all) {
			t.Errorf("limit %d: %v", limit, seen)
		}
	}
	if part, next := page(Page{}, all, self); len(part) != 10 || next != "" {
		t.Errorf("the zero page: %v %q", part, next)
	}
}

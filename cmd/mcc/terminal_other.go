//go:build !linux && !darwin && !freebsd

package main

import "os"

// terminalWidth is the number of columns of a terminal, or 0 if f is none.
func terminalWidth(f *os.File) int {
	if !isTerminal(f) {
		return 0
	}
	return defaultColumns
}

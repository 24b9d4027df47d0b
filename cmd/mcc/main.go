// Command mcc runs one node of a mesh and talks to running ones.
//
// Without a subcommand it is the node: flags become mcc.Options, the REST
// handler is served, signals end or reload it. The subcommands are thin callers
// of a running node's REST API.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"unicode"

	"github.com/staex-mcc/mcc"
)

// Exit codes, as the README lists them.
const (
	exitDone    = 0
	exitFailure = 1 // a failure while running
	exitUsage   = 2 // wrong usage or configuration
	exitInUse   = 3 // address or data folder in use
)

func main() {
	os.Exit(run(os.Args[1:], streams{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
}

// streams are where a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// run executes one command line and returns its exit code.
func run(args []string, io streams) int {
	cmd := newRootCommand(io)
	cmd.SetArgs(normalizeArgs(cmd, args))
	cmd.SetIn(io.in)
	cmd.SetOut(io.out)
	cmd.SetErr(io.err)
	err := cmd.ExecuteContext(context.Background())
	return report(err, io.err)
}

// usageError is a mistake of the user's: exit code 2. The hint says what to do.
type usageError struct {
	err  error
	hint string
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usage(hint string, format string, args ...any) error {
	return &usageError{err: fmt.Errorf(format, args...), hint: hint}
}

// report prints err as one line, a hint as a second, and chooses the exit code.
func report(err error, w io.Writer) int {
	if err == nil {
		return exitDone
	}
	fmt.Fprintln(w, "mcc: "+oneLine(err.Error()))
	code, hint := classify(err)
	if hint != "" {
		fmt.Fprintln(w, "mcc: hint: "+oneLine(hint))
	}
	return code
}

func classify(err error) (code int, hint string) {
	var u *usageError
	switch {
	case errors.Is(err, mcc.ErrInUse):
		return exitInUse, "stop the other process, or choose another -listen, -http or -data-folder"
	case errors.As(err, &u):
		return exitUsage, u.hint
	case errors.Is(err, mcc.ErrInvalid):
		return exitUsage, ""
	}
	if answer, ok := errors.AsType[*answerError](err); ok {
		return exitFailure, answer.hint
	}
	return exitFailure, ""
}

// oneLine keeps an error that was joined from several on one line.
func oneLine(s string) string {
	out := make([]rune, 0, len(s))
	for _, r := range s {
		switch {
		case r == '\n':
			out = append(out, ';', ' ')
		case !unicode.IsPrint(r): // controls, and marks that turn the writing round
			out = append(out, '?')
		default:
			out = append(out, r)
		}
	}
	return string(out)
}

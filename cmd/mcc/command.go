package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// nodeCommands talk to a running node.
func nodeCommands(std streams) []*cobra.Command {
	all := []*cobra.Command{
		newStatusCommand(std), newPeersCommand(std), newServicesCommand(std), newLookupCommand(std),
		newRegisterCommand(std), newUnregisterCommand(std), newConnectCommand(std), newForwardCommand(std),
		newRecordCommand(std), newValueCommand(std), newBlobCommand(std), newDIDCommand(std),
	}
	for _, cmd := range all {
		cmd.GroupID = "node"
	}
	return all
}

// family is a command that only has others below it.
func family(name, short string, below ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: name, Short: short, Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(below...)
	return cmd
}

// session is one run of a subcommand that talks to a node.
type session struct {
	*apiClient
	std   streams
	flags *apiFlags
	args  []string
}

// nodeCommand is a subcommand that talks to a node as long as it needs to: it
// adds the common flags and makes the client. The first signal ends the context,
// with the signal as its cause; the second one ends the program.
func nodeCommand(cmd *cobra.Command, std streams, run func(ctx context.Context, s *session) error) *cobra.Command {
	flags := &apiFlags{}
	addAPIFlags(cmd, flags)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		client, err := flags.client()
		if err != nil {
			return err
		}
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
		defer stop()
		context.AfterFunc(ctx, stop)
		return run(ctx, &session{apiClient: client, std: std, flags: flags, args: args})
	}
	return cmd
}

// apiCommand is a subcommand that asks the API and prints the answer, either as
// it is or in words, all within -timeout.
func apiCommand(cmd *cobra.Command, run func(ctx context.Context, c *apiClient, args []string) ([]byte, func(io.Writer), error), std streams) *cobra.Command {
	return nodeCommand(cmd, std, func(ctx context.Context, s *session) error {
		ctx, cancel := context.WithTimeout(ctx, s.flags.timeout)
		defer cancel()
		raw, text, err := run(ctx, s.apiClient, s.args)
		if err != nil {
			return err
		}
		return s.print(raw, text)
	})
}

// print shows the API's answer for -json, else the text.
func (s *session) print(raw []byte, text func(io.Writer)) error {
	if !s.flags.json {
		out := &careful{out: s.std.out}
		text(out)
		return out.err
	}
	if len(raw) == 0 {
		return nil
	}
	_, err := fmt.Fprintf(s.std.out, "%s\n", trimNewline(raw))
	return err
}

// careful remembers the first error of a writer whose users look at none.
type careful struct {
	out io.Writer
	err error
}

func (c *careful) Write(b []byte) (int, error) {
	n, err := c.out.Write(b)
	if c.err == nil {
		c.err = err
	}
	return n, err
}

// printJSON is for -json where the API's answer is none.
func (s *session) printJSON(v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.print(raw, func(io.Writer) {})
}

func trimNewline(b []byte) []byte {
	for len(b) > 0 && b[len(b)-1] == '\n' {
		b = b[:len(b)-1]
	}
	return b
}

// exactArgs wants n arguments and says which are missing.
func exactArgs(n int) cobra.PositionalArgs { return rangeArgs(n, n) }

func rangeArgs(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			return usage(cmd.CommandPath()+" -help tells more", "usage: %s", cmd.UseLine())
		}
		return nil
	}
}

// argument is args[i], or empty.
func argument(args []string, i int) string {
	if i < len(args) {
		return args[i]
	}
	return ""
}

// table prints rows in columns.
func table(w io.Writer, head string, rows func(add func(format string, args ...any))) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, head)
	rows(func(format string, args ...any) { fmt.Fprintf(t, format+"\n", args...) })
	t.Flush()
}

// orDash keeps empty columns visible.
func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

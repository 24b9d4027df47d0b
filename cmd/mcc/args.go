package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// normalizeArgs makes one dash and two dashes mean the same and joins a boolean
// flag with a following "true" or "false", as the flags of the original were
// written. Another word behind a node's boolean flag is joined too, unless it is
// a command: a node takes no arguments, so it was meant as the value.
// Everything after "--" and every value of a flag stays as it is.
func normalizeArgs(root *cobra.Command, args []string) []string {
	out := make([]string, 0, len(args))
	cmd, words := root, 0
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			return append(out, args[i:]...)
		}
		if len(arg) < 2 || arg[0] != '-' {
			if sub := subcommand(cmd, arg); sub != nil {
				cmd = sub
			}
			out = append(out, arg)
			words++
			continue
		}
		arg = "--" + strings.TrimPrefix(arg[1:], "-")
		if arg == "--h" {
			arg = "--help"
		}
		name, _, hasValue := strings.Cut(arg[2:], "=")
		flag := lookupFlag(cmd, name)
		next := ""
		if i+1 < len(args) {
			next = args[i+1]
		}
		switch {
		case hasValue || flag == nil || next == "":
			out = append(out, arg)
		case flag.Value.Type() == "bool":
			if next == "true" || next == "false" || words == 0 && isWord(root, next) {
				arg += "=" + next
				i++
			}
			out = append(out, arg)
		default: // its value, whatever it looks like
			out = append(out, arg+"="+next)
			i++
		}
	}
	return out
}

// isWord tells what is neither a flag nor a command.
func isWord(root *cobra.Command, arg string) bool {
	return arg[0] != '-' && subcommand(root, arg) == nil
}

func subcommand(cmd *cobra.Command, name string) *cobra.Command {
	for _, sub := range cmd.Commands() {
		if sub.Name() == name || sub.HasAlias(name) {
			return sub
		}
	}
	return nil
}

func lookupFlag(cmd *cobra.Command, name string) *pflag.Flag {
	if f := cmd.Flags().Lookup(name); f != nil {
		return f
	}
	return cmd.InheritedFlags().Lookup(name)
}

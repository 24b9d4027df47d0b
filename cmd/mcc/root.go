package main

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/staex-mcc/mcc"
	"github.com/staex-mcc/mcc/identity"
)

const about = `mcc runs one node of a peer-to-peer mesh: it finds other nodes without a server,
registers and discovers services by name, and forwards connections to them.

Without a subcommand it is the node. One dash and two dashes mean the same. Every
flag can also be set by an environment variable (-data-folder is MCC_DATA_FOLDER)
or in the -config file; the command line wins over the environment, the
environment over the file.`

func newRootCommand(io streams) *cobra.Command {
	s := &settings{}
	cmd := &cobra.Command{
		Use:           "mcc",
		Short:         "a node of a server-less mesh",
		Long:          about,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runRoot(cmd, s, io)
		},
	}
	addNodeFlags(cmd.Flags(), s)
	cmd.SetFlagErrorFunc(flagError)
	cmd.AddGroup(&cobra.Group{ID: "node", Title: "Talk to a running node (-api names it):"},
		&cobra.Group{ID: "files", Title: "Work on files:"})
	cmd.AddCommand(nodeCommands(io)...)
	cmd.AddCommand(newCACommand(io), newConfigCommand(io))
	strictBuiltins(cmd)
	return cmd
}

// strictBuiltins makes a mistake of what cobra's own commands answer with help:
// an unknown shell or topic.
func strictBuiltins(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	root.InitDefaultHelpCmd()
	if completion := subcommand(root, "completion"); completion != nil {
		completion.Args = noArguments
		completion.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	if help := subcommand(root, "help"); help != nil {
		help.Args = func(cmd *cobra.Command, args []string) error {
			if found, _, err := root.Find(args); err != nil || found == root && len(args) > 0 {
				return noArguments(cmd, args)
			}
			return nil
		}
	}
}

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage(commandHint(cmd, args[0]), "unknown command %q", args[0])
	}
	return nil
}

// commandHint says which commands cmd has, and which of them may be meant.
func commandHint(cmd *cobra.Command, typed string) string {
	hint := cmd.CommandPath() + " -help lists the commands"
	if !cmd.HasParent() {
		hint = "mcc -help lists commands and flags"
	}
	// One slip in a short name, else every other short name is close to it.
	cmd.SuggestionsMinimumDistance = min(1+len(typed)/5, 2)
	if near := cmd.SuggestionsFor(typed); len(near) > 0 {
		hint = "did you mean " + strings.Join(near, " or ") + "? " + hint
	}
	return hint
}

func flagError(cmd *cobra.Command, err error) error {
	text, hint := err.Error(), cmd.CommandPath()+" -help lists the flags"
	if bad, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		flag := bad.GetFlag()
		text = "-" + flag.Name + ": " + cleanFlagError(err)
		if flag.Value.Type() == "bool" {
			hint = fmt.Sprintf("-%s=true or -%s=false", flag.Name, flag.Name)
		}
	}
	return usage(hint, "%s", strings.Replace(text, ": --", ": -", 1))
}

// runRoot prints, writes a certificate, or runs a node.
func runRoot(cmd *cobra.Command, s *settings, io streams) error {
	if s.version {
		return printVersion(io)
	}
	file, err := resolveSettings(cmd, s)
	if err != nil {
		return err
	}
	if s.version { // by its variable
		return printVersion(io)
	}
	if flag, err := s.check(cmd.Flags()); err != nil {
		return usage("", "-%s %w", flag, err)
	}
	if s.newCert {
		return writeNewCert(s, io)
	}
	return runNode(cmd.Context(), cmd.Flags(), s, file, io)
}

// resolveSettings puts environment and file behind the command line.
func resolveSettings(cmd *cobra.Command, s *settings) (*config, error) {
	flags := cmd.Flags()
	if err := applyEnv(flags); err != nil {
		return nil, err
	}
	if s.configFile == "" {
		return &config{}, nil
	}
	file, err := loadConfig(s.configFile)
	if err != nil {
		return nil, err
	}
	return file, file.apply(flags)
}

func printVersion(io streams) error {
	_, err := fmt.Fprintf(io.out, "mcc %s (wire %d, %s, %s/%s)\n",
		mcc.Version, mcc.WireVersion, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// writeNewCert is -newcert.
func writeNewCert(s *settings, io streams) error {
	files, err := identity.WriteNew(s.dataFolder, s.label, time.Now(), s.force)
	if errors.Is(err, fs.ErrExist) {
		return usage("-force overwrites; -data-folder names another folder", "-newcert: %w", err)
	}
	if err != nil {
		return usage("", "-newcert: %w", err)
	}
	for _, path := range []string{files.Certificate, files.Key, files.Request} {
		fmt.Fprintln(io.out, path)
	}
	return nil
}

package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newConfigCommand(io streams) *cobra.Command {
	cmd := &cobra.Command{
		Use: "config", Short: "work on configuration files", GroupID: "files", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use: "check FILE", Short: "validate a configuration file", Args: exactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			file, err := loadConfig(args[0])
			if err != nil {
				return err
			}
			fmt.Fprintf(io.out, "%s is valid: %s, %s, %s\n", args[0],
				count(len(file.services), "service"), count(len(file.listeners), "listener"), count(len(file.flags), "setting"))
			return nil
		},
	})
	return cmd
}

// count is a number of things in words.
func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

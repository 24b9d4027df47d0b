package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/identity/ca"
)

// newCACommand works on files only: no node is needed.
func newCACommand(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use: "ca", Short: "run a certificate authority", GroupID: "files", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newCAInitCommand(std), newCASignCommand(std))
	return cmd
}

func newCAInitCommand(std streams) *cobra.Command {
	var opts ca.Options
	cmd := &cobra.Command{
		Use: "init DIR", Short: "make a root certificate and its key in DIR", Args: exactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			made, err := ca.Init(args[0], opts)
			if err != nil {
				return usage("", "%w", err)
			}
			fmt.Fprintf(std.out, "%s in %s\n", made, args[0])
			return nil
		},
	}
	cmd.Flags().StringVar(&opts.Name, "name", "", "common name; default is the consortium's")
	cmd.Flags().StringVar(&opts.Consortium, "consortium", "", "name of the consortium; default is mcc")
	cmd.Flags().IntVar(&opts.Days, "days", 0, "validity in days; default is ten years")
	cmd.PreRun = func(*cobra.Command, []string) {
		if opts.Name == "" && opts.Consortium == "" {
			opts.Consortium = "mcc"
		}
	}
	return cmd
}

func newCASignCommand(std streams) *cobra.Command {
	var label, out string
	var permissions []string
	var days int
	cmd := &cobra.Command{
		Use:   "sign DIR REQUEST",
		Short: "certify the key of a request with the CA in DIR",
		Long: `Certify the key of a certificate request (PEM or base64 DER, as mcc -newcert or
openssl writes it). The certificate goes to standard output unless -out names a file.
Without -perm the node may do nothing.`,
		Example: "  mcc ca sign ./ca node.csr -perm route -perm call:* -perm register:web* -days 90 -out node.crt",
		Args:    exactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			if days < 0 {
				return usage("", "-days %d: want a positive number", days)
			}
			if err := checkPermissions(permissions); err != nil {
				return err
			}
			if len(permissions) == 0 {
				fmt.Fprintln(std.err, "mcc: warning: without -perm the certificate permits nothing")
			}
			leaf := ca.Leaf{Label: label, Permissions: permissions, Lifetime: time.Duration(days) * 24 * time.Hour}
			cert, err := signRequest(args[0], args[1], leaf)
			if err != nil {
				return usage("", "%w", err)
			}
			if out == "" {
				_, err = std.out.Write(cert.MarshalPEM())
				return err
			}
			if err := os.WriteFile(out, cert.MarshalPEM(), 0o644); err != nil {
				return usage("", "-out: %w", err)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&label, "label", "", "label of the node; default is the request's")
	cmd.Flags().StringSliceVar(&permissions, "perm", nil, "permission: all, route, store, register:<glob>, call:<glob>, blob, relay, admin")
	cmd.Flags().IntVar(&days, "days", 0, "validity in days; default is 90")
	cmd.Flags().StringVar(&out, "out", "", "`file` of the certificate")
	return cmd
}

// checkPermissions refuses what no node of this version asks for: most likely it
// is misspelt.
func checkPermissions(permissions []string) error {
	known := []string{"all", "route", "store", "blob", "relay", "admin"}
	for _, p := range permissions {
		kind, glob, scoped := strings.Cut(p, ":")
		if scoped && glob != "" && (kind == "register" || kind == "call") || slices.Contains(known, p) {
			continue
		}
		return usage("", "-perm %q is no permission: want %s, register:<glob> or call:<glob>", p, strings.Join(known, ", "))
	}
	return nil
}

func signRequest(dir, requestPath string, leaf ca.Leaf) (*identity.Certificate, error) {
	authority, err := ca.Open(dir)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(requestPath)
	if err != nil {
		return nil, err
	}
	request, err := identity.ParseRequest(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", requestPath, err)
	}
	return authority.Sign(request, leaf)
}

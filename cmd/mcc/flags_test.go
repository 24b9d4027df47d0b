package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// contractFlags are the flags of contract 1. One that goes missing here or
// there is a break with users.
var contractFlags = strings.Fields(`
	loglevel boot cert privkey listen http enable-cors data-folder keep-blobs
	cpu-profile goroutine-profile heap-profile profile-dir enable-monitoring
	dht-alpha version newcert trust-ca label config
	listen-tcp http-token-file http-cert http-key http-allow-host http-insecure
	mdns relay socks5 dns drain-timeout wait-for-service blob-quota
	require-fresh-revocation log-format small force`)

func TestFlagsAreThoseOfTheContract(t *testing.T) {
	var got []string
	newNodeFlags(&settings{}).VisitAll(func(f *pflag.Flag) { got = append(got, f.Name) })
	slices.Sort(got)
	if want := slices.Sorted(slices.Values(contractFlags)); !slices.Equal(got, want) {
		t.Errorf("flags %v, want %v", got, want)
	}
}

func TestFlagDefaults(t *testing.T) {
	want := map[string]string{
		"loglevel": "4", "listen": "127.0.0.1:9376", "http": "127.0.0.1:8080", "data-folder": "./.mcc/",
		"keep-blobs": "true", "cpu-profile": "0", "profile-dir": "traces", "enable-monitoring": "false",
		"dht-alpha": "3", "mdns": "false", "relay": "true", "drain-timeout": "10s", "wait-for-service": "0s",
		"blob-quota": "0", "require-fresh-revocation": "0s", "small": "false", "boot": "[]",
	}
	flags := newNodeFlags(&settings{})
	for name, value := range want {
		if got := flags.Lookup(name).DefValue; got != value {
			t.Errorf("-%s: default %q, want %q", name, got, value)
		}
	}
	var s settings
	defaults := newNodeFlags(&s)
	if flag, err := s.check(defaults); err != nil {
		t.Errorf("the default of -%s is refused: %v", flag, err)
	}
}

// sampleValues are two valid values of a flag, neither its default where it has
// more than two.
func sampleValues(f *pflag.Flag) [2]string {
	byName := map[string][2]string{
		"loglevel": {"5", "6"}, "listen": {"127.0.0.1:1", "127.0.0.1:2"}, "listen-tcp": {"off", "127.0.0.1:2"},
		"http": {"off", "unix:sock"}, "log-format": {"json", "console"}, "socks5": {"off", "127.0.0.1:3"},
		"dns": {"off", "127.0.0.1:3"}, "blob-quota": {"5GB", "100"}, "boot": {"127.0.0.1:5,127.0.0.1:6", "127.0.0.1:7"},
	}
	if v, ok := byName[f.Name]; ok {
		return v
	}
	switch f.Value.Type() {
	case "bool":
		return [2]string{"true", "false"}
	case "int":
		return [2]string{"7", "9"}
	case "duration":
		return [2]string{"7s", "1m30s"}
	}
	return [2]string{"alpha", "beta"}
}

// resolved is what the settings say after a command line, the environment and
// a file have been put in order.
func resolved(t *testing.T, args []string) (*pflag.FlagSet, error) {
	t.Helper()
	cmd := newRootCommand(streams{out: io.Discard, err: io.Discard})
	var flags *pflag.FlagSet
	s := &settings{}
	cmd.ResetFlags()
	addNodeFlags(cmd.Flags(), s)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		flags = cmd.Flags()
		_, err := resolveSettings(cmd, s)
		return err
	}
	cmd.SetArgs(normalizeArgs(cmd, args))
	err := cmd.Execute()
	return flags, err
}

func wantValue(t *testing.T, what, name, want string, args ...string) {
	t.Helper()
	flags, err := resolved(t, args)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	got := strings.Trim(flags.Lookup(name).Value.String(), "[]")
	if got != want {
		t.Errorf("%s: -%s is %q, want %q", what, name, got, want)
	}
}

// TestEveryFlagFromEverywhere goes up the ladder for each flag: file, the
// original's variable, MCC_ variable, command line; each step wins over those
// before it.
func TestEveryFlagFromEverywhere(t *testing.T) {
	newNodeFlags(&settings{}).VisitAll(func(f *pflag.Flag) {
		if f.Name == "config" || f.Name == "version" {
			return // no key, and tested as scripts
		}
		t.Run(f.Name, func(t *testing.T) {
			for _, name := range originalEnv {
				t.Setenv(name, "")
			}
			low, high := sampleValues(f)[0], sampleValues(f)[1]
			var base []string
			if key := configKey(f.Name); key != "" {
				base = []string{"-config", writeConfig(t, key, low)}
				wantValue(t, "file", f.Name, low, base...)
			}
			if original := originalEnv[f.Name]; original != "" {
				t.Setenv(original, high)
				wantValue(t, original, f.Name, high, base...)
			}
			t.Setenv(envName(f.Name), low)
			wantValue(t, envName(f.Name), f.Name, low, base...)
			for _, form := range [][]string{{"-" + f.Name, high}, {"--" + f.Name, high}, {"-" + f.Name + "=" + high}, {"--" + f.Name + "=" + high}} {
				wantValue(t, strings.Join(form, " "), f.Name, high, append(form, base...)...)
			}
			t.Setenv(envName(f.Name), high)
			wantValue(t, "flag before variable", f.Name, low, append([]string{"-" + f.Name, low}, base...)...)
			wantValue(t, "variable before file", f.Name, high, base...)
		})
	})
}

// configKey is a flag's name in the file, empty for those that are no key.
func configKey(flag string) string {
	switch {
	case slices.Contains(noConfigKey, flag):
		return ""
	case flag == "listen":
		return udpConfigKey
	}
	return flag
}

func writeConfig(t *testing.T, key, value string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mcc.yaml")
	if err := os.WriteFile(path, fmt.Appendf(nil, "%s: %s\n", key, value), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestForbiddenConfigKeys(t *testing.T) {
	for _, key := range []string{"config", "help", "version", "newcert", "force"} {
		if _, err := parseConfig([]byte(key + ": true\n")); err == nil || !strings.Contains(err.Error(), "unknown key") {
			t.Errorf("%s: got %v", key, err)
		}
	}
}

func TestUnknownVariablesAreNoMistake(t *testing.T) {
	t.Setenv("MCC_SOMETHING_ELSE", "x")
	t.Setenv("MCC_VERSION", "1.2.3") // a release number in a container file
	wantValue(t, "release number", "version", "false")
}

package main

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

func TestNormalizeArgs(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"one dash", "-listen a", "--listen=a"},
		{"two dashes", "--listen a", "--listen=a"},
		{"three are no flag", "---listen a", "---listen a"},
		{"joined", "-listen=a", "--listen=a"},
		{"value with equals", "-label a=b", "--label=a=b"},
		{"value that looks like a flag", "-label -x -mdns", "--label=-x --mdns"},
		{"negative value", "-loglevel -1", "--loglevel=-1"},
		{"boolean", "-mdns -small", "--mdns --small"},
		{"boolean and false", "-keep-blobs false -mdns true", "--keep-blobs=false --mdns=true"},
		{"boolean and another word", "-mdns status", "--mdns status"},
		{"boolean and a word", "-mdns frob", "--mdns=frob"},
		{"boolean and two words", "-mdns -small frob", "--mdns --small=frob"},
		{"boolean behind a word", "__complete -mdns sta", "__complete --mdns sta"},
		{"boolean and an argument", "register -persist web tcp://h:1", "register --persist web tcp://h:1"},
		{"boolean and one dash", "-mdns -", "--mdns -"},
		{"nothing follows", "-listen", "--listen"},
		{"short help", "-h", "--help"},
		{"unknown", "-frob x", "--frob x"},
		{"after two dashes", "-mdns -- -listen x", "--mdns -- -listen x"},
		{"subcommand", "register web tcp://h:1 -tags a,b -persist true", "register web tcp://h:1 --tags=a,b --persist=true"},
		{"nested", "ca sign dir req -perm all", "ca sign dir req --perm=all"},
		{"one dash alone", "-", "-"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := normalizeArgs(newRootCommand(streams{}), strings.Fields(tt.in))
			if diff := cmp.Diff(strings.Fields(tt.want), got); diff != "" {
				t.Errorf("normalizeArgs(%q): %s", tt.in, diff)
			}
		})
	}
}

// TestNormalizeArgsKeepsMeaning builds random command lines of which it knows
// the meaning, each flag written in one of its forms, and wants that meaning
// back; and that normalizing twice changes nothing.
func TestNormalizeArgsKeepsMeaning(t *testing.T) {
	const rounds = 2000
	rng := rand.New(rand.NewPCG(1, 2))
	var all []*pflag.Flag
	newNodeFlags(&settings{}).VisitAll(func(f *pflag.Flag) { all = append(all, f) })
	for round := range rounds {
		var args []string
		want := make(map[string]string)
		for _, i := range rng.Perm(len(all))[:1+rng.IntN(6)] {
			text, words := randomForm(rng, all[i])
			want[all[i].Name] = text
			args = append(args, words...)
		}
		cmd := newRootCommand(streams{})
		once := normalizeArgs(cmd, args)
		if twice := normalizeArgs(cmd, once); !slices.Equal(once, twice) {
			t.Fatalf("round %d: %q becomes %q, and that %q", round, args, once, twice)
		}
		if err := cmd.ParseFlags(once); err != nil {
			t.Fatalf("round %d: %q: %v", round, args, err)
		}
		got := make(map[string]string)
		cmd.Flags().Visit(func(f *pflag.Flag) { got[f.Name] = f.Value.String() })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("round %d: %q: %s", round, args, diff)
		}
	}
}

// randomForm writes a flag in one of the ways a user may, and says what its
// value then is.
func randomForm(rng *rand.Rand, f *pflag.Flag) (value string, words []string) {
	name := []string{"-", "--"}[rng.IntN(2)] + f.Name
	value = sampleValues(f)[rng.IntN(2)]
	shown := value
	if f.Value.Type() == "stringSlice" {
		shown = "[" + value + "]"
	}
	switch {
	case f.Value.Type() == "bool" && value == "true" && rng.IntN(3) == 0:
		return shown, []string{name}
	case rng.IntN(2) == 0:
		return shown, []string{name + "=" + value}
	}
	return shown, []string{name, value}
}

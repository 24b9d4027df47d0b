package mcc_test

import (
	"encoding/json"
	"errors"
	"flag"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/staex-mcc/mcc"

// arrows says which rooms a room may import. A room is a folder with all below
// it unless a longer name stands here too. Tests are free to use more.
var arrows = map[string][]string{
	"identity":                {},
	"transport":               {"identity"},
	"transport/udp":           {"identity", "transport", "transport/udp/sealed"},
	"transport/udp/sealed":    {"identity", "transport"},
	"transport/simnet":        {},
	"transport/transporttest": {"identity", "transport"},
	"store":                   {},
	"store/swarm":             {"identity", "store"},
	"dht":                     {"identity", "store"},
	"dht/discovery":           {"identity", "dht", "store"},
	"dht/sim":                 {"identity", "dht"},
	"dht/dhttest":             {"identity", "dht", "store"},
	"forward":                 {},
	"": {
		"identity", "transport", "transport/udp", "dht", "dht/discovery", "store", "store/swarm", "forward",
	},
	"rest":        {"", "identity", "forward"},
	"rest/client": {"", "identity", "forward", "rest"},
	"mcctest":     {"", "identity", "transport", "transport/udp", "transport/simnet"},
	"cmd":         {"", "rest", "rest/client", "identity", "forward", "dht/discovery"},
	"examples": {
		"", "rest", "rest/client", "identity", "forward", "store", "transport", "dht", "mcctest",
	},
}

// forbidden are standard packages that a room must do without.
var forbidden = map[string][]string{
	"identity":    {"net/http"},
	"transport":   {"net/http"},
	"dht":         {"net/http"},
	"store":       {"net/http", "net"},
	"store/swarm": {"net/http"},
	"":            {"net/http"},
}

// pureFiles of dht hold the protocol: what they must not import keeps them
// deterministic and simulable.
var (
	pureFiles   = []string{"engine*.go", "table*.go", "lookup*.go", "records*.go", "leases*.go", "key.go", "*wire.go", "event*.go"}
	pureForbids = []string{"net", "os", "sync", "context", "go.uber.org/zap", "crypto/rand"}
)

// goPackage is what go list tells about a package.
type goPackage struct {
	ImportPath string
	Imports    []string
	Module     *struct{ Path, Version string }
	Standard   bool
}

func goList(t *testing.T, args ...string) []goPackage {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports,Module,Standard"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// room is the longest name of arrows that holds the package.
func room(importPath string) string {
	folder := strings.TrimPrefix(strings.TrimPrefix(importPath, module), "/")
	for ; folder != "." && folder != ""; folder = path.Dir(folder) {
		if _, ok := arrows[folder]; ok {
			return folder
		}
	}
	return ""
}

func TestArrows(t *testing.T) {
	packages := goList(t, "./...")
	if len(packages) < 10 {
		t.Fatalf("only %d packages found", len(packages))
	}
	for _, p := range packages {
		from := room(p.ImportPath)
		for _, imported := range p.Imports {
			if slices.Contains(forbidden[from], imported) {
				t.Errorf("%s imports %s, which its room must do without", p.ImportPath, imported)
			}
			if imported != module && !strings.HasPrefix(imported, module+"/") {
				continue
			}
			if to := room(imported); to != from && !slices.Contains(arrows[from], to) {
				t.Errorf("wrong arrow: %s imports %s", p.ImportPath, imported)
			}
		}
	}
}

func TestPureFiles(t *testing.T) {
	checked := 0
	for _, pattern := range pureFiles {
		files, err := filepath.Glob(filepath.Join("dht", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			checked++
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, spec := range parsed.Imports {
				if imported, _ := strconv.Unquote(spec.Path.Value); slices.Contains(pureForbids, imported) {
					t.Errorf("%s imports %s: the protocol must stay pure", file, imported)
				}
			}
		}
	}
	if checked < 6 {
		t.Fatalf("only %d pure files found: the patterns have gone stale", checked)
	}
}

var update = flag.Bool("update", false, "rewrite golden files")

// TestDependencies compares the modules that the library and the program link
// with testdata/dependencies.txt, so that growth shows in review.
func TestDependencies(t *testing.T) {
	var got strings.Builder
	for _, part := range []struct{ title, pattern string }{{"library", "."}, {"program", "./cmd/mcc"}} {
		modules := make(map[string]bool)
		for _, p := range goList(t, "-deps", part.pattern) {
			if !p.Standard && p.Module != nil && p.Module.Path != module {
				modules[p.Module.Path+" "+p.Module.Version] = true
			}
		}
		got.WriteString("# " + part.title + "\n")
		for _, line := range slices.Sorted(maps.Keys(modules)) {
			got.WriteString(line + "\n")
		}
	}
	const golden = "testdata/dependencies.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("dependencies changed; if that is meant, run go test -run TestDependencies -update .\ngot:\n%s\nwant:\n%s", got.String(), want)
	}
}

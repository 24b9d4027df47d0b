package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/staex-mcc/mcc"
)

// contractFile is the example of contract 1.
const contractFile = `services:
  - name: service3                      # a DNS label
    address: "tcp://localhost:1111"
    tags: [blue]
    meta: {version: "1.2"}
    weight: 10
    health: {type: http, path: /healthz, interval: 10s, timeout: 2s}
    allow: ["label:web*", "id:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK", "consortium:acme"]
listen:
  - service: service
    address: "tcp://localhost:5000"
    policy: nearest
    from: ["id:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"]
`

func TestParseConfigTakesTheContractsExample(t *testing.T) {
	got, err := parseConfig([]byte(contractFile + "boot: [127.0.0.1:1, 127.0.0.1:2]\nloglevel: 5\nlisten-udp: 127.0.0.1:9\n"))
	if err != nil {
		t.Fatal(err)
	}
	const id = "id:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"
	services := []mcc.Service{{
		Name: "service3", Address: "tcp://localhost:1111", Tags: []string{"blue"},
		Meta: map[string]string{"version": "1.2"}, Weight: 10,
		Health: &mcc.HealthCheck{Type: "http", Path: "/healthz", Interval: 10 * time.Second, Timeout: 2 * time.Second},
		Allow:  []string{"label:web*", id, "consortium:acme"},
	}}
	listeners := []mcc.Listener{{Service: "service", Address: "tcp://localhost:5000", Policy: "nearest", From: []string{id}}}
	if diff := cmp.Diff(services, got.services); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(listeners, got.listeners); diff != "" {
		t.Error(diff)
	}
	flags := map[string][]string{"boot": {"127.0.0.1:1", "127.0.0.1:2"}, "loglevel": {"5"}, "listen": {"127.0.0.1:9"}}
	if diff := cmp.Diff(flags, got.byName()); diff != "" {
		t.Error(diff)
	}
}

func TestParseConfigTakesNothing(t *testing.T) {
	for _, text := range []string{"", "\n\n", "# only a comment\n", "---\n", "services:\n", "services: []\nlisten: []\n", "\xef\xbb\xbf# mark\n", "\xef\xbb\xbf# mark\r\nservices: []\r\n"} {
		c, err := parseConfig([]byte(text))
		if err != nil || len(c.services)+len(c.listeners)+len(c.flags) > 0 {
			t.Errorf("%q: %+v, %v", text, c, err)
		}
	}
}

// TestParseConfigErrors wants the line and the key of each mistake.
func TestParseConfigErrors(t *testing.T) {
	const one, port = "services:\n  - name: a\n    address: tcp://h:1\n", "listen:\n  - service: a\n    address: tcp://127.0.0.1:5\n"
	tests := []struct {
		name, text string
		want       []string
	}{
		{"unknown key", "\nfrob: 1\n", []string{"line 2", `unknown key "frob"`}},
		{"number as key", "1: 2\n", []string{"line 1", `"1"`}},
		{"list at top", "- a\n", []string{"line 1", "key: value"}},
		{"word at top", "hello\n", []string{"line 1", "key: value"}},
		{"twice", "loglevel: 1\nloglevel: 2\n", []string{"line 2", "loglevel"}},
		{"twice over documents", "loglevel: 1\n---\nloglevel: 2\n", []string{"line 3", "loglevel"}},
		{"wrong type", "# x\nloglevel: many\n", []string{"line 2", "loglevel", "many"}},
		{"out of range", "dht-alpha: 99\n", []string{"line 1", "dht-alpha", "1 to 64"}},
		{"list for one", "loglevel: [1]\n", []string{"line 1", "loglevel", "not a list"}},
		{"mapping for list", "boot: {a: 1}\n", []string{"line 1", "boot"}},
		{"nothing for one", "loglevel:\n", []string{"line 1", "loglevel"}},
		{"duration without unit", "drain-timeout: 5\n", []string{"line 1", "drain-timeout", "unit"}},
		{"address", "listen-udp: nonsense\n", []string{"line 1", "listen-udp", "nonsense"}},
		{"listen is no address", "listen: 127.0.0.1:1\n", []string{"line 1", "listen", "list"}},
		{"brackets", "boot: " + strings.Repeat("[", 400_000), []string{"nested more"}},
		{"marks", strings.Repeat("- ", 400_000), []string{"nested more"}},
		{"unclosed", "boot: [\n", []string{"line 1"}},
		{"tab", "\tboot: x\n", []string{"line 1"}},
		{"services no list", "services: 5\n", []string{"line 1", "services"}},
		{"entry no mapping", "services:\n  - 5\n", []string{"line 2", "services"}},
		{"entry empty", "services:\n  -\n", []string{"line 2", "services"}},
		{"unknown field", one + "    adress: x\n", []string{"line 4", "services", "adress"}},
		{"field twice", one + "    name: b\n", []string{"line 4", "name"}},
		{"field type", one + "    weight: many\n", []string{"line 4", "services", "weight"}},
		{"tags no list", one + "    tags: blue\n", []string{"line 4", "tags"}},
		{"meta no mapping", one + "    meta: [x]\n", []string{"line 4", "meta"}},
		{"nested unknown", one + "    health: {typ: tcp}\n", []string{"line 4", "health", "typ"}},
		{"nested value", one + "    health: {type: tcp, interval: soon}\n", []string{"line 4", "health", "soon"}},
		{"health type", one + "    health: {type: foo}\n", []string{"line 2", "health", "foo"}},
		{"weight", one + "    weight: -4\n", []string{"line 2", "weight -4"}},
		{"allow", one + "    allow: [bob]\n", []string{"line 2", "allow", "bob"}},
		{"service name", "services:\n  - name: Not A\n    address: tcp://h:1\n", []string{"line 2", "name"}},
		{"service address", "services:\n  - name: a\n    address: gopher://h\n", []string{"line 2", "address"}},
		{"service twice", one + "  - name: a\n    address: tcp://h:2\n", []string{"line 4", "name", `"a" stands twice`, "line 2"}},
		{"listener service", "listen:\n  - service: '-'\n    address: tcp://127.0.0.1:1\n", []string{"line 2", "service"}},
		{"listener address", "listen:\n  - service: a\n    address: nonsense\n", []string{"line 2", "address"}},
		{"listener twice", port + "  - service: b\n    address: tcp://127.0.0.1:5\n", []string{"line 4", "address", "stands twice", "line 2"}},
		{"policy", port + "    policy: best\n", []string{"line 2", "policy", "best"}},
		{"from", port + "    from: [x]\n", []string{"line 2", "from"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parseConfig([]byte(tt.text))
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q lacks %q", err, want)
				}
			}
			if strings.ContainsAny(err.Error(), "\n") || strings.Contains(err.Error(), "YAML.") {
				t.Errorf("error %q is not for users", err)
			}
		})
	}
}

func TestLoadConfigBounds(t *testing.T) {
	dir := t.TempDir()
	big := filepath.Join(dir, "big.yaml")
	if err := os.WriteFile(big, []byte(strings.Repeat("# much\n", 300_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "binary.yaml")
	noise := make([]byte, 5000)
	_, _ = noiseSource().Read(noise) // never fails
	if err := os.WriteFile(binary, noise, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{big, dir, binary, filepath.Join(dir, "missing.yaml"), "/dev/zero"} {
		_, err := loadConfig(path)
		if u := new(usageError); !errors.As(err, &u) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want a usage error that names it", path, err)
		}
	}
}

// FuzzParseConfig wants an answer to anything: settings that a second reading
// gives again, or an error of one line.
func FuzzParseConfig(f *testing.F) {
	seeds := []string{
		contractFile, "", "# x\n", "boot: [a:1, 'b:2']\nloglevel: 0x3\nlabel: ~\n", "services: &a []\nlisten: *a\n",
		"{services: [{name: a, address: 'tcp://h:1', meta: {a: b}}]}", "--- \n...\n---\n", "? [a]\n: b\n",
		"label: |\n  x\n", "<<: {a: b}\n", "a: !!binary aGk=\n", "boot: [[[[[[[[x]]]]]]]]\n", "\x00\x01", "services:\n- <<: *x\n  name: a\n",
		"services:\n  - name: a\n    health: {interval: 1ns, type: tcp}\n    weight: 99999999999999999999\n",
	}
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	if c, err := parseConfig([]byte(seeds[0])); err != nil || len(c.services) == 0 {
		f.Fatalf("the first seed is no valid file: %v", err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseConfig(data)
		if err != nil {
			if text := oneLine(err.Error()); text == "" || strings.ContainsAny(text, "\n\r") {
				t.Fatalf("error %q", text)
			}
			return
		}
		again, err := parseConfig(data)
		if err != nil {
			t.Fatalf("second reading: %v", err)
		}
		if diff := cmp.Diff(c.byName(), again.byName()); diff != "" {
			t.Fatal(diff)
		}
		for _, s := range c.services {
			if err := s.Validate(); err != nil {
				t.Fatal(err)
			}
		}
		for _, l := range c.listeners {
			if err := l.Validate(); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.apply(newNodeFlags(&settings{})); err != nil {
			t.Fatal(err)
		}
	})
}

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/spf13/pflag"

	"github.com/staex-mcc/mcc"
)

// maxConfigSize bounds a configuration file in bytes.
const maxConfigSize = 1 << 20

// config is a parsed configuration file.
type config struct {
	services  []mcc.Service
	listeners []mcc.Listener
	flags     []flagSetting

	serviceLines, listenerLines map[string]int // where each name and address stands
}

// flagSetting is a flag that stands in the file.
type flagSetting struct {
	name   string
	values []string
}

// loadConfig reads and checks a file. Every error names file, line and key.
func loadConfig(path string) (*config, error) {
	data, err := readBounded(path, maxConfigSize)
	if err != nil {
		return nil, usage("", "config file: %w", err)
	}
	c, err := parseConfig(data)
	if err != nil {
		return nil, usage("mcc config check FILE validates a file", "config file %s: %w", path, err)
	}
	return c, nil
}

// readBounded reads a file, pipes included, of at most limit bytes.
func readBounded(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s: over %d bytes", path, limit)
	}
	return data, nil
}

// byteOrderMark is what some editors begin a file with.
var byteOrderMark = []byte("\xef\xbb\xbf")

func parseConfig(data []byte) (*config, error) {
	file, err := parseYAML(bytes.TrimPrefix(data, byteOrderMark))
	if err != nil {
		return nil, yamlError(err)
	}
	c := &config{serviceLines: make(map[string]int), listenerLines: make(map[string]int)}
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		entries, err := mapping(doc.Body)
		if err != nil {
			return nil, err
		}
		for _, entry := range entries {
			if err := c.take(entry); err != nil {
				return nil, err
			}
		}
	}
	return c, nil
}

// take reads one top-level entry.
func (c *config) take(entry *ast.MappingValueNode) error {
	key := entry.Key.String()
	switch key {
	case "services":
		return eachItem(entry.Value, key, c.addService)
	case "listen":
		return eachItem(entry.Value, key, c.addListener)
	}
	if err := c.addFlag(key, entry.Value); err != nil {
		return fmt.Errorf("line %d: %w", lineOf(entry.Key), err)
	}
	return nil
}

// addFlag takes a flag's value, having tried it on a set of its own.
func (c *config) addFlag(key string, value ast.Node) error {
	name := key
	if key == udpConfigKey {
		name = "listen"
	}
	var probed settings
	probe := newNodeFlags(&probed)
	if probe.Lookup(name) == nil || slices.Contains(noConfigKey, key) {
		return fmt.Errorf("unknown key %q", key)
	}
	if slices.ContainsFunc(c.flags, func(f flagSetting) bool { return f.name == name }) {
		return fmt.Errorf("key %q stands twice", key)
	}
	values, err := flagValues(probe, name, value)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	if err := setFlag(probe, name, values); err != nil {
		return fmt.Errorf("%s: %s", key, cleanFlagError(err))
	}
	if _, err := probed.check(probe); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	c.flags = append(c.flags, flagSetting{name: name, values: values})
	return nil
}

// flagValues reads what stands for a flag. Several values in one text are
// separated by commas, as on the command line.
func flagValues(flags *pflag.FlagSet, name string, value ast.Node) ([]string, error) {
	values, err := scalars(value)
	_, isList := value.(*ast.SequenceNode)
	_, takesList := flags.Lookup(name).Value.(pflag.SliceValue)
	switch {
	case err != nil:
		return nil, err
	case isList && !takesList:
		return nil, errors.New("want one value, not a list")
	case takesList && !isList:
		return strings.Split(values[0], ","), nil
	}
	return values, nil
}

// byName are the settings, for comparing two files.
func (c *config) byName() map[string][]string {
	all := make(map[string][]string)
	for _, f := range c.flags {
		all[f.name] = f.values
	}
	return all
}

// apply sets the flags that neither the command line nor the environment set.
func (c *config) apply(flags *pflag.FlagSet) error {
	for _, s := range c.flags {
		if flags.Changed(s.name) {
			continue
		}
		if err := setFlag(flags, s.name, s.values); err != nil {
			return usage("", "config file: %s: %s", s.name, cleanFlagError(err))
		}
	}
	return nil
}

// setFlag sets a flag to one value, or to a list if it takes one.
func setFlag(flags *pflag.FlagSet, name string, values []string) error {
	list, ok := flags.Lookup(name).Value.(pflag.SliceValue)
	if !ok {
		return flags.Set(name, values[0])
	}
	if err := list.Replace(values); err != nil {
		return err
	}
	flags.Lookup(name).Changed = true
	return nil
}

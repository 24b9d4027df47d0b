package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/staex-mcc/mcc"
	"github.com/staex-mcc/mcc/dht/discovery"
	"github.com/staex-mcc/mcc/forward"
)

// serviceYAML is an entry under services.
type serviceYAML struct {
	Name    string            `yaml:"name"`
	Address string            `yaml:"address"`
	Tags    []string          `yaml:"tags"`
	Meta    map[string]string `yaml:"meta"`
	Weight  int               `yaml:"weight"`
	Health  *healthYAML       `yaml:"health"`
	Allow   []string          `yaml:"allow"`
}

type healthYAML struct {
	Type     string        `yaml:"type"`
	Path     string        `yaml:"path"`
	Interval time.Duration `yaml:"interval"`
	Timeout  time.Duration `yaml:"timeout"`
}

// listenYAML is an entry under listen.
type listenYAML struct {
	Service string   `yaml:"service"`
	Address string   `yaml:"address"`
	Policy  string   `yaml:"policy"`
	From    []string `yaml:"from"`
}

// eachItem calls add for every entry of a list.
func eachItem(value ast.Node, key string, add func(item ast.Node, line int) error) error {
	if _, null := value.(*ast.NullNode); null {
		return nil
	}
	list, ok := value.(*ast.SequenceNode)
	if !ok {
		return fmt.Errorf("line %d: %s: want a list", lineOf(value), key)
	}
	for _, item := range list.Values {
		line := lineOf(item)
		if fields, err := mapping(item); err == nil && len(fields) > 0 {
			line = lineOf(fields[0].Key)
		}
		if err := add(item, line); err != nil {
			return err
		}
	}
	return nil
}

func (c *config) addService(item ast.Node, line int) error {
	var y serviceYAML
	if err := decodeItem(item, "services", &y, func() any { return new(serviceYAML) }); err != nil {
		return err
	}
	if err := discovery.ValidateName(y.Name); err != nil {
		return fmt.Errorf("line %d: services: name: %w", line, err)
	}
	if first, twice := c.serviceLines[y.Name]; twice {
		return fmt.Errorf("line %d: services: name: %q stands twice, first in line %d", line, y.Name, first)
	}
	c.serviceLines[y.Name] = line
	if _, err := forward.ParseTarget(y.Address); err != nil {
		return fmt.Errorf("line %d: services: %s: address: %w", line, y.Name, err)
	}
	s := mcc.Service{
		Name: y.Name, Address: y.Address, Tags: y.Tags, Meta: y.Meta, Weight: y.Weight, Allow: y.Allow,
	}
	if h := y.Health; h != nil {
		s.Health = &mcc.HealthCheck{Type: h.Type, Path: h.Path, Interval: h.Interval, Timeout: h.Timeout}
	}
	if err := s.Validate(); err != nil {
		return fmt.Errorf("line %d: services: %w", line, err)
	}
	c.services = append(c.services, s)
	return nil
}

func (c *config) addListener(item ast.Node, line int) error {
	var y listenYAML
	if err := decodeItem(item, "listen", &y, func() any { return new(listenYAML) }); err != nil {
		return err
	}
	if _, _, err := discovery.ParseName(y.Service); err != nil {
		return fmt.Errorf("line %d: listen: service: %w", line, err)
	}
	if _, err := forward.ParseListen(y.Address); err != nil {
		return fmt.Errorf("line %d: listen: %s: address: %w", line, y.Service, err)
	}
	if first, twice := c.listenerLines[y.Address]; twice && !strings.HasSuffix(y.Address, ":0") {
		return fmt.Errorf("line %d: listen: address: %q stands twice, first in line %d", line, y.Address, first)
	}
	c.listenerLines[y.Address] = line
	l := mcc.Listener{Service: y.Service, Address: y.Address, Policy: y.Policy, From: y.From}
	if err := l.Validate(); err != nil {
		return fmt.Errorf("line %d: listen: %w", line, err)
	}
	c.listeners = append(c.listeners, l)
	return nil
}

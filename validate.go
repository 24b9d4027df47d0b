package mcc

import (
	"cmp"
	"fmt"
	"net"
	"strings"

	"github.com/staex-mcc/mcc/dht/discovery"
	"github.com/staex-mcc/mcc/forward"
	"github.com/staex-mcc/mcc/identity"
)

// Validate reports what New would refuse about o by its form alone, as an
// ErrInvalid that names the field. It opens nothing and asks nobody.
func (o Options) Validate() error {
	if _, err := parseSeeds(o.Boot); err != nil {
		return err
	}
	if o.Transport == nil {
		if err := checkListen(o.Listen); err != nil {
			return err
		}
	}
	if o.Label != "" {
		if _, err := identity.NormalizeLabel(o.Label); err != nil {
			return fmt.Errorf("%w: %w", ErrInvalid, err)
		}
	}
	if o.Alpha < 0 || o.Alpha > maxAlpha {
		return fmt.Errorf("%w: Alpha %d is not from 1 to %d", ErrInvalid, o.Alpha, maxAlpha)
	}
	if o.WaitForService < 0 || o.DrainTimeout < 0 {
		return fmt.Errorf("%w: a wait is negative", ErrInvalid)
	}
	return nil
}

// maxAlpha is the largest Options.Alpha.
const maxAlpha = 64

// checkListen refuses what is no host:port before anybody tries to bind it.
func checkListen(listen string) error {
	if listen == "" {
		return nil
	}
	_, port, err := net.SplitHostPort(listen)
	if err == nil {
		_, err = net.LookupPort("udp", port)
	}
	if err != nil {
		return fmt.Errorf("%w: -listen %q (Options.Listen): want host:port", ErrInvalid, listen)
	}
	return nil
}

// Validate reports what Register would refuse about s whatever the node, as an
// ErrInvalid that names the field.
func (s Service) Validate() error {
	if err := s.validateEntry(); err != nil {
		return err
	}
	if _, err := forward.ParseTarget(s.Address); err != nil {
		return fmt.Errorf("%w: service %q: address: %w", ErrInvalid, s.Name, err)
	}
	return nil
}

// validateEntry checks everything but the address, which a Go listener lacks.
func (s Service) validateEntry() error {
	if err := discovery.ValidateName(s.Name); err != nil {
		return fmt.Errorf("%w: service name: %w", ErrInvalid, err)
	}
	if err := s.entry().Validate(); err != nil {
		return fmt.Errorf("%w: service %q: %w", ErrInvalid, s.Name, err)
	}
	for _, rule := range s.Allow {
		if err := validateAllow(rule); err != nil {
			return fmt.Errorf("service %q: %w", s.Name, err)
		}
	}
	if s.Health == nil {
		return nil
	}
	if err := s.Health.check().Validate(); err != nil {
		return fmt.Errorf("%w: service %q: %w", ErrInvalid, s.Name, err)
	}
	return nil
}

func (h *HealthCheck) check() forward.Check {
	return forward.Check{Type: h.Type, Path: h.Path, Interval: h.Interval, Timeout: h.Timeout}
}

// entry is what the directory holds of a service.
func (s Service) entry() discovery.Entry {
	return discovery.Entry{
		Name: s.Name, Tags: s.Tags, Meta: s.Meta, Weight: cmp.Or(s.Weight, 1), Unhealthy: s.Health != nil,
	}
}

// CheckServiceName returns ErrInvalid unless name can be looked up: "files",
// "files.acme", or either with ".mcc" behind it.
func CheckServiceName(name string) error {
	_, _, err := parseServiceName(name)
	return err
}

// parseServiceName splits off the consortium; none is empty.
func parseServiceName(service string) (name, consortium string, err error) {
	name, consortium, err = discovery.ParseName(strings.TrimSuffix(service, ".mcc"))
	if err != nil {
		return "", "", fmt.Errorf("%w: service %q: %w", ErrInvalid, service, err)
	}
	return name, consortium, nil
}

// validateAllow wants label:…, id:… or consortium:….
func validateAllow(rule string) error {
	kind, pattern, ok := strings.Cut(rule, ":")
	if !ok || pattern == "" || kind != "label" && kind != "id" && kind != "consortium" {
		return fmt.Errorf("%w: allow %q: want label:…, id:… or consortium:…", ErrInvalid, rule)
	}
	if kind == "id" && !strings.Contains(pattern, "*") {
		if _, err := identity.ParseID(pattern); err != nil {
			return fmt.Errorf("%w: allow: %w", ErrInvalid, err)
		}
	}
	return nil
}

// Validate reports what AddListener would refuse about l whatever the node, as
// an ErrInvalid that names the field.
func (l Listener) Validate() error {
	if err := CheckServiceName(l.Service); err != nil {
		return fmt.Errorf("listener: %w", err)
	}
	if _, err := forward.ParseListen(l.Address); err != nil {
		return fmt.Errorf("%w: listener for %s: address: %w", ErrInvalid, l.Service, err)
	}
	if err := forward.CheckPolicy(l.Policy); err != nil {
		return fmt.Errorf("%w: listener for %s: %w", ErrInvalid, l.Service, err)
	}
	for _, from := range l.From {
		if _, err := parseFrom(from); err != nil {
			return fmt.Errorf("listener for %s: %w", l.Service, err)
		}
	}
	return nil
}

// parseFrom reads id:z6Mk….
func parseFrom(from string) (identity.ID, error) {
	text, ok := strings.CutPrefix(from, "id:")
	if !ok {
		return identity.ID{}, fmt.Errorf("%w: from %q: want id:z6Mk…", ErrInvalid, from)
	}
	id, err := identity.ParseID(text)
	if err != nil {
		return identity.ID{}, fmt.Errorf("%w: from: %w", ErrInvalid, err)
	}
	return id, nil
}

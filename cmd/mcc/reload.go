package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"go.uber.org/zap"

	"github.com/staex-mcc/mcc"
)

// declared is what the configuration file brought about: it is what a reload
// compares with. What REST or a program added is not touched.
type declared struct {
	services  map[string]mcc.Service
	listeners map[string]mcc.Listener // by declared address; ID is the running one's
}

// apply makes services and listeners as the file says, touching only what
// changed. Every failure is reported; the rest is applied.
func (d *declared) apply(ctx context.Context, node *mcc.Node, file *config) error {
	return errors.Join(d.applyServices(ctx, node, file.services), d.applyListeners(ctx, node, file.listeners))
}

func (d *declared) applyServices(ctx context.Context, node *mcc.Node, want []mcc.Service) error {
	var errs []error
	next := make(map[string]mcc.Service)
	for _, s := range want {
		next[s.Name] = s
	}
	for name, have := range d.services {
		if s, ok := next[name]; ok && reflect.DeepEqual(s, have) {
			continue
		}
		if err := node.Unregister(ctx, name); err != nil && !errors.Is(err, mcc.ErrNotFound) {
			errs = append(errs, err)
		}
		delete(d.services, name)
	}
	if d.services == nil {
		d.services = make(map[string]mcc.Service)
	}
	for _, s := range want {
		if _, running := d.services[s.Name]; running {
			continue
		}
		if err := takeName(ctx, node, s); err != nil {
			errs = append(errs, err)
			continue
		}
		d.services[s.Name] = s
	}
	return errors.Join(errs...)
}

// takeName registers a service of the file. The file wins over what REST
// registered under the name, or a restart restored.
func takeName(ctx context.Context, node *mcc.Node, s mcc.Service) error {
	err := node.Register(ctx, s)
	if !errors.Is(err, mcc.ErrExists) {
		return err
	}
	if err := node.Unregister(ctx, s.Name); err != nil {
		return err
	}
	return node.Register(ctx, s)
}

func (d *declared) applyListeners(ctx context.Context, node *mcc.Node, want []mcc.Listener) error {
	var errs []error
	next := make(map[string]mcc.Listener)
	for i, l := range want {
		next[listenerKey(i, l)] = l
	}
	for key, have := range d.listeners {
		if l, ok := next[key]; ok && sameListener(l, have) {
			continue
		}
		if err := node.RemoveListener(ctx, have.ID); err != nil && !errors.Is(err, mcc.ErrNotFound) {
			errs = append(errs, err)
		}
		delete(d.listeners, key)
	}
	if d.listeners == nil {
		d.listeners = make(map[string]mcc.Listener)
	}
	for i, l := range want {
		key := listenerKey(i, l)
		if _, running := d.listeners[key]; running {
			continue
		}
		added, err := node.AddListener(ctx, l)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		l.ID = added.ID
		d.listeners[key] = l
	}
	return errors.Join(errs...)
}

// listenerKey tells listeners apart: by address, and where the port is any, by
// service and place.
func listenerKey(i int, l mcc.Listener) string {
	if len(l.Address) > 2 && l.Address[len(l.Address)-2:] == ":0" {
		return fmt.Sprintf("%s %s %d", l.Address, l.Service, i)
	}
	return l.Address
}

func sameListener(a, b mcc.Listener) bool {
	a.ID, b.ID = "", ""
	return reflect.DeepEqual(a, b)
}

// reload reads the file again on SIGHUP: a bad file changes nothing.
func (d *daemon) reload(ctx context.Context) {
	if d.settings.configFile == "" {
		d.log.Warn("nothing to reload: the node runs without -config")
		return
	}
	file, err := loadConfig(d.settings.configFile)
	if err != nil {
		d.log.Error("reload refused: nothing was changed", zap.NamedError("err", err))
		return
	}
	d.reportFlags(file)
	if err := d.declared.apply(ctx, d.node, file); err != nil {
		d.log.Error("reloaded in part", zap.NamedError("err", err))
		return
	}
	d.log.Info("configuration reloaded", zap.Int("services", len(file.services)), zap.Int("listeners", len(file.listeners)))
}

// reportFlags names settings of the file that are not those of the last time:
// they need a restart.
func (d *daemon) reportFlags(file *config) {
	before, now := d.file.byName(), file.byName()
	for _, name := range slices.Sorted(maps.Keys(now)) {
		if !slices.Equal(before[name], now[name]) {
			d.log.Warn("setting changes with the next start only", zap.String("key", name))
		}
		delete(before, name)
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		d.log.Warn("setting is gone with the next start only", zap.String("key", name))
	}
	d.file = file
}

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"sync"
	"time"

	"go.uber.org/zap"
)

// profiles writes the asked-for profiles into files until ctx ends; the
// function it returns waits for that.
func profiles(ctx context.Context, s *settings, log *zap.Logger) (wait func(), err error) {
	var wg sync.WaitGroup
	if s.cpuProfile <= 0 && s.goroutineProfile <= 0 && s.heapProfile <= 0 {
		return wg.Wait, nil
	}
	if err := os.MkdirAll(s.profileDir, 0o755); err != nil {
		return nil, usage("", "-profile-dir: %w", err)
	}
	p := &profiler{dir: s.profileDir, log: log.Named("profile")}
	start := func(seconds int, run func(context.Context, time.Duration)) {
		if seconds > 0 {
			wg.Go(func() { run(ctx, time.Duration(seconds)*time.Second) })
		}
	}
	start(s.cpuProfile, p.cpu)
	start(s.goroutineProfile, func(ctx context.Context, d time.Duration) { p.snapshots(ctx, d, "goroutine") })
	start(s.heapProfile, func(ctx context.Context, d time.Duration) { p.snapshots(ctx, d, "heap") })
	return wg.Wait, nil
}

type profiler struct {
	dir string
	log *zap.Logger
}

// cpu records one profile after the other, each as long as the interval.
func (p *profiler) cpu(ctx context.Context, every time.Duration) {
	for ctx.Err() == nil {
		var data bytes.Buffer
		if err := pprof.StartCPUProfile(&data); err != nil {
			p.log.Error("cpu profile not started", zap.NamedError("err", err))
			return
		}
		pause(ctx, every)
		pprof.StopCPUProfile()
		p.write("cpu", data.Bytes())
	}
}

// snapshots writes a profile of the present state at every interval.
func (p *profiler) snapshots(ctx context.Context, every time.Duration, kind string) {
	for pause(ctx, every) {
		var data bytes.Buffer
		if err := pprof.Lookup(kind).WriteTo(&data, 0); err != nil {
			p.log.Error("profile not taken", zap.String("kind", kind), zap.NamedError("err", err))
			continue
		}
		p.write(kind, data.Bytes())
	}
}

// write names the file by kind and time: heap-20060102T150405.000.pprof.
func (p *profiler) write(kind string, data []byte) {
	name := fmt.Sprintf("%s-%s.pprof", kind, time.Now().UTC().Format("20060102T150405.000"))
	if err := os.WriteFile(filepath.Join(p.dir, name), data, 0o600); err != nil {
		p.log.Error("profile not written", zap.NamedError("err", err))
	}
}

// pause waits for d and reports whether ctx is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/pflag"
	"go.uber.org/zap"

	"github.com/staex-mcc/mcc"
	"github.com/staex-mcc/mcc/identity"
)

// runNode is the daemon: it runs until a signal ends it.
func runNode(ctx context.Context, flags *pflag.FlagSet, s *settings, file *config, io streams) error {
	log, level := newLogger(s, io.err)
	if err := s.checkHTTP(); err != nil {
		return err
	}
	opts, err := s.options(log)
	if err != nil {
		return err
	}
	warnWithoutEffect(flags, log)
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	signal.Ignore(syscall.SIGPIPE) // a log reader that goes away does not end the node

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	waitProfiles, err := profiles(ctx, s, log)
	if err != nil {
		return err
	}
	defer waitProfiles()
	defer cancel()

	d := &daemon{settings: s, log: log, level: level, file: file, declared: &declared{}}
	if err := d.start(ctx, opts, file); err != nil {
		return err
	}
	d.announce(io)
	return d.supervise(ctx, signals)
}

// daemon is a running node with its REST server and what the configuration
// file declared.
type daemon struct {
	settings *settings
	log      *zap.Logger
	level    *zap.AtomicLevel

	file     *config // as read last
	node     *mcc.Node
	http     *httpServer
	declared *declared
}

// start opens the REST address before the node, so that a taken port leaves no
// node behind.
func (d *daemon) start(ctx context.Context, opts mcc.Options, file *config) (err error) {
	if d.http, err = openHTTP(d.settings); err != nil {
		return err
	}
	if d.node, err = mcc.New(opts); err != nil {
		return errors.Join(startError(err), d.http.close())
	}
	if err = d.declared.apply(ctx, d.node, file); err == nil {
		err = d.http.serve(d.node, d.settings, d.level, d.log)
	}
	if err != nil {
		return errors.Join(startError(err), d.stop())
	}
	return nil
}

// announce prints what scripts and people want to know, one fact a line.
func (d *daemon) announce(io streams) {
	info := d.node.Info()
	fmt.Fprintf(io.out, "id %s\nlabel %s\nudp %s\n", info.ID, info.Label, info.Addresses[0])
	if url := d.http.url(); url != "" {
		fmt.Fprintf(io.out, "http %s\n", url)
	}
}

// supervise obeys signals until one ends the node. A second ending signal does
// not wait for open streams.
func (d *daemon) supervise(ctx context.Context, signals <-chan os.Signal) error {
	for {
		select {
		case sig := <-signals:
			if sig == syscall.SIGHUP {
				d.reload(ctx)
				continue
			}
			d.log.Info("stopping", zap.String("signal", sig.String()))
			return d.stopOrQuit(sig, signals)
		case err := <-d.http.failed:
			return errors.Join(err, d.stop())
		}
	}
}

// oneStop is how long the same ending signal counts as the first one: whoever
// ends a process and its group sends two.
const oneStop = 500 * time.Millisecond

func (d *daemon) stopOrQuit(first os.Signal, signals <-chan os.Signal) error {
	began := time.Now()
	stopped := make(chan error, 1)
	go func() { stopped <- d.stop() }()
	for {
		select {
		case err := <-stopped:
			return err
		case sig := <-signals:
			if sig != syscall.SIGHUP && (sig != first || time.Since(began) > oneStop) {
				return errors.New("stopped at once by a second signal")
			}
		}
	}
}

// stop withdraws the services at once and lets what streams, by REST or by a
// local port, end in one and the same time. Then it closes the node.
func (d *daemon) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), d.settings.drainTimeout)
	defer cancel()
	drained := make(chan struct{})
	go func() { d.node.Drain(ctx); close(drained) }()
	httpErr := d.http.shutDown(ctx)
	<-drained
	return errors.Join(httpErr, d.node.Close())
}

// warnWithoutEffect names flags that were set although this version has
// nothing behind them.
func warnWithoutEffect(flags *pflag.FlagSet, log *zap.Logger) {
	for _, name := range withoutEffect {
		if f := flags.Lookup(name); f.Changed && f.Value.String() != f.DefValue && f.Value.String() != "off" {
			log.Warn("flag has no effect in this version", zap.String("flag", "-"+name))
		}
	}
}

// options turns the flags into those of the library.
func (s *settings) options(log *zap.Logger) (mcc.Options, error) {
	opts := mcc.Options{
		Listen: s.listen, ListenTCP: s.listenTCP, DataFolder: s.dataFolder, Label: s.label, Boot: s.boot,
		Alpha: s.alpha, ForgetBlobs: !s.keepBlobs, WaitForService: s.waitForService, DrainTimeout: s.drainTimeout, Logger: log,
	}
	if err := s.loadTrust(&opts); err != nil {
		return mcc.Options{}, err
	}
	return opts, s.loadIdentity(&opts, log)
}

func (s *settings) loadTrust(opts *mcc.Options) error {
	if s.trustCA == "" {
		return nil
	}
	if s.cert == "" || s.cert == "random" {
		return usage("have the CA sign the request of mcc -newcert, then pass -cert and -privkey",
			"-trust-ca needs -cert: the CA must have certified this node")
	}
	roots, err := identity.LoadRoots(s.trustCA)
	if err != nil {
		return usage("", "-trust-ca: %w", err)
	}
	opts.TrustCAs = roots
	return nil
}

func (s *settings) loadIdentity(opts *mcc.Options, log *zap.Logger) error {
	switch {
	case s.cert == "" && s.privKey == "":
		return nil // kept in the data folder
	case s.cert == "":
		return usage("pass both, or neither", "-privkey needs -cert")
	case s.cert == "random" && s.privKey != "":
		return usage("", "-cert random makes its own key: leave -privkey out")
	case s.cert == "random":
		fresh, err := identity.NewRandom(s.label, time.Now())
		if err != nil {
			return usage("", "-cert random: %w", err)
		}
		opts.Identity = fresh
		return nil
	case s.privKey == "":
		return usage("pass the key's file with -privkey", "-cert needs -privkey")
	}
	own, err := identity.Load(s.cert, s.privKey)
	if err != nil {
		return usage("", "%w", err)
	}
	if s.label != "" {
		log.Warn("-label is ignored: the label stands in the certificate", zap.String("label", own.Certificate().Label()))
	}
	opts.Identity = own
	return nil
}

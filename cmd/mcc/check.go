package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"github.com/staex-mcc/mcc"
	"github.com/staex-mcc/mcc/identity"
)

// check finds values that no node can run with, one flag at a time, before
// anything is opened or written. The error does not name the flag.
func (s *settings) check(flags *pflag.FlagSet) (flag string, err error) {
	checks := []struct {
		flag string
		err  error
	}{
		{"loglevel", inRange(s.logLevel, 0, len(logLevels)-1)},
		{"log-format", oneOf(s.logFormat, "", "console", "json")},
		{"dht-alpha", inRange(s.alpha, 1, 64)},
		{"label", s.checkLabel(flags)},
		{"listen", hostPort(s.listen)},
		{"boot", mcc.Options{Boot: s.boot}.Validate()},
		{"listen-tcp", hostPort(s.listenTCP, "", "off")},
		{"http", httpAddress(s.http)},
		{"socks5", hostPort(s.socks5, "", "off")},
		{"dns", hostPort(s.dns, "", "off")},
		{"drain-timeout", notNegative(s.drainTimeout)},
		{"wait-for-service", notNegative(s.waitForService)},
		{"require-fresh-revocation", notNegative(s.freshRevocation)},
		{"blob-quota", size(s.blobQuota)},
		{"cpu-profile", notNegative(s.cpuProfile)},
		{"goroutine-profile", notNegative(s.goroutineProfile)},
		{"heap-profile", notNegative(s.heapProfile)},
	}
	for _, c := range checks {
		if c.err != nil {
			return c.flag, c.err
		}
	}
	return "", nil
}

// checkLabel refuses one that was asked for and has nothing left to show.
func (s *settings) checkLabel(flags *pflag.FlagSet) error {
	if !flags.Changed("label") {
		return nil
	}
	_, err := identity.NormalizeLabel(s.label)
	return err
}

func inRange(n, least, most int) error {
	if n < least || n > most {
		return fmt.Errorf("%d: want %d to %d", n, least, most)
	}
	return nil
}

func notNegative[T int | time.Duration](n T) error {
	if n < 0 {
		return fmt.Errorf("%v: want 0 or more", n)
	}
	return nil
}

func oneOf(text string, allowed ...string) error {
	if slices.Contains(allowed, text) {
		return nil
	}
	return fmt.Errorf("%q: want %s", text, choice(allowed))
}

// choice lists words but the empty one.
func choice(words []string) string {
	words = slices.DeleteFunc(slices.Clone(words), func(w string) bool { return w == "" })
	return strings.Join(words, " or ")
}

// hostPort checks the form only: whether the host exists, listening shows.
func hostPort(addr string, words ...string) error {
	if slices.Contains(words, addr) {
		return nil
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q: want %s", addr, choice(append([]string{"host:port"}, words...)))
	}
	if _, err := net.LookupPort("tcp", port); err != nil || port == "" {
		return fmt.Errorf("%q: %q is no port", addr, port)
	}
	return nil
}

func httpAddress(addr string) error {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok && path != "" {
		return nil
	}
	if err := hostPort(addr, "off"); err != nil {
		return fmt.Errorf("%w, or unix:path", err)
	}
	return nil
}

// sizeForm is a number of bytes, or with a unit: 512M, 10GB, 1.5TiB.
var sizeForm = regexp.MustCompile(`^[0-9]{1,15}(\.[0-9]{1,3})?([kKMGT]i?)?B?$`)

func size(text string) error {
	if !sizeForm.MatchString(text) {
		return fmt.Errorf("%q: want a number of bytes, as 1000000, 500M or 10GiB", text)
	}
	return nil
}

// mistakes are what makes the system refuse an address or a path that the user
// chose.
var mistakes = []error{
	fs.ErrPermission, fs.ErrNotExist,
	syscall.ENOTDIR, syscall.EISDIR, syscall.EROFS, syscall.EADDRNOTAVAIL, syscall.EAFNOSUPPORT,
	mcc.ErrDenied,
}

// startError tells a start that the user can mend from one that failed by
// itself.
func startError(err error) error {
	if _, unknown := errors.AsType[*net.DNSError](err); unknown {
		return usage("", "%w", err)
	}
	for _, m := range mistakes {
		if errors.Is(err, m) {
			return usage("", "%w", err)
		}
	}
	return err
}

package rest

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	mcc "github.com/staex-mcc/mcc"
)

// Limits of the server.
const (
	// headerTimeout bounds how long a request's header may take.
	headerTimeout = 10 * time.Second
	// idleTimeout is above the 60 s that nginx keeps its own side open.
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 64 << 10
)

// NewServer returns a server for h with limits that fit: bodies and answers of
// forwarded requests may last, headers and idle connections may not. The caller
// serves and shuts it down; close h first, or Shutdown waits for the watches.
func NewServer(h *Handler) *http.Server {
	s := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		// OPTIONS * may be for a service.
		DisableGeneralOptionsHandler: true,
	}
	// It fails only for levels that zap does not have.
	s.ErrorLog, _ = zap.NewStdLogAt(h.log, zapcore.WarnLevel)
	return s
}

// wsaeaddrinuse is EADDRINUSE as Windows reports it (winsock2.h).
const wsaeaddrinuse = syscall.Errno(10048)

// Listen listens on "host:port" or "unix:path". The socket file gets mode 0600,
// and one that a dead process left is replaced. An address that is taken is
// mcc.ErrInUse, a malformed one mcc.ErrInvalid.
func Listen(addr string) (net.Listener, error) {
	path, isUnix := strings.CutPrefix(addr, "unix:")
	if isUnix {
		return listenUnix(path)
	}
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return nil, fmt.Errorf("http address %q: %w: want host:port or unix:path", addr, mcc.ErrInvalid)
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, listenError(addr, err)
	}
	return ln, nil
}

func listenUnix(path string) (net.Listener, error) {
	if path == "" {
		return nil, fmt.Errorf("http address: %w: unix: needs a path", mcc.ErrInvalid)
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, listenError("unix:"+path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("protect socket: %w", err), ln.Close())
	}
	return ln, nil
}

// removeStale removes a socket that nobody listens on any more. Other files
// stay, and make the listening fail.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode()&fs.ModeSocket == 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("http address: %w", err)
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = conn.Close()
		return fmt.Errorf("http address unix:%s: %w", path, mcc.ErrInUse)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("http address: %w", err)
	}
	return os.Remove(path)
}

func listenError(addr string, err error) error {
	if errno, ok := errors.AsType[syscall.Errno](err); ok &&
		(errno == syscall.EADDRINUSE || runtime.GOOS == "windows" && errno == wsaeaddrinuse) {
		return fmt.Errorf("http address %s: %w: %w", addr, mcc.ErrInUse, err)
	}
	return fmt.Errorf("http address %s: %w", addr, err)
}

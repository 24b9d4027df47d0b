package forward

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// socketMode keeps other users of the machine out of a unix socket.
const socketMode = 0o600

// listen opens a listener. An address that is taken is syscall.EADDRINUSE.
func listen(ctx context.Context, l ListenAddress) (net.Listener, error) {
	if l.Network == "unix" {
		return listenUnix(ctx, l.Address)
	}
	network := l.Network
	if host, _, err := net.SplitHostPort(l.Address); err == nil && net.ParseIP(host).To4() != nil {
		network = "tcp4" // 0.0.0.0 means just that, not every family
	}
	ln, err := new(net.ListenConfig).Listen(ctx, network, l.Address)
	return ln, portableInUse(err)
}

// listenUnix opens a socket for its owner only. A socket file that nobody
// listens on, left over by a crash, is replaced; any other file is not touched.
func listenUnix(ctx context.Context, path string) (net.Listener, error) {
	lc := net.ListenConfig{Control: ownerOnly}
	ln, err := lc.Listen(ctx, "unix", path)
	if errors.Is(portableInUse(err), syscall.EADDRINUSE) {
		if err := removeStale(ctx, path); err != nil {
			return nil, err
		}
		ln, err = lc.Listen(ctx, "unix", path)
	}
	if err != nil {
		return nil, portableInUse(err)
	}
	s := &socketListener{UnixListener: ln.(*net.UnixListener), path: path}
	s.SetUnlinkOnClose(false)
	if err := s.own(); err != nil {
		s.UnixListener.Close()
		return nil, err
	}
	return s, nil
}

// removeStale removes the socket file at path if nobody listens on it.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return fmt.Errorf("%q is there and is no socket: %w", path, syscall.EADDRINUSE)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err == nil {
		conn.Close()
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("somebody listens on %q: %w", path, syscall.EADDRINUSE)
	}
	return os.Remove(path)
}

// socketListener removes its file when it is closed, unless somebody else has
// put another one there.
type socketListener struct {
	*net.UnixListener
	path string
	mine fs.FileInfo
	once sync.Once
	err  error
}

// own sets the mode, where ownerOnly could not, and remembers the file.
func (s *socketListener) own() (err error) {
	if err := os.Chmod(s.path, socketMode); err != nil {
		return err
	}
	s.mine, err = os.Lstat(s.path)
	return err
}

func (s *socketListener) Close() error {
	s.once.Do(func() {
		if now, err := os.Lstat(s.path); err == nil && os.SameFile(now, s.mine) {
			_ = os.Remove(s.path)
		}
		s.err = s.UnixListener.Close()
	})
	return s.err
}

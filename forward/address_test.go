package forward

import (
	"errors"
	"strings"
	"testing"
)

func TestParseTarget(t *testing.T) {
	tests := []struct {
		in, canonical, network, address string
		http                            bool
	}{
		{"tcp://localhost:1111", "tcp://localhost:1111", "tcp", "localhost:1111", false},
		{"tcp://[::1]:022", "tcp://[::1]:22", "tcp", "[::1]:22", false},
		{"tcp://[fe80::1%eth0]:22", "tcp://[fe80::1%eth0]:22", "tcp", "[fe80::1%eth0]:22", false},
		{"unix:run/web.sock", "unix:run/web.sock", "unix", "run/web.sock", false},
		{"unix:/run/web.sock", "unix:/run/web.sock", "unix", "/run/web.sock", false},
		{"unix:///run/web.sock", "unix:/run/web.sock", "unix", "/run/web.sock", false},
		{"unix:////run/web.sock", "unix:/run/web.sock", "unix", "/run/web.sock", false},
		{"http://files", "http://files", "tcp", "files:80", true},
		{"http://files/", "http://files", "tcp", "files:80", true},
		{"http://127.0.0.1:8080/app/", "http://127.0.0.1:8080/app", "tcp", "127.0.0.1:8080", true},
		{"http://[::1]", "http://[::1]", "tcp", "[::1]:80", true},
		{"https://[::1]:8443/a%2Fb", "https://[::1]:8443/a%2Fb", "tcp", "[::1]:8443", true},
		{"https://web.example", "https://web.example", "tcp", "web.example:443", true},
	}
	for _, tt := range tests {
		target, err := ParseTarget(tt.in)
		if err != nil {
			t.Errorf("ParseTarget(%q): %v", tt.in, err)
			continue
		}
		network, address := target.Network()
		if target.String() != tt.canonical || network != tt.network || address != tt.address || target.HTTP() != tt.http {
			t.Errorf("ParseTarget(%q) = %q, dials %s %s, http %v; want %q, %s %s, %v",
				tt.in, target, network, address, target.HTTP(), tt.canonical, tt.network, tt.address, tt.http)
		}
	}
}

func TestParseTargetRefuses(t *testing.T) {
	tests := []struct {
		in, says string
		is       error
	}{
		{"", "expected tcp://host:port", ErrInvalid},
		{"localhost:1111", "no kind in front; expected tcp://host:port", ErrInvalid},
		{"ftp://x:21", `unknown kind "ftp"; expected tcp://`, ErrInvalid},
		{"socks5://x:21", `unknown kind "socks5"`, ErrInvalid},
		{"udp://localhost:53", "udp is not supported by this version", ErrUnsupported},
		{"tcp://localhost", "is not host:port", ErrInvalid},
		{"tcp://:80", "names no host", ErrInvalid},
		{"tcp://localhost:0", "number from 1 to 65535", ErrInvalid},
		{"tcp://localhost:65536", "number from 1 to 65535", ErrInvalid},
		{"tcp://localhost:http", "number from 1 to 65535", ErrInvalid},
		{"tcp://local host:80", "is not a host name", ErrInvalid},
		{"tcp://[1:2]:80", "is not an IP address", ErrInvalid},
		{"unix:", "no file name", ErrInvalid},
		{"unix:/run/", "no file name", ErrInvalid},
		{"unix://web.sock", "write unix:web.sock or unix:///web.sock", ErrInvalid},
		{"unix:@web", "abstract", ErrInvalid},
		{"unix:a\x00b", "zero byte", ErrInvalid},
		{"unix:/" + strings.Repeat("x", 107), "at most 107", ErrInvalid},
		{"http://", "no host", ErrInvalid},
		{"http:///x", "no host", ErrInvalid},
		{"http://u:p@host", "user and password", ErrInvalid},
		{"http://host?x=1", "query", ErrInvalid},
		{"http://host/#x", "fragment", ErrInvalid},
		{"http://host:/", "is not host[:port]", ErrInvalid},
		{"http://host:99999", "65535", ErrInvalid},
		{"http://host/a b", "not plain", ErrInvalid},
		{"http://host//a", "not plain", ErrInvalid},
	}
	for _, tt := range tests {
		_, err := ParseTarget(tt.in)
		if !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("ParseTarget(%q): %v; want %q in it", tt.in, err, tt.says)
		}
	}
}

func TestParseListen(t *testing.T) {
	for in, want := range map[string]string{
		"tcp://localhost:5000": "tcp://localhost:5000",
		"tcp://:0":             "tcp://:0",
		"tcp://[::]:5000":      "tcp://[::]:5000",
		"unix:///tmp/s":        "unix:/tmp/s",
	} {
		l, err := ParseListen(in)
		if err != nil || l.String() != want {
			t.Errorf("ParseListen(%q) = %q, %v; want %q", in, l, err, want)
		}
	}
	for _, kind := range []string{"udp", "socks5", "http-proxy"} {
		_, err := ParseListen(kind + "://localhost:1080")
		if !errors.Is(err, ErrUnsupported) || errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), kind+" is not supported") {
			t.Errorf("ParseListen(%s): %v; want that it is not supported", kind, err)
		}
	}
	for _, in := range []string{"", "5000", "http://localhost:80", "tcp://localhost", "tcp://localhost:-1", "unix:"} {
		if _, err := ParseListen(in); !errors.Is(err, ErrInvalid) || errors.Is(err, ErrUnsupported) {
			t.Errorf("ParseListen(%q): %v; want ErrInvalid", in, err)
		}
	}
}

var addressSeeds = []string{
	"tcp://localhost:1111", "tcp://[fe80::1%eth0]:22", "tcp://:0", "unix:////a", "unix:a/b", "http://h:1/b%2F/",
	"https://[::1]", "udp://x:1", "socks5://x:1", "http://h\\x", "http://[::1%25eth0]:1/", "unix:///../x",
}

func FuzzParseTarget(f *testing.F) {
	for _, s := range addressSeeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		target, err := ParseTarget(s)
		if err != nil {
			if target != (Target{}) || !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrUnsupported) {
				t.Fatalf("ParseTarget(%q) = %+v, %v", s, target, err)
			}
			return
		}
		again, err := ParseTarget(target.String())
		if err != nil || again != target {
			t.Fatalf("%q reads as %+v, but its form %q as %+v, %v", s, target, target, again, err)
		}
		if _, address := target.Network(); address == "" {
			t.Fatalf("%q leads nowhere", s)
		}
	})
}

func FuzzParseListen(f *testing.F) {
	for _, s := range addressSeeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := ParseListen(s)
		if err != nil {
			return
		}
		if again, err := ParseListen(l.String()); err != nil || again != l {
			t.Fatalf("%q reads as %+v, but its form %q as %+v, %v", s, l, l, again, err)
		}
	})
}

func TestAddressSeedsExist(t *testing.T) {
	good := 0
	for _, s := range addressSeeds {
		if _, err := ParseTarget(s); err == nil {
			good++
		}
	}
	if good < 4 || good == len(addressSeeds) {
		t.Fatalf("%d of %d seeds are good; a fuzzer wants both kinds", good, len(addressSeeds))
	}
}

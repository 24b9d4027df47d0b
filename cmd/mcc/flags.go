package main

import (
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// settings are the flags of a node, after flag, environment, file and default
// have been put in order.
type settings struct {
	logLevel   int
	logFormat  string
	configFile string

	boot                 []string
	cert, privKey, label string
	trustCA              string
	listen, listenTCP    string
	dataFolder           string
	alpha                int

	http          string
	cors          []string
	httpTokenFile string
	httpCert      string
	httpKey       string
	httpAllowHost []string
	httpInsecure  bool
	monitoring    bool

	drainTimeout   time.Duration
	waitForService time.Duration

	cpuProfile, goroutineProfile, heapProfile int
	profileDir                                string

	newCert, force, version bool

	keepBlobs bool

	// Accepted, so that configurations stay valid; their layers come with later
	// versions.
	mdns, relay, small     bool
	socks5, dns, blobQuota string
	freshRevocation        time.Duration
}

// withoutEffect are the flags whose layer this version does not have: setting
// one is reported, not refused.
var withoutEffect = []string{
	"listen-tcp", "mdns", "socks5", "dns", "blob-quota", "require-fresh-revocation", "small",
}

// noConfigKey are the flags that make no sense in a configuration file.
var noConfigKey = []string{"config", "help", "version", "newcert", "force"}

// udpConfigKey is the name of -listen in the file, where listen is the list of
// local ports.
const udpConfigKey = "listen-udp"

// newNodeFlags is a set of the node's flags that stand for s, with their
// defaults.
func newNodeFlags(s *settings) *pflag.FlagSet {
	flags := pflag.NewFlagSet("mcc", pflag.ContinueOnError)
	addNodeFlags(flags, s)
	return flags
}

func addNodeFlags(f *pflag.FlagSet, s *settings) {
	f.SortFlags = false
	f.IntVar(&s.logLevel, "loglevel", 4, "0 panic, 1 fatal, 2 error, 3 warn, 4 info, 5 debug, 6 trace")
	f.StringSliceVar(&s.boot, "boot", nil, "bootnodes `addr,addr`: host:port, or z6Mk…@host:port to pin the key")
	f.StringVar(&s.cert, "cert", "", "certificate `file` (PEM or base64 DER), or random for a fresh one")
	f.StringVar(&s.privKey, "privkey", "", "private key `file` (PEM PKCS#8 or base64 DER), with -cert")
	f.StringVar(&s.trustCA, "trust-ca", "", "root CA certificates `file`: only nodes they certify may take part")
	f.StringVar(&s.label, "label", "", "human-readable `name` for a new certificate (a-z, 0-9, at most 30)")
	f.BoolVar(&s.newCert, "newcert", false, "write a random certificate, its key and a request, print their paths, exit")
	f.BoolVar(&s.force, "force", false, "let -newcert overwrite")
	f.StringVar(&s.listen, "listen", "127.0.0.1:9376", "UDP `addr` of the node (port 0 = any)")
	f.StringVar(&s.listenTCP, "listen-tcp", "", "TCP `addr` of streams; default as -listen, off disables (no effect yet)")
	f.StringVar(&s.http, "http", "127.0.0.1:8080", "REST `addr`; off serves none, unix:path a socket")
	f.StringSliceVar(&s.cors, "enable-cors", nil, "allowed origins `list`, * for any")
	f.StringVar(&s.httpTokenFile, "http-token-file", "", "`file` with the bearer token of the REST API")
	f.StringVar(&s.httpCert, "http-cert", "", "TLS certificate `file` of the REST API")
	f.StringVar(&s.httpKey, "http-key", "", "TLS key `file` of the REST API")
	f.StringSliceVar(&s.httpAllowHost, "http-allow-host", nil, "extra Host names `list` the REST API accepts")
	f.BoolVar(&s.httpInsecure, "http-insecure", false, "serve REST off loopback without token and TLS: the network is trusted")
	f.StringVar(&s.dataFolder, "data-folder", "./.mcc/", "`dir` of BLOBs (in blobs/), records and identity")
	f.StringVar(&s.configFile, "config", "", "YAML configuration `file`")
	f.BoolVar(&s.keepBlobs, "keep-blobs", true, "keep a BLOB that was fetched and announce this node as a seeder")
	f.IntVar(&s.alpha, "dht-alpha", 3, "lookup concurrency, 1 to 64")
	f.BoolVar(&s.monitoring, "enable-monitoring", false, "Prometheus metrics at /metrics")
	f.IntVar(&s.cpuProfile, "cpu-profile", 0, "write a CPU profile every `N` seconds, 0 = off")
	f.IntVar(&s.goroutineProfile, "goroutine-profile", 0, "write a goroutine profile every `N` seconds, 0 = off")
	f.IntVar(&s.heapProfile, "heap-profile", 0, "write a heap profile every `N` seconds, 0 = off")
	f.StringVar(&s.profileDir, "profile-dir", "traces", "`dir` of profiles")
	f.BoolVar(&s.mdns, "mdns", false, "find nodes on the local network (no effect yet)")
	f.BoolVar(&s.relay, "relay", true, "relay for permitted nodes when publicly reachable")
	f.StringVar(&s.socks5, "socks5", "", "SOCKS5 entrance `addr` for *.mcc names (no effect yet)")
	f.StringVar(&s.dns, "dns", "", "DNS entrance `addr` for *.mcc names (no effect yet)")
	f.DurationVar(&s.drainTimeout, "drain-timeout", 10*time.Second, "how long a stop waits for open streams")
	f.DurationVar(&s.waitForService, "wait-for-service", 0, "how long a forward waits for a first provider")
	f.StringVar(&s.blobQuota, "blob-quota", "0", "bound of BLOB storage `size`, 0 = none (no effect yet)")
	f.DurationVar(&s.freshRevocation, "require-fresh-revocation", 0, "refuse peers when the revocation list is older, 0 = never (no effect yet)")
	f.StringVar(&s.logFormat, "log-format", "", "console or json; default console on a terminal, else json")
	f.BoolVar(&s.small, "small", false, "bounds for boards with 64 MB (no effect yet)")
	f.BoolVar(&s.version, "version", false, "print the version and exit")
}

// originalEnv are the variables of the original, by flag.
var originalEnv = map[string]string{
	"boot": "BOOT", "cert": "CERTIFICATE", "privkey": "PRIVKEY", "listen": "LISTEN",
	"http": "HTTP", "enable-cors": "CORS", "trust-ca": "TRUSTCACERT",
}

// envName is the variable of a flag: data-folder is MCC_DATA_FOLDER.
func envName(flag string) string {
	return "MCC_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// applyEnv sets every flag that the command line left alone from its MCC_
// variable, else from the original's. An empty variable counts as unset.
func applyEnv(f *pflag.FlagSet) error {
	var failed error
	f.VisitAll(func(flag *pflag.Flag) {
		if flag.Changed || failed != nil || flag.Name == "help" {
			return
		}
		for _, name := range []string{envName(flag.Name), originalEnv[flag.Name]} {
			value := os.Getenv(name)
			if name == "" || value == "" || flag.Name == "version" && value != "true" {
				continue // MCC_VERSION=1.2.3 is what container files call a release
			}
			if err := f.Set(flag.Name, value); err != nil {
				failed = usage("", "environment variable %s: %v", name, cleanFlagError(err))
			}
			return
		}
	})
	return failed
}

// flagNamed is how pflag names the flag in a message.
var flagNamed = regexp.MustCompile(`^(invalid argument .*) for "[^"]*" flag: (strconv\.\w+: parsing ".*?": )?(.*)$`)

// cleanFlagError drops strconv's words from pflag's messages, and the name of
// the flag, which the caller gives as the user wrote it.
func cleanFlagError(err error) string {
	return flagNamed.ReplaceAllString(err.Error(), "$1: $3")
}

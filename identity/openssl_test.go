package identity_test

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/identity/ca"
)

// openssl is the command in a folder of its own, with a configuration of its
// own: Debian's makes every self-signed certificate a CA.
type openssl struct {
	t   *testing.T
	dir string
}

func newOpenSSL(t *testing.T) openssl {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("no openssl command here: not compared with it")
	}
	o := openssl{t, t.TempDir()}
	o.put("openssl.cnf", []byte("[req]\ndistinguished_name = dn\nprompt = no\n[dn]\nCN = node\n"))
	return o
}

func (o openssl) put(name string, data []byte) string {
	o.t.Helper()
	path := filepath.Join(o.dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		o.t.Fatal(err)
	}
	return path
}

func (o openssl) get(name string) []byte {
	o.t.Helper()
	data, err := os.ReadFile(filepath.Join(o.dir, name))
	if err != nil {
		o.t.Fatal(err)
	}
	return data
}

// try runs openssl with a command line without quoting.
func (o openssl) try(line string) (string, error) {
	cmd := exec.CommandContext(o.t.Context(), "openssl", strings.Fields(line)...)
	cmd.Dir = o.dir
	cmd.Env = append(os.Environ(), "OPENSSL_CONF="+filepath.Join(o.dir, "openssl.cnf"))
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (o openssl) run(line string) string {
	o.t.Helper()
	out, err := o.try(line)
	if err != nil {
		o.t.Fatalf("openssl %s: %v\n%s", line, err, out)
	}
	return out
}

func (o openssl) want(line string, texts ...string) {
	o.t.Helper()
	out := o.run(line)
	for _, text := range texts {
		if !strings.Contains(out, text) {
			o.t.Errorf("openssl %s lacks %q:\n%s", line, text, out)
		}
	}
}

// TestOpenSSLReadsOurs: openssl understands and verifies what we write.
func TestOpenSSLReadsOurs(t *testing.T) {
	o := newOpenSSL(t)
	files, err := identity.WriteNew(o.dir, "web", time.Now(), false)
	if err != nil {
		t.Fatal(err)
	}
	o.want("pkey -in node.key -noout -text", "ED25519 Private-Key")
	o.want("req -in node.csr -noout -verify -text", "verify OK", "URI:mcc:label:web")
	o.want("x509 -in node.crt -noout -text", "CA:FALSE", "Digital Signature", "URI:mcc:perm:all",
		"TLS Web Client Authentication", "TLS Web Server Authentication", "Version: 3")
	o.want("verify -CAfile node.crt node.crt", "OK")

	root, err := ca.Init(filepath.Join(o.dir, "ca"), ca.Options{Name: "Acme", Consortium: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	req, err := identity.ParseRequest(o.get("node.csr"))
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := root.Sign(req, ca.Leaf{Permissions: identity.Permissions{"route", "register:svc*"}})
	if err != nil {
		t.Fatal(err)
	}
	o.put("leaf.crt", leaf.MarshalPEM())
	o.want("verify -CAfile ca/ca.crt ca/ca.crt", "OK")
	o.want("verify -x509_strict -CAfile ca/ca.crt -purpose sslclient leaf.crt", "OK")
	o.want("verify -x509_strict -CAfile ca/ca.crt -purpose sslserver leaf.crt", "OK")
	o.want("x509 -in leaf.crt -noout -text", "URI:mcc:perm:register:svc*", "CN = Acme")
	o.want("x509 -in ca/ca.crt -noout -text", "CA:TRUE", "Certificate Sign", "URI:mcc:consortium:acme")
	if out, err := o.try("verify -CAfile node.crt leaf.crt"); err == nil {
		t.Errorf("openssl verifies against the wrong root:\n%s", out)
	}
	if _, err := identity.Load(filepath.Join(o.dir, "leaf.crt"), files.Key); err != nil {
		t.Error(err)
	}
}

// opensslCA makes root.crt, mid.crt and node.key, node.csr with openssl alone.
func opensslCA(o openssl) {
	o.t.Helper()
	o.put("ca.ext", []byte("basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n"))
	o.put("leaf.ext", []byte("basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth,serverAuth\n"+
		"subjectAltName=URI:mcc:label:web,URI:mcc:perm:route,URI:mcc:perm:register:svc*\n"))
	for _, line := range []string{
		"genpkey -algorithm ed25519 -out root.key",
		"req -x509 -new -key root.key -subj /CN=acme -days 30 -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign -out root.crt",
		"genpkey -algorithm ed25519 -out mid.key",
		"req -new -key mid.key -subj /CN=mid -out mid.csr",
		"x509 -req -in mid.csr -CA root.crt -CAkey root.key -CAcreateserial -days 20 -extfile ca.ext -out mid.crt",
		"genpkey -algorithm ed25519 -out node.key",
		"req -new -key node.key -subj /CN=node -addext subjectAltName=URI:mcc:label:wish,URI:mcc:perm:route -out node.csr",
	} {
		o.run(line)
	}
}

// TestWeReadOpenSSL: keys, requests and certificates that openssl made count.
func TestWeReadOpenSSL(t *testing.T) {
	o := newOpenSSL(t)
	opensslCA(o)
	key, err := identity.ParsePrivateKey(o.get("node.key"))
	if err != nil {
		t.Fatal(err)
	}
	req, err := identity.ParseRequest(o.get("node.csr"))
	if err != nil || req.ID() != key.ID() || req.Label() != "wish" || !req.Permissions().Allow("route") {
		t.Errorf("request %+v, %v", req, err)
	}
	o.run("x509 -req -in node.csr -CA root.crt -CAkey root.key -CAcreateserial -days 10 -extfile leaf.ext -out direct.crt")
	o.run("x509 -req -in node.csr -CA mid.crt -CAkey mid.key -CAcreateserial -days 10 -extfile leaf.ext -out indirect.crt")
	o.put("chain.crt", append(o.get("indirect.crt"), o.get("mid.crt")...))
	roots, err := identity.LoadRoots(filepath.Join(o.dir, "root.crt"))
	if err != nil {
		t.Fatal(err)
	}
	trust, err := identity.NewTrust(roots)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"direct.crt", "chain.crt"} {
		own, err := identity.Load(filepath.Join(o.dir, name), filepath.Join(o.dir, "node.key"))
		if err != nil {
			t.Fatal(err)
		}
		peer, err := trust.Verify(own.Certificate(), time.Now())
		if err != nil || peer.Label != "web" || peer.Consortium != "acme" || !peer.May("register:svc-1") || peer.May("store") {
			t.Errorf("%s: %+v, %v", name, peer, err)
		}
	}
	alone, err := identity.ParseCertificate(o.get("indirect.crt"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := trust.Verify(alone, time.Now()); !errors.Is(err, identity.ErrUntrusted) {
		t.Errorf("without the intermediate: %v", err)
	}
}

// TestWeReadOpenSSLBase64: each kind of file as one line of base64.
func TestWeReadOpenSSLBase64(t *testing.T) {
	o := newOpenSSL(t)
	opensslCA(o)
	o.run("pkey -in node.key -outform DER -out node.key.der")
	o.run("req -in node.csr -outform DER -out node.csr.der")
	o.run("x509 -in root.crt -outform DER -out root.der")
	o.run("x509 -req -in node.csr -CA root.crt -CAkey root.key -CAcreateserial -days 10 -extfile leaf.ext -outform DER -out node.der")
	b64 := func(name string) []byte { return []byte(base64.StdEncoding.EncodeToString(o.get(name)) + "\n") }
	key, err := identity.ParsePrivateKey(b64("node.key.der"))
	if err != nil {
		t.Fatal(err)
	}
	if req, err := identity.ParseRequest(b64("node.csr.der")); err != nil || req.ID() != key.ID() {
		t.Errorf("request: %v", err)
	}
	cert, err := identity.ParseCertificate(b64("node.der"))
	if err != nil || cert.ID() != key.ID() {
		t.Fatalf("certificate: %v", err)
	}
	roots, err := identity.ParseRoots(b64("root.der"))
	if err != nil {
		t.Fatal(err)
	}
	trust, err := identity.NewTrust(roots)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := trust.Verify(cert, time.Now()); err != nil {
		t.Error(err)
	}
}

func TestWeReadOpenSSLSelfSigned(t *testing.T) {
	o := newOpenSSL(t)
	o.run("genpkey -algorithm ed25519 -out node.key")
	o.run("req -x509 -new -key node.key -subj /CN=node -days 10 -addext basicConstraints=critical,CA:FALSE " +
		"-addext subjectAltName=URI:mcc:label:web,URI:mcc:perm:register:svc* -out node.crt")
	own, err := identity.Load(filepath.Join(o.dir, "node.crt"), filepath.Join(o.dir, "node.key"))
	if err != nil {
		t.Fatal(err)
	}
	if c := own.Certificate(); !c.SelfSigned() || c.Label() != "web" || c.CheckTime(time.Now()) != nil || !c.Permissions().Allow("register:svc1") {
		t.Errorf("got %v %v", c, c.Permissions())
	}
}

// TestOpenSSLForeignKeys: keys of other kinds are named, as openssl writes them.
func TestOpenSSLForeignKeys(t *testing.T) {
	o := newOpenSSL(t)
	o.run("genpkey -algorithm ed25519 -aes256 -pass pass:secret -out encrypted.key")
	o.run("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out rsa.key")
	o.run("ecparam -name prime256v1 -genkey -out ec.key")
	o.run("genpkey -algorithm ed448 -out ed448.key")
	for name, want := range map[string]string{"encrypted.key": "openssl pkey", "rsa.key": "RSA", "ec.key": "EC PARAMETERS", "ed448.key": "PKCS#8"} {
		_, err := identity.ParsePrivateKey(o.get(name))
		if !errors.Is(err, identity.ErrBadKey) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}

// TestOurCASignsOpenSSL and the other way round: an openssl CA with our request
// is TestWeReadOpenSSL with -newcert's file.
func TestOurCASignsOpenSSL(t *testing.T) {
	o := newOpenSSL(t)
	opensslCA(o)
	root, err := ca.New(ca.Options{Name: "Acme"})
	if err != nil {
		t.Fatal(err)
	}
	req, err := identity.ParseRequest(o.get("node.csr"))
	if err != nil {
		t.Fatal(err)
	}
	cert, err := root.Sign(req, ca.Leaf{})
	if err != nil {
		t.Fatal(err)
	}
	o.put("ours.crt", cert.MarshalPEM())
	o.put("acme.crt", root.MarshalPEM())
	o.want("verify -CAfile acme.crt ours.crt", "OK")
	if _, err := identity.Load(filepath.Join(o.dir, "ours.crt"), filepath.Join(o.dir, "node.key")); err != nil {
		t.Error(err)
	}

	if _, err := identity.WriteNew(filepath.Join(o.dir, "new"), "web", time.Now(), false); err != nil {
		t.Fatal(err)
	}
	o.run("x509 -req -in new/node.csr -CA root.crt -CAkey root.key -CAcreateserial -days 10 -extfile leaf.ext -out theirs.crt")
	theirs, err := identity.Load(filepath.Join(o.dir, "theirs.crt"), filepath.Join(o.dir, "new", "node.key"))
	if err != nil {
		t.Fatal(err)
	}
	roots, err := identity.LoadRoots(filepath.Join(o.dir, "root.crt"))
	if err != nil {
		t.Fatal(err)
	}
	trust, err := identity.NewTrust(append(roots, []*x509.Certificate{root.Certificate()}...))
	if err != nil {
		t.Fatal(err)
	}
	if peer, err := trust.Verify(theirs.Certificate(), time.Now()); err != nil || peer.Consortium != "acme" {
		t.Errorf("%+v, %v", peer, err)
	}
}

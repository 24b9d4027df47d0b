package identity

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/staex-mcc/mcc/identity/internal/durable"
)

// Files of -newcert and of a node's own identity, inside the data folder.
const (
	newCertName = "node.crt"
	newKeyName  = "node.key"
	newReqName  = "node.csr"
	ownCertName = "identity.crt"
	ownKeyName  = "identity.key"
)

// Files are the paths that WriteNew wrote.
type Files struct {
	Certificate string
	Key         string
	Request     string
}

// WriteNew makes a fresh identity and writes it into dir, which is made if
// missing: node.key (mode 0600), node.crt, self-signed, and node.csr for a CA.
// An empty label is a random word. Without force it replaces no file: the error
// is fs.ErrExist and names it. A failure writes none of the three.
func WriteNew(dir, label string, now time.Time, force bool) (Files, error) {
	local, err := NewRandom(label, now)
	if err != nil {
		return Files{}, err
	}
	request, err := CreateRequest(local.key, local.cert.Label())
	if err != nil {
		return Files{}, err
	}
	key, err := local.key.MarshalPEM()
	if err != nil {
		return Files{}, err
	}
	err = durable.Write(dir, force,
		durable.File{Name: newKeyName, Data: key, Mode: 0o600},
		durable.File{Name: newCertName, Data: local.cert.MarshalPEM(), Mode: 0o644},
		durable.File{Name: newReqName, Data: EncodeRequestPEM(request), Mode: 0o644})
	if err != nil {
		return Files{}, fmt.Errorf("write new certificate: %w", err)
	}
	return Files{
		Certificate: filepath.Join(dir, newCertName),
		Key:         filepath.Join(dir, newKeyName),
		Request:     filepath.Join(dir, newReqName),
	}, nil
}

// LoadOrCreate returns the identity kept in dir as identity.key and
// identity.crt, making it on the first call; dir is made if missing. Created
// reports that the certificate is new, so that label counted; else label is
// ignored. Empty is a random word.
//
// A key without certificate, as a crash leaves it, is completed. A certificate
// without key, a key that other users can read, and files that do not match are
// errors that name the file: no key is ever replaced or removed. Several callers
// at once agree on one identity.
func LoadOrCreate(dir, label string, now time.Time) (local *Local, created bool, err error) {
	certPath, keyPath := filepath.Join(dir, ownCertName), filepath.Join(dir, ownKeyName)
	// The certificate first: it is written last, so the key must be there too.
	hasCert, err := exists(certPath)
	if err != nil {
		return nil, false, err
	}
	hasKey, err := exists(keyPath)
	if err != nil {
		return nil, false, err
	}
	if hasCert && !hasKey {
		return nil, false, fmt.Errorf("%s is there, but %s is not: put the key back, or remove the certificate to become a new node", certPath, keyPath)
	}
	if !hasCert {
		if created, err = makeOwn(dir, label, now, hasKey); err != nil {
			return nil, false, fmt.Errorf("make identity: %w", err)
		}
	}
	if err := durable.CheckPrivate(keyPath); err != nil {
		return nil, false, err
	}
	local, err = Load(certPath, keyPath)
	return local, created && err == nil, err
}

func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// makeOwn writes the key, if there is none, and then its certificate. These are
// two steps on purpose: once the key stands, whoever finds it may certify it,
// so it must not go away again. Whatever another process wrote first counts.
func makeOwn(dir, label string, now time.Time, hasKey bool) (created bool, err error) {
	if label == "" {
		label = RandomLabel()
	}
	if label, err = NormalizeLabel(label); err != nil {
		return false, err
	}
	if !hasKey {
		if err := writeOwnKey(dir); err != nil {
			return false, err
		}
	}
	keyPath := filepath.Join(dir, ownKeyName)
	if err := durable.CheckPrivate(keyPath); err != nil {
		return false, err
	}
	key, err := LoadPrivateKey(keyPath)
	if err != nil {
		return false, err
	}
	local, err := selfSigned(key, label, now, nil)
	if err != nil {
		return false, err
	}
	return wrote(durable.Write(dir, false, durable.File{Name: ownCertName, Data: local.cert.MarshalPEM(), Mode: 0o644}))
}

func writeOwnKey(dir string) error {
	key, err := GeneratePrivateKey()
	if err != nil {
		return err
	}
	text, err := key.MarshalPEM()
	if err != nil {
		return err
	}
	_, err = wrote(durable.Write(dir, false, durable.File{Name: ownKeyName, Data: text, Mode: 0o600}))
	return err
}

// wrote turns "somebody was faster" into false.
func wrote(err error) (bool, error) {
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	return err == nil, err
}

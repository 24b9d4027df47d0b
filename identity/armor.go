package identity

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode"
)

// PEM types that MCC reads and writes.
const (
	pemCertificate = "CERTIFICATE"
	pemPrivateKey  = "PRIVATE KEY"
	pemRequest     = "CERTIFICATE REQUEST"
	// pemNewRequest is what older tools write for pemRequest.
	pemNewRequest = "NEW CERTIFICATE REQUEST"
)

const (
	// maxInput bounds a key, certificate or request file in bytes: room for a
	// full chain with the text form beside it.
	maxInput = 128 << 10
	// maxRootsInput bounds a -trust-ca bundle, which may hold many CAs.
	maxRootsInput = 1 << 20
)

// decodeArmor reads DER out of a file as users have them: PEM blocks of one of
// the types, or one base64 string without any frame. Text between blocks is
// skipped, as everywhere; a block of another type or a damaged one is an error.
func decodeArmor(data []byte, limit int, types ...string) ([][]byte, error) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) // editors on Windows add it
	switch {
	case len(bytes.TrimSpace(data)) == 0:
		return nil, errors.New("empty")
	case len(data) > limit:
		return nil, fmt.Errorf("over %d bytes", limit)
	case bytes.Contains(data, []byte("-----BEGIN ")):
		return decodePEM(data, types)
	case bytes.ContainsFunc(data, isBinary):
		return nil, errors.New("binary; expected PEM or base64 (openssl converts DER with -inform der)")
	}
	der, err := decodeBase64(data)
	if err != nil {
		return nil, fmt.Errorf("neither PEM nor base64: %w", err)
	}
	return [][]byte{der}, nil
}

func isBinary(r rune) bool { return r > unicode.MaxASCII || r < ' ' && !unicode.IsSpace(r) }

func decodePEM(data []byte, types []string) ([][]byte, error) {
	// The standard decoder silently skips a block it cannot read.
	begun := bytes.Count(data, []byte("-----BEGIN "))
	var ders [][]byte
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		if !slices.Contains(types, block.Type) {
			return nil, fmt.Errorf("PEM block is %s, expected %q", blockName(block.Type), types[0])
		}
		if len(block.Headers) > 0 {
			return nil, fmt.Errorf("PEM block %q has headers, which only encrypted ones need", types[0])
		}
		ders = append(ders, block.Bytes)
		data = rest
	}
	if len(ders) != begun {
		return nil, fmt.Errorf("damaged PEM: %d of %d blocks can be read", len(ders), begun)
	}
	return ders, nil
}

// blockName quotes a PEM type only if it is a usual one: the type of a mangled
// file may hold anything, also a piece of the key.
func blockName(kind string) string {
	usual := []string{
		pemCertificate, pemPrivateKey, pemRequest, pemNewRequest, "TRUSTED CERTIFICATE", "X509 CRL", "PUBLIC KEY", "PKCS7",
		"RSA PRIVATE KEY", "EC PRIVATE KEY", "DSA PRIVATE KEY", "OPENSSH PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "EC PARAMETERS",
	}
	if slices.Contains(usual, kind) {
		return fmt.Sprintf("%q", kind)
	}
	return "of an unknown type"
}

// decodeBase64 takes the standard alphabet, broken into lines or not, padded or
// not.
func decodeBase64(data []byte) ([]byte, error) {
	text := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, string(data))
	unpadded := strings.TrimRight(text, "=")
	if pad := len(text) - len(unpadded); pad > 0 && (pad > 2 || len(text)%4 != 0) {
		return nil, errors.New("wrong base64 padding")
	}
	return base64.RawStdEncoding.Strict().DecodeString(unpadded)
}

func encodePEM(kind string, ders ...[]byte) []byte {
	var out []byte
	for _, der := range ders {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})...)
	}
	return out
}

// readBounded reads a file of at most limit bytes; a longer one comes back one
// byte over, for the parser to refuse.
func readBounded(path string, limit int) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return data, nil
}

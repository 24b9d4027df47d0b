package did

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/big"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mr-tron/base58"

	"github.com/staex-mcc/mcc/identity"
)

// keyVector is a published did:key; what else is known of the key depends on its
// kind and source.
type keyVector struct {
	DID, Kind, Agreement, Seed, Base58, Source string
	JWK                                        map[string]string
}

func keyVectors(t testing.TB) (supported, unsupported []keyVector) {
	t.Helper()
	var file struct{ Vectors, Unsupported []keyVector }
	readJSON(t, "testdata/did_key.json", &file)
	if len(file.Vectors) < 20 || len(file.Unsupported) == 0 {
		t.Fatalf("only %d vectors", len(file.Vectors))
	}
	return file.Vectors, file.Unsupported
}

func readJSON(t testing.TB, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

func decodeDocument(t testing.TB, text []byte) document {
	t.Helper()
	var doc document
	in := json.NewDecoder(bytes.NewReader(text))
	in.DisallowUnknownFields()
	if err := in.Decode(&doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// TestKeyVectors compares whole documents with what the published values ask for.
func TestKeyVectors(t *testing.T) {
	vectors, _ := keyVectors(t)
	for _, v := range vectors {
		text, err := Key(mustParse(t, v.DID))
		if err != nil {
			t.Errorf("%s: %v", v.DID, err)
			continue
		}
		if diff := cmp.Diff(wantKeyDocument(v), decodeDocument(t, text)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", v.DID, diff)
		}
		if err := Validate(text, mustParse(t, v.DID)); err != nil {
			t.Errorf("%s: the own document is refused: %v", v.DID, err)
		}
	}
}

func wantKeyDocument(v keyVector) document {
	_, text, _ := strings.Cut(v.DID, "did:key:")
	multikey := func(text string) method { return method{v.DID + "#" + text, "Multikey", v.DID, text} }
	want := document{
		Context:            []string{"https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1"},
		ID:                 v.DID,
		VerificationMethod: []method{multikey(text)},
	}
	agreement := v.Agreement
	if v.Kind == "X25519" {
		agreement = text
	} else {
		ids := []string{v.DID + "#" + text}
		want.Authentication, want.AssertionMethod = ids, ids
		want.CapabilityInvocation, want.CapabilityDelegation = ids, ids
	}
	if agreement != "" {
		want.KeyAgreement = []string{v.DID + "#" + agreement}
	}
	if v.Agreement != "" {
		want.VerificationMethod = append(want.VerificationMethod, multikey(v.Agreement))
	}
	return want
}

// TestKeyVectorMaterial compares the keys with the other forms published.
func TestKeyVectorMaterial(t *testing.T) {
	codecs := map[string]uint64{
		"Ed25519": 0xed, "X25519": 0xec, "P-256": 0x1200, "P-384": 0x1201, "P-521": 0x1202, "secp256k1": 0xe7,
	}
	vectors, _ := keyVectors(t)
	for _, v := range vectors {
		k, err := parseDIDKey(mustParse(t, v.DID))
		if err != nil || k.codec != codecs[v.Kind] {
			t.Errorf("%s: codec %#x, %v", v.DID, k.codec, err)
		}
		if v.Base58 != "" && base58.Encode(k.raw) != v.Base58 {
			t.Errorf("%s: key %s, want %s", v.DID, base58.Encode(k.raw), v.Base58)
		}
		if v.Seed != "" {
			seed, err := hex.DecodeString(v.Seed)
			if err != nil {
				t.Fatal(err)
			}
			if id := identity.PrivateKeyFromSeed([32]byte(seed)).ID(); !bytes.Equal(id[:], k.raw) {
				t.Errorf("%s: the seed makes %s", v.DID, id)
			}
		}
		if v.JWK != nil {
			checkVectorJWK(t, v, k)
		}
	}
}

func checkVectorJWK(t *testing.T, v keyVector, k multikey) {
	t.Helper()
	x, errX := base64.RawURLEncoding.DecodeString(v.JWK["x"])
	y, errY := base64.RawURLEncoding.DecodeString(v.JWK["y"])
	if errX != nil || errY != nil {
		t.Fatal(errX, errY)
	}
	if want := append([]byte{2 + y[len(y)-1]&1}, x...); !bytes.Equal(k.raw, want) {
		t.Errorf("%s: key %x, want %x", v.DID, k.raw, want)
	}
	if !onCurve(v.JWK["crv"], x, y) {
		t.Errorf("%s: the point is not on the curve", v.DID)
	}
	y[len(y)-1] ^= 2
	if onCurve(v.JWK["crv"], x, y) {
		t.Errorf("%s: another y is on the curve", v.DID)
	}
}

// TestKeyBytes pins the bytes: they are what others see.
func TestKeyBytes(t *testing.T) {
	const did, sign, agree = "did:key:" + nodeID, "did:key:" + nodeID + "#" + nodeID,
		"did:key:" + nodeID + "#z6LShs9GGnqk85isEBzzshkuVWrVKsRp24GnDuHk8QWkARMW"
	want := `{"@context":["https://www.w3.org/ns/did/v1","https://w3id.org/security/multikey/v1"],"id":"` + did + `",` +
		`"verificationMethod":[{"id":"` + sign + `","type":"Multikey","controller":"` + did + `","publicKeyMultibase":"` + nodeID + `"},` +
		`{"id":"` + agree + `","type":"Multikey","controller":"` + did + `","publicKeyMultibase":"z6LShs9GGnqk85isEBzzshkuVWrVKsRp24GnDuHk8QWkARMW"}],` +
		`"authentication":["` + sign + `"],"assertionMethod":["` + sign + `"],"capabilityInvocation":["` + sign + `"],` +
		`"capabilityDelegation":["` + sign + `"],"keyAgreement":["` + agree + `"]}`
	if got, err := Key(mustParse(t, did)); err != nil || string(got) != want {
		t.Errorf("got %s, %v\nwant %s", got, err, want)
	}
}

func TestKeyRefuses(t *testing.T) {
	vectors, unsupported := keyVectors(t)
	for _, v := range unsupported {
		if _, err := Key(mustParse(t, v.DID)); !errors.Is(err, ErrUnsupported) || errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, want ErrUnsupported", v.Kind, err)
		}
	}
	for _, text := range []string{"did:mcc:" + nodeID, "did:web:example.com"} {
		if _, err := Key(mustParse(t, text)); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %v, want ErrUnsupported", text, err)
		}
	}
	if _, err := Key(DID{}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("zero DID: %v", err)
	}
	for _, v := range vectors {
		k, err := parseDIDKey(mustParse(t, v.DID))
		if err != nil {
			t.Fatal(err)
		}
		short, long := multikey{k.codec, k.raw[:len(k.raw)-1]}, multikey{k.codec, append(bytes.Clone(k.raw), 0)}
		for _, bad := range []string{
			short.String(), long.String(), multikey{codec: k.codec}.String(), k.String() + "0",
			"1:" + k.String(), k.String() + ":", "u" + base64.RawURLEncoding.EncodeToString(append(binary.AppendUvarint(nil, k.codec), k.raw...)), k.String()[1:],
		} {
			if _, err := Key(DID{MethodKey, bad}); !errors.Is(err, ErrInvalid) {
				t.Errorf("%s: %v, want ErrInvalid", bad, err)
			}
		}
	}
}

func TestMultikeyRefuses(t *testing.T) {
	ones := func(n int) []byte { return bytes.Repeat([]byte{0xff}, n) }
	for name, k := range map[string]multikey{
		"Ed25519 low order":        {ed25519Pub, append([]byte{1}, make([]byte, 31)...)},
		"Ed25519 not canonical":    {ed25519Pub, ones(32)},
		"X25519 zero":              {x25519Pub, make([]byte, 32)},
		"X25519 low order":         {x25519Pub, append([]byte{1}, make([]byte, 31)...)},
		"P-256 uncompressed tag":   {p256Pub, append([]byte{4}, make([]byte, 32)...)},
		"P-256 infinity":           {p256Pub, make([]byte, 33)},
		"P-256 x beyond the field": {p256Pub, append([]byte{2}, ones(32)...)},
		"P-256 off the curve":      {p256Pub, append([]byte{2}, append(make([]byte, 31), 1)...)},
		"P-384 x beyond the field": {p384Pub, append([]byte{3}, ones(48)...)},
		"P-521 x beyond the field": {p521Pub, append([]byte{3}, ones(66)...)},
		"secp256k1 tag 4":          {secp256k1Pub, append([]byte{4}, append(make([]byte, 31), 1)...)},
		"secp256k1 tag 0":          {secp256k1Pub, make([]byte, 33)},
		"secp256k1 field":          {secp256k1Pub, append([]byte{2}, ones(32)...)},
		"secp256k1 off the curve":  {secp256k1Pub, append([]byte{2}, append(make([]byte, 31), 5)...)},
		"private Ed25519":          {0x1300, make([]byte, 32)},
		"private P-521":            {0x1308, make([]byte, 66)},
	} {
		if got, err := parseMultikey(k.String()); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for _, text := range []string{
		"", "z", "u", "m7QE", "f00", "z0", "zO", "u=", "u7Q==", "u\n7QE", "u7R", "z" + base58.Encode([]byte{0x80}), "z" + base58.Encode([]byte{0x81, 0x00}),
		"z" + base58.Encode(ones(12)), "z" + strings.Repeat("2", maxMultibase),
	} {
		if got, err := parseMultikey(text); !errors.Is(err, ErrInvalid) {
			t.Errorf("%.20q: %+v, %v", text, got, err)
		}
	}
}

// TestMultibase: both bases lead to the same key, and each has one spelling.
func TestMultibase(t *testing.T) {
	want, err := parseMultikey(nodeID)
	if err != nil {
		t.Fatal(err)
	}
	text := "u" + base64.RawURLEncoding.EncodeToString(append([]byte{0xed, 1}, want.raw...))
	if got, err := parseMultikey(text); err != nil || got.String() != nodeID {
		t.Errorf("%s: %s, %v", text, got, err)
	}
	p256, err := parseMultikey("zDnaerDaTF5BXEavCrfRZEk316dpbLsfPDZ3WJ5hRTPFU2169")
	if err != nil {
		t.Fatal(err)
	}
	odd := "u" + base64.RawURLEncoding.EncodeToString(append([]byte{0x80, 0x24}, p256.raw...))
	last := odd[len(odd)-1]
	for _, bad := range []string{text[:9] + "\n" + text[9:], text + "\r", text + "=", odd[:len(odd)-1] + string(last+1)} {
		if got, err := parseMultikey(bad); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %s, %v", bad, got, err)
		}
	}
}

// TestSecp256k1 takes the base point (SEC 2, 2.4.1), and of each sign one.
func TestSecp256k1(t *testing.T) {
	x, err := hex.DecodeString("79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
	if err != nil {
		t.Fatal(err)
	}
	y, err := hex.DecodeString("483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8")
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range []byte{2, 3} {
		if err := checkSecp256k1(append([]byte{tag}, x...)); err != nil {
			t.Errorf("sign %d: %v", tag, err)
		}
	}
	if !onCurve("secp256k1", x, y) || onCurve("secp256k1", y, x) || onCurve("secp256k1", x, y[:31]) || onCurve("secp256k1", bytes.Repeat([]byte{0xff}, 32), y) {
		t.Error("the base point is off, or something else is on the curve")
	}
	// 1 is an x of the curve; its other names beyond the prime are none.
	p := secp256k1P()
	root := new(big.Int).ModSqrt(big.NewInt(8), p)
	one, beyond := make([]byte, 32), new(big.Int).Add(p, big.NewInt(1)).Bytes()
	one[31] = 1
	if !onCurve("secp256k1", one, root.FillBytes(make([]byte, 32))) || onCurve("secp256k1", beyond, root.FillBytes(make([]byte, 32))) {
		t.Error("x is not taken as it is")
	}
}

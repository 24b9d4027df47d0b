package identity

import (
	"bytes"
	"crypto/ecdh"
	"encoding/json"
	"testing"
)

// vectorsDir holds the vectors; its README names their source.
const vectorsDir = "../testdata/vectors/"

// TestWycheproofEd25519 runs C2SP's signatures through Verify.
func TestWycheproofEd25519(t *testing.T) {
	var file struct {
		NumberOfTests int
		TestGroups    []struct {
			PublicKey struct{ PK string }
			Tests     []struct {
				TCID                      int
				Comment, Msg, Sig, Result string
			}
		}
	}
	if err := json.Unmarshal(read(t, vectorsDir+"wycheproof_ed25519_test.json"), &file); err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, g := range file.TestGroups {
		id := ID(unhex(t, g.PublicKey.PK))
		for _, v := range g.Tests {
			ran++
			if got := Verify(id, unhex(t, v.Msg), unhex(t, v.Sig)); got != (v.Result == "valid") {
				t.Errorf("%d %s: verifies %v, want %s", v.TCID, v.Comment, got, v.Result)
			}
		}
	}
	if ran != file.NumberOfTests || ran == 0 {
		t.Errorf("%d of %d vectors ran", ran, file.NumberOfTests)
	}
}

// TestWycheproofX25519 runs C2SP's key agreements through ECDH. The vectors
// allow both answers to a zero secret; ours is an error.
func TestWycheproofX25519(t *testing.T) {
	var file struct {
		NumberOfTests int
		TestGroups    []struct {
			Tests []struct {
				TCID                                     int
				Comment, Public, Private, Shared, Result string
			}
		}
	}
	if err := json.Unmarshal(read(t, vectorsDir+"wycheproof_x25519_test.json"), &file); err != nil {
		t.Fatal(err)
	}
	ran, refused := 0, 0
	for _, g := range file.TestGroups {
		for _, v := range g.Tests {
			ran++
			dh, err := ecdh.X25519().NewPrivateKey(unhex(t, v.Private))
			if err != nil {
				t.Fatal(err)
			}
			want := unhex(t, v.Shared)
			got, err := (&Local{dh: func() *ecdh.PrivateKey { return dh }}).ECDH([32]byte(unhex(t, v.Public)))
			if bytes.Equal(want, make([]byte, 32)) {
				refused++
				if err == nil {
					t.Errorf("%d %s: a zero secret is accepted", v.TCID, v.Comment)
				}
			} else if err != nil || !bytes.Equal(got[:], want) {
				t.Errorf("%d %s: %x, %v, want %x", v.TCID, v.Comment, got, err, want)
			}
		}
	}
	if ran != file.NumberOfTests || refused == 0 {
		t.Errorf("%d of %d vectors ran, %d with a zero secret", ran, file.NumberOfTests, refused)
	}
}

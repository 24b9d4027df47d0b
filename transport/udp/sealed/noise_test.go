package sealed

import (
	"bufio"
	"bytes"
	"crypto/ecdh"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/flynn/noise"
)

// rawKey is a static X25519 key that is not an Ed25519 one.
type rawKey struct{ *ecdh.PrivateKey }

func (k rawKey) ECDH(peer [32]byte) ([32]byte, error) {
	public, err := ecdh.X25519().NewPublicKey(peer[:])
	if err != nil {
		return [32]byte{}, err
	}
	secret, err := k.PrivateKey.ECDH(public)
	if err != nil {
		return [32]byte{}, err
	}
	return [32]byte(secret), nil
}

func x25519(t testing.TB, private []byte) rawKey {
	t.Helper()
	key, err := ecdh.X25519().NewPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return rawKey{key}
}

// readNoiseVectors reads blocks of key=value lines.
func readNoiseVectors(t *testing.T) []map[string][]byte {
	t.Helper()
	file, err := os.Open("testdata/noise_ik.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var blocks []map[string][]byte
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), "=")
		switch {
		case !ok || strings.HasPrefix(name, "#"):
		case name == "handshake":
			blocks = append(blocks, map[string][]byte{name: []byte(value)})
		default:
			raw, err := hex.DecodeString(value)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			blocks[len(blocks)-1][name] = raw
		}
	}
	if len(blocks) == 0 {
		t.Fatal("no vectors")
	}
	return blocks
}

// TestNoiseVectors runs the published vectors of Noise IK through our suite.
func TestNoiseVectors(t *testing.T) {
	for _, v := range readNoiseVectors(t) {
		side := func(initiator bool, static, ephemeral []byte) *noise.HandshakeState {
			key := x25519(t, static)
			s := &suite{
				CipherFunc: noise.CipherChaChaPoly, HashFunc: noise.HashBLAKE2s, static: key,
				generate: func() (*ecdh.PrivateKey, error) { return x25519(t, ephemeral).PrivateKey, nil },
			}
			cfg := noise.Config{
				CipherSuite: s, Pattern: noise.HandshakeIK, Initiator: initiator, Prologue: v["prologue"],
				StaticKeypair: noise.DHKey{Private: staticMark, Public: key.PublicKey().Bytes()},
			}
			if initiator {
				cfg.PeerStatic = x25519(t, v["resp_static"]).PublicKey().Bytes()
			}
			state, err := noise.NewHandshakeState(cfg)
			if err != nil {
				t.Fatal(err)
			}
			return state
		}
		initiator := side(true, v["init_static"], v["gen_init_ephemeral"])
		responder := side(false, v["resp_static"], v["gen_resp_ephemeral"])
		one, _, _, err := initiator.WriteMessage(nil, v["msg_0_payload"])
		check(t, "message 1", one, v["msg_0_ciphertext"], err)
		payload, _, _, err := responder.ReadMessage(nil, one)
		check(t, "payload 1", payload, v["msg_0_payload"], err)
		two, send, receive, err := responder.WriteMessage(nil, v["msg_1_payload"])
		check(t, "message 2", two, v["msg_1_ciphertext"], err)
		payload, a, b, err := initiator.ReadMessage(nil, two)
		check(t, "payload 2", payload, v["msg_1_payload"], err)
		if split(a, b) != split(send, receive) {
			t.Error("the sides have different keys")
		}
		keys := split(a, b)
		third := newAEAD(keys.toResponder).Seal(nil, make([]byte, 12), v["msg_2_payload"], nil)
		check(t, "message 3", third, v["msg_2_ciphertext"], nil)
		fourth := newAEAD(keys.toInitiator).Seal(nil, make([]byte, 12), v["msg_3_payload"], nil)
		check(t, "message 4", fourth, v["msg_3_ciphertext"], nil)
	}
}

func check(t *testing.T, what string, got, want []byte, err error) {
	t.Helper()
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: %x, want %x (%v)", what, got, want, err)
	}
}

// TestForgedRespDoesNotSpoilHandshake answers an INIT with a key of low order
// and with junk before the sound RESP comes.
func TestForgedRespDoesNotSpoilHandshake(t *testing.T) {
	w := newWorld(t)
	a, b := w.open(1), w.open(2)
	w.filter = func(f flight) []flight {
		if f.data[0] != typeResp {
			return []flight{f}
		}
		low, junk := f, f
		low.data, junk.data = bytes.Clone(f.data), bytes.Clone(f.data)
		clear(low.data[respHead : respHead+32])
		junk.data[len(junk.data)-1] ^= 1
		return []flight{low, junk, f}
	}
	if took := a.ask(b.contact(), "q", true); took != rtt {
		t.Errorf("took %v", took)
	}
	if n := a.count(droppedForged); n != 2 {
		t.Errorf("%d forged", n)
	}
}

// TestLowOrderInitiator opens a session with an ephemeral key for which every
// secret is zero.
func TestLowOrderInitiator(t *testing.T) {
	responder := seeded(t, 1)
	key, err := responder.ID().X25519()
	if err != nil {
		t.Fatal(err)
	}
	s := &suite{CipherFunc: noise.CipherChaChaPoly, HashFunc: noise.HashBLAKE2s, static: zeroAgreement{}, generate: newEphemeral}
	id := responder.ID()
	state, err := noise.NewHandshakeState(noise.Config{
		CipherSuite: lowOrder{s}, Pattern: noise.HandshakeIK, Initiator: true, PeerStatic: key[:],
		Prologue:      append(append([]byte(protocolName), wireVersion), id[:]...),
		StaticKeypair: noise.DHKey{Private: staticMark, Public: make([]byte, 32)},
	})
	if err != nil {
		t.Fatal(err)
	}
	e, err := New(Config{Identity: responder})
	if err != nil {
		t.Fatal(err)
	}
	payload, _ := appendOpening(nil, opening{id: seeded(t, 2).ID()})
	message, _, _, err := state.WriteMessage(nil, payload)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := e.readInit(initPacket{message: message}); !errors.Is(err, errAgreement) {
		t.Errorf("a key of low order: %v", err)
	}
}

// zeroAgreement and lowOrder are the keys of an attacker who sends zeros.
type zeroAgreement struct{}

func (zeroAgreement) ECDH([32]byte) (secret [32]byte, err error) { return secret, nil }

type lowOrder struct{ *suite }

func (lowOrder) GenerateKeypair(io.Reader) (noise.DHKey, error) {
	return noise.DHKey{Private: ephemeralMark, Public: make([]byte, 32)}, nil
}

func (lowOrder) DH(_, _ []byte) ([]byte, error) { return make([]byte, 32), nil }

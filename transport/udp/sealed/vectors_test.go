package sealed

import (
	"bytes"
	"crypto/ecdh"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/flynn/noise"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/transport"
)

// The golden vectors are for other implementations. Commit a change of them only
// if you can explain it.
var update = flag.Bool("update", false, "rewrite the golden vectors")

const vectorFolder = "../../../testdata/vectors"

// golden compares v with a file, or writes it.
func golden(t *testing.T, name string, v any) {
	t.Helper()
	got, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	path := filepath.Join(vectorFolder, name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the code makes", name)
	}
}

// bits is bytes that JSON shows in hex.
type bits []byte

func (b bits) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(b)), nil }

func (b *bits) UnmarshalText(text []byte) (err error) {
	*b, err = hex.DecodeString(string(text))
	return err
}

// party is one node of the conversation, with everything random about it.
type party struct {
	Seed      bits   `json:"ed25519_seed"`
	ID        bits   `json:"id"`
	X25519    bits   `json:"x25519_public"`
	Label     string `json:"label"`
	Address   string `json:"address"`
	Ephemeral bits   `json:"ephemeral_private"`
	Random    string `json:"random"`
}

type step struct {
	Packet    string `json:"packet"`
	From      string `json:"from"`
	Plaintext bits   `json:"plaintext,omitempty"`
	Bytes     bits   `json:"bytes"`
}

type conversation struct {
	About          string `json:"about"`
	Initiator      party  `json:"initiator"`
	Responder      party  `json:"responder"`
	Prologue       bits   `json:"prologue"`
	Mac1Key        bits   `json:"mac1_key"`
	Cookie         bits   `json:"cookie_for_initiator"`
	FirstNumber    uint64 `json:"first_request_number"`
	KeyToResponder bits   `json:"key_to_responder"`
	KeyToInitiator bits   `json:"key_to_initiator"`
	Steps          []step `json:"steps"`
}

// player is an endpoint of the conversation; every random byte of it is fill.
func player(t *testing.T, w *world, n int, fill byte) (*node, party) {
	t.Helper()
	seed := bytes.Repeat([]byte{byte(n)}, 32)
	ephemeral := bytes.Repeat([]byte{byte(n) + 0x10}, 32)
	id, err := identity.FromSeed([32]byte(seed), fmt.Sprintf("node%d", n), epoch)
	if err != nil {
		t.Fatal(err)
	}
	nd := w.add(n, Config{Identity: id})
	nd.random = func(b []byte) {
		for i := range b {
			b[i] = fill
		}
	}
	nd.Endpoint.ephemeral = func() (*ecdh.PrivateKey, error) { return ecdh.X25519().NewPrivateKey(ephemeral) }
	nd.seed()
	own := id.ID()
	return nd, party{
		Seed: seed, ID: own[:], X25519: nd.key[:], Label: nd.cfg.Label, Address: nd.addr.String(),
		Ephemeral: ephemeral, Random: fmt.Sprintf("every random byte is 0x%02x", fill),
	}
}

// converse plays the conversation of the vectors.
func converse(t *testing.T) (conversation, *node, *node) {
	t.Helper()
	w := newWorld(t)
	a, initiator := player(t, w, 1, 0xA1)
	b, responder := player(t, w, 2, 0xB2)
	v := conversation{
		About: "Open mesh. The initiator asks whoever is at the responder's address (HELLO), sends an idempotent request " +
			"with the INIT, and then a state-changing one. INIT and RESP plaintexts are the Noise payloads, DATA plaintexts the frames.",
		Initiator: initiator, Responder: responder, FirstNumber: uint64(a.lastCall) + 1,
		Mac1Key: b.mac1Key[:],
	}
	id := b.id.ID()
	v.Prologue = append(append([]byte(protocolName), wireVersion), id[:]...)
	cookie := b.admission.jar.make(w.now, a.addr)
	v.Cookie = cookie[:]
	a.ask(transport.Contact{Addr: b.addr}, "ping", true)
	w.run(rtt)
	a.ask(b.contact(), "change", false)
	names := map[byte]string{
		typeHello: "HELLO", typeHelloAnswer: "HELLO-ANSWER", typeInit: "INIT", typeResp: "RESP", typeCookie: "COOKIE", typeData: "DATA",
	}
	for _, f := range w.log {
		from := "initiator"
		if f.from == b.addr {
			from = "responder"
		}
		v.Steps = append(v.Steps, step{Packet: names[f.data[0]], From: from, Bytes: f.data})
	}
	return v, a, b
}

// TestHandshakeVectors plays the conversation and reads it again with nothing
// but the noise package and the keys in the file.
func TestHandshakeVectors(t *testing.T) {
	v, _, _ := converse(t)
	if len(v.Steps) != 7 {
		t.Fatalf("%d packets", len(v.Steps))
	}
	state, err := noise.NewHandshakeState(noise.Config{
		CipherSuite: noise.NewCipherSuite(noise.DH25519, noise.CipherChaChaPoly, noise.HashBLAKE2s),
		Pattern:     noise.HandshakeIK, Prologue: v.Prologue, Random: bytes.NewReader(v.Responder.Ephemeral),
		StaticKeypair: noise.DHKey{Private: montgomery(v.Responder.Seed), Public: v.Responder.X25519},
	})
	if err != nil {
		t.Fatal(err)
	}
	init, resp := &v.Steps[2], &v.Steps[3]
	payload, _, _, err := state.ReadMessage(nil, init.Bytes[8:1168])
	if err != nil || !bytes.Equal(state.PeerStatic(), v.Initiator.X25519) {
		t.Fatalf("INIT: %v", err)
	}
	init.Plaintext = payload
	o, err := decodeOpening(payload)
	if err != nil || !bytes.Equal(o.id[:], v.Initiator.ID) || string(o.request) != "ping" || o.number != v.FirstNumber {
		t.Errorf("opening %+v, %v", o, err)
	}
	resp.Plaintext, _ = appendReply(nil, reply{
		credential: credential{kind: credentialLabel, label: v.Responder.Label}, answered: true,
		observed: mustAddr(v.Initiator.Address), answer: []byte("re:ping"),
	})
	message, one, two, err := state.WriteMessage(nil, resp.Plaintext)
	if err != nil || !bytes.Equal(message, resp.Bytes[12:]) {
		t.Fatalf("RESP: %v", err)
	}
	keys := split(one, two)
	v.KeyToResponder, v.KeyToInitiator = keys.toResponder[:], keys.toInitiator[:]
	for i := range v.Steps[4:] {
		s := &v.Steps[4+i]
		key := v.KeyToResponder
		if s.From == "responder" {
			key = v.KeyToInitiator
		}
		s.Plaintext = unseal(t, key, s.Bytes)
	}
	golden(t, "sealed_conversation.json", v)
}

// montgomery is the X25519 private key of an Ed25519 seed (RFC 8032 5.1.5).
func montgomery(seed []byte) []byte {
	h := sha512.Sum512(seed)
	return h[:32]
}

func mustAddr(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// unseal decrypts a DATA packet with nothing of ours.
func unseal(t *testing.T, key, packet []byte) []byte {
	t.Helper()
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		t.Fatal(err)
	}
	nonce := make([]byte, 12)
	for i := range 8 {
		nonce[4+i] = packet[12-i]
	}
	plain, err := aead.Open(nil, nonce, packet[13:], packet[:13])
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// sample is one encoded thing.
type sample struct {
	What   string         `json:"what"`
	Fields map[string]any `json:"fields"`
	Bytes  bits           `json:"bytes"`
}

// TestCodecVectors writes every frame, credential and address once, and the
// packets of a busy responder.
func TestCodecVectors(t *testing.T) {
	var list []sample
	for _, f := range sampleFrames {
		fields := map[string]any{"kind": f.kind}
		switch f.kind {
		case frameRequest:
			fields["idempotent"], fields["try"], fields["number"], fields["data"] = f.idempotent, f.try, f.number, string(f.data)
		case frameAnswer:
			fields["try"], fields["number"], fields["observed"], fields["data"] = f.try, f.number, f.observed, string(f.data)
		case frameWorking:
			fields["number"] = f.number
		case frameChallenge, frameEcho:
			fields["token"] = bits(f.token[:])
		case frameChainGet:
			fields["parts"] = f.parts
		case frameChainPart:
			fields["index"], fields["data"] = f.index, bits(f.data)
		}
		list = append(list, sample{"frame", fields, appendFrame(nil, f)})
	}
	for _, c := range sampleCredentials {
		fields := map[string]any{"kind": c.kind, "label": c.label, "chain": bits(c.chain), "hash": bits(c.hash[:]), "size": c.size}
		list = append(list, sample{"credential", fields, appendCredential(nil, c)})
	}
	secret := [32]byte(bytes.Repeat([]byte{0xC3}, 32))
	for _, a := range []netip.AddrPort{v4, v6} {
		list = append(list, sample{"address", map[string]any{"address": a}, appendAddr(nil, a)})
		cookie := cookieFor(&secret, a)
		list = append(list, sample{"cookie", map[string]any{"secret": bits(secret[:]), "address": a}, cookie[:]})
	}
	init := appendInit(nil, 0x01020304, bytes.Repeat([]byte{0x55}, initMessage))
	key := mac1Key(identity.ID(bytes.Repeat([]byte{0x66}, 32)))
	seal1(init, key)
	cookie := cookieFor(&secret, v4)
	seal2(init, cookie)
	list = append(list, sample{"INIT with both MACs", map[string]any{
		"sender": 0x01020304, "message": "1160 bytes 0x55", "responder": bits(bytes.Repeat([]byte{0x66}, 32)),
		"mac1_key": bits(key[:]), "cookie": bits(cookie[:]),
	}, init})
	list = append(list, sample{
		"COOKIE",
		map[string]any{"receiver": 0x01020304, "mac1": bits(init[mac1At:mac2At]), "cookie": bits(cookie[:])},
		appendCookie(nil, cookiePacket{receiver: 0x01020304, mac1: mac(init[mac1At:mac2At]), cookie: cookie}),
	})
	golden(t, "sealed_codec.json", list)
}

// TestVectorsAreRead feeds the packets of the file to an endpoint as if they
// came from another implementation.
func TestVectorsAreRead(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(vectorFolder, "sealed_conversation.json"))
	if err != nil {
		t.Fatal(err)
	}
	var v conversation
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	player(t, w, 1, 0xA1)
	b, _ := player(t, w, 2, 0xB2)
	for i, s := range v.Steps {
		if s.From == "initiator" {
			b.Receive(w.now, mustAddr(v.Initiator.Address), s.Bytes, &b.out)
			b.settle()
			continue
		}
		if last := w.log[len(w.log)-1]; !bytes.Equal(last.data, s.Bytes) {
			t.Errorf("step %d: the responder said something else", i)
		}
	}
	if b.executed["ping"] != 1 || b.executed["change"] != 1 {
		t.Errorf("executed %v", b.executed)
	}
}

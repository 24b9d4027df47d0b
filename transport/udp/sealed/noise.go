package sealed

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"io"

	"github.com/flynn/noise"

	"github.com/staex-mcc/mcc/identity"
)

// protocolName opens the prologue of every handshake; the wire version and the
// responder's id follow.
const protocolName = "MCC sealed datagrams"

var errAgreement = errors.New("key agreement failed")

// agreement is what the handshake needs of the static key: identity.Identity
// without a way to read the key.
type agreement interface {
	ECDH(peer [32]byte) (secret [32]byte, err error)
}

// The noise package passes private keys around as bytes. Ours do not exist as
// bytes, so these stand for them.
var (
	staticMark    = []byte("static")
	ephemeralMark = []byte("ephemeral")
)

// suite is the Noise cipher suite 25519_ChaChaPoly_BLAKE2s of one handshake. It
// differs from the noise package's own in where the private keys are: the
// static one stays behind agreement, and the ephemeral one is kept expanded,
// which saves computing its public key on every use.
type suite struct {
	noise.CipherFunc
	noise.HashFunc
	static    agreement
	generate  func() (*ecdh.PrivateKey, error)
	ephemeral *ecdh.PrivateKey
	failed    bool
}

var suiteName = []byte("25519_ChaChaPoly_BLAKE2s")

func (s *suite) Name() []byte   { return suiteName }
func (s *suite) DHLen() int     { return 32 }
func (s *suite) DHName() string { return "25519" }

func (s *suite) GenerateKeypair(io.Reader) (noise.DHKey, error) {
	key, err := s.generate()
	if err != nil {
		return noise.DHKey{}, err
	}
	s.ephemeral = key
	return noise.DHKey{Private: ephemeralMark, Public: key.PublicKey().Bytes()}, nil
}

// DH never fails: an error in the middle of a message would leave the noise
// state unusable, and a forged answer could end a handshake that way. It notes
// the failure instead, and the message is refused when it has been read.
func (s *suite) DH(private, public []byte) ([]byte, error) {
	secret, err := s.agree(private, public)
	if err != nil {
		s.failed = true
		return make([]byte, 32), nil
	}
	return secret, nil
}

func (s *suite) agree(private, public []byte) ([]byte, error) {
	if bytes.Equal(private, staticMark) {
		secret, err := s.static.ECDH([32]byte(public))
		return secret[:], err
	}
	key, err := ecdh.X25519().NewPublicKey(public)
	if err != nil {
		return nil, err
	}
	return s.ephemeral.ECDH(key)
}

// newEphemeral makes a fresh key. It is the default of Endpoint.ephemeral.
func newEphemeral() (*ecdh.PrivateKey, error) { return ecdh.X25519().GenerateKey(rand.Reader) }

// pattern is one side of a Noise IK handshake.
type pattern struct {
	state *noise.HandshakeState
	suite *suite
}

// secrets are the two keys that a handshake leaves.
type secrets struct{ toResponder, toInitiator [32]byte }

// newPattern starts a handshake. The responder's id is part of the prologue:
// an id and its negative share one X25519 key, and this way both ends agree on
// which of the two is meant. An initiator gives the responder's X25519 key.
func newPattern(s *suite, own []byte, responder identity.ID, responderKey []byte) (*pattern, error) {
	prologue := append([]byte(protocolName), wireVersion)
	state, err := noise.NewHandshakeState(noise.Config{
		CipherSuite:   s,
		Pattern:       noise.HandshakeIK,
		Initiator:     responderKey != nil,
		Prologue:      append(prologue, responder[:]...),
		StaticKeypair: noise.DHKey{Private: staticMark, Public: own},
		PeerStatic:    responderKey,
	})
	if err != nil {
		return nil, err
	}
	return &pattern{state: state, suite: s}, nil
}

// write appends this side's next message to dst.
func (p *pattern) write(dst, payload []byte) ([]byte, secrets, error) {
	p.suite.failed = false
	out, a, b, err := p.state.WriteMessage(dst, payload)
	if err == nil && p.suite.failed {
		err = errAgreement
	}
	if err != nil {
		return nil, secrets{}, err
	}
	return out, split(a, b), nil
}

// read opens the other side's next message. After an error it can be tried
// again with another message.
func (p *pattern) read(message []byte) ([]byte, secrets, error) {
	p.suite.failed = false
	payload, a, b, err := p.state.ReadMessage(nil, message)
	if err == nil && p.suite.failed {
		err = errAgreement
	}
	if err != nil {
		return nil, secrets{}, err
	}
	return payload, split(a, b), nil
}

func split(a, b *noise.CipherState) secrets {
	if a == nil {
		return secrets{}
	}
	return secrets{toResponder: a.UnsafeKey(), toInitiator: b.UnsafeKey()}
}

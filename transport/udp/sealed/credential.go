package sealed

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/staex-mcc/mcc/identity"
)

// inlineChain is the longest chain for which a RESP keeps room. Longer ones
// travel in it only if the answer leaves enough.
const inlineChain = 450

// Bounds of the cache of verified chains.
const (
	maxKnown  = 4096
	knownLife = time.Hour
)

var (
	errNoCertificate = errors.New("it sent no certificate")
	errOtherKey      = errors.New("its certificate is for another key")
	errNoChain       = errors.New("its certificate chain did not arrive")
	errBadChain      = errors.New("its certificate chain is not what it announced")
)

// ownCredential is what this node shows of itself.
type ownCredential struct {
	certificate *identity.Certificate // what the rest was made from
	chain       []byte                // DER, one certificate after the other
	hash        [32]byte
}

// own returns the node's current credential: an identity may renew its
// certificate.
func (e *Endpoint) own() *ownCredential {
	if cert := e.cfg.Identity.Certificate(); cert != e.mine.certificate {
		chain := bytes.Join(cert.Chain(), nil)
		e.mine = ownCredential{certificate: cert, chain: chain, hash: sha256.Sum256(chain)}
	}
	return &e.mine
}

// credentials are the ways this node can show itself, the best first.
func (e *Endpoint) credentials() []credential {
	if e.cfg.Trust.Open() {
		return []credential{{kind: credentialLabel, label: e.cfg.Label}}
	}
	own := e.own()
	return []credential{
		{kind: credentialChain, chain: own.chain},
		{kind: credentialHash, hash: own.hash, size: len(own.chain)},
	}
}

// credentialRoom is what a RESP keeps free for the credential.
func (e *Endpoint) credentialRoom() int {
	if e.cfg.Trust.Open() {
		return 2 + len(e.cfg.Label)
	}
	if n := len(e.own().chain); n <= inlineChain {
		return 3 + n
	}
	return hashCredentialSize
}

// known is a chain that was verified.
type known struct {
	peer *identity.Peer
	at   time.Time
}

// verifier turns credentials into peers and remembers the chains it verified.
type verifier struct {
	trust *identity.Trust
	known *simplelru.LRU[[32]byte, known]
}

func newVerifier(trust *identity.Trust) verifier {
	cache, err := simplelru.NewLRU[[32]byte, known](maxKnown, nil)
	if err != nil {
		panic("BUG: " + err.Error()) // only a size of zero
	}
	return verifier{trust: trust, known: cache}
}

// check believes a credential or not. Neither a peer nor an error means that
// the chain has to be fetched first.
func (v *verifier) check(now time.Time, id identity.ID, c credential) (*identity.Peer, error) {
	if v.trust.Open() {
		return identity.OpenPeer(id, c.label), nil
	}
	switch c.kind {
	case credentialChain:
		return v.checkChain(now, id, c.chain)
	case credentialHash:
		if peer := v.recall(now, c.hash); peer != nil {
			return v.match(id, peer)
		}
		return nil, nil
	default:
		return nil, errNoCertificate
	}
}

// checkChain verifies a chain that is at hand.
func (v *verifier) checkChain(now time.Time, id identity.ID, chain []byte) (*identity.Peer, error) {
	hash := sha256.Sum256(chain)
	if peer := v.recall(now, hash); peer != nil {
		return v.match(id, peer)
	}
	cert, err := parseChain(chain)
	if err != nil {
		return nil, err
	}
	if cert.ID() != id {
		return nil, errOtherKey // before the costly part
	}
	peer, err := v.trust.Verify(cert, now)
	if err != nil {
		return nil, err
	}
	v.known.Add(hash, known{peer: peer, at: now})
	return peer, nil
}

// recall finds a chain that was verified not long ago and is still valid. The
// bound in time is for the CAs on the way, which may expire before the leaf.
func (v *verifier) recall(now time.Time, hash [32]byte) *identity.Peer {
	k, ok := v.known.Get(hash)
	if !ok {
		return nil
	}
	if now.Sub(k.at) > knownLife || now.After(k.peer.NotAfter) {
		v.known.Remove(hash)
		return nil
	}
	return k.peer
}

func (v *verifier) match(id identity.ID, peer *identity.Peer) (*identity.Peer, error) {
	if peer.ID != id {
		return nil, errOtherKey
	}
	return peer, nil
}

// parseChain cuts a chain into its certificates; DER delimits itself.
func parseChain(chain []byte) (*identity.Certificate, error) {
	var ders [][]byte
	s := cryptobyte.String(chain)
	for !s.Empty() {
		var der cryptobyte.String
		if len(ders) == identity.MaxChain || !s.ReadASN1Element(&der, asn1.SEQUENCE) {
			return nil, fmt.Errorf("%w: no sequence of at most %d certificates", identity.ErrBadCertificate, identity.MaxChain)
		}
		ders = append(ders, der)
	}
	return identity.CertificateFromDER(ders)
}

package dht

import (
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/staex-mcc/mcc/identity"
)

// Lifetimes of what is stored.
const (
	// RecordLife is the longest life of a record, and the customary one; and
	// how long holders keep an immutable value that is not offered again.
	RecordLife = 48 * time.Hour
	// OwnGrace is how long an own record is kept past its expiry; nobody is
	// told about it meanwhile.
	OwnGrace = 30 * 24 * time.Hour
	// LeaseLife is the customary life of a lease, MaxLeaseLife the longest.
	LeaseLife    = 2 * time.Minute
	MaxLeaseLife = 2 * time.Hour
	// ClockTolerance is how far the clocks of two nodes may be apart.
	ClockTolerance = 2 * time.Minute
)

// Signatures cover one of these tags and then what is encoded before them, so
// that no signature can pass for one of another kind (spec 6.2, 6.3).
const (
	recordSignTag = "mcc dht record 1\x00"
	leaseSignTag  = "mcc dht lease 1\x00"
)

// maxUnix bounds times on the wire, far from where arithmetic overflows.
const maxUnix = 1 << 40

// SignRecord returns r with the signature of its owner. Owner is set to the
// signer, Expires cut to whole seconds; one that is zero, a name over MaxName or
// a value over MaxValue is ErrMalformed.
func SignRecord(id identity.Identity, r Record) (Record, error) {
	r.Owner = id.ID()
	r.Expires = wholeSeconds(r.Expires)
	it := RecordItem(r)
	if err := it.check(); err != nil {
		return Record{}, err
	}
	sig, err := id.Sign(it.signed())
	if err != nil {
		return Record{}, fmt.Errorf("sign record %q: %w", r.Name, err)
	}
	r.Sig = sig
	return r, nil
}

// Verify reports with ErrMalformed that the record breaks a rule of the format
// or that its owner did not sign it. It does not look at the clock.
func (r Record) Verify() error {
	if r.Owner.IsZero() {
		return fmt.Errorf("record: %w: no owner", ErrMalformed)
	}
	return RecordItem(r).verify()
}

// Key is the position of the record.
func (r Record) Key() Key { return RecordKey(r.Owner, r.Name) }

// SignLease returns l with the signature of its provider. Provider is set to
// the signer, Expires cut to whole seconds. A zero Expires makes a withdrawal,
// which has no Body.
func SignLease(id identity.Identity, l Lease) (Lease, error) {
	l.Provider = id.ID()
	l.Expires = wholeSeconds(l.Expires)
	if err := l.check(); err != nil {
		return Lease{}, err
	}
	sig, err := id.Sign(l.signed())
	if err != nil {
		return Lease{}, fmt.Errorf("sign lease: %w", err)
	}
	l.Sig = sig
	return l, nil
}

// VerifyLease reports with ErrMalformed that the lease breaks a rule of the
// format or that its provider did not sign it. It does not look at the clock.
func VerifyLease(l Lease) error {
	if err := l.check(); err != nil {
		return err
	}
	if !identity.Verify(l.Provider, l.signed(), l.Sig) {
		return fmt.Errorf("lease: %w: wrong signature", ErrMalformed)
	}
	return nil
}

// Withdrawn reports whether l ends the provider's lease instead of being one.
func (l Lease) Withdrawn() bool { return l.Expires.IsZero() }

func (l Lease) signed() []byte {
	return appendLeaseFields(append([]byte(leaseSignTag), l.Key[:]...), l)
}

func (l Lease) check() error {
	switch {
	case l.Provider.IsZero():
		return fmt.Errorf("lease: %w: no provider", ErrMalformed)
	case leaseSize(l) > MaxRecord:
		return fmt.Errorf("lease: %w: %d bytes encoded, at most %d", ErrMalformed, leaseSize(l), MaxRecord)
	case l.Withdrawn() && len(l.Body) > 0:
		return fmt.Errorf("lease: %w: a withdrawal with a body", ErrMalformed)
	case !l.Withdrawn() && !validTime(l.Expires):
		return fmt.Errorf("lease: %w: it expires at no valid time", ErrMalformed)
	}
	return nil
}

// compareLeases orders versions of one provider's lease: by sequence; should a
// provider reuse one, the larger hash wins everywhere.
func compareLeases(a, b *Lease) int {
	if a.Seq != b.Seq {
		return compareBool(a.Seq > b.Seq)
	}
	x, y := Key(sha256.Sum256(a.signed())), Key(sha256.Sum256(b.signed()))
	return x.Compare(y)
}

func compareBool(greater bool) int {
	if greater {
		return 1
	}
	return -1
}

// wholeSeconds cuts t to what the wire carries.
func wholeSeconds(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return time.Unix(t.Unix(), 0).UTC()
}

func validTime(t time.Time) bool {
	return t.Nanosecond() == 0 && t.Unix() > 0 && t.Unix() < maxUnix
}

package client

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"lukechampine.com/blake3"

	mcc "github.com/staex-mcc/mcc"
	"github.com/staex-mcc/mcc/identity"
)

// maxTTL is how long a record may be asked to live.
const maxTTL = 48 * time.Hour

// PutRecord implements mcc.Records. The record that comes back is verified.
func (c *Client) PutRecord(ctx context.Context, name string, value []byte, o mcc.RecordOptions) (mcc.Record, error) {
	switch err := mcc.CheckRecordName(name); {
	case err != nil:
		return mcc.Record{}, err
	case len(value) > mcc.MaxValue: // the node would hang up on so much
		return mcc.Record{}, fmt.Errorf("record %q: %w: %d bytes, at most %d", name, mcc.ErrTooLarge, len(value), mcc.MaxValue)
	case o.TTL < 0 || o.TTL > maxTTL || o.TTL > 0 && o.TTL < time.Second:
		return mcc.Record{}, fmt.Errorf("record %q: %w: it lives from 1 s to %s", name, mcc.ErrInvalid, maxTTL)
	}
	to, header := path("records", name), http.Header{}
	if o.TTL > 0 {
		to += "?ttl_s=" + strconv.FormatInt(int64(o.TTL/time.Second), 10)
	}
	if o.IfSeq != nil {
		header.Set("If-Match", strconv.FormatUint(*o.IfSeq, 10))
	}
	said, _, err := c.raw(ctx, http.MethodPut, to, header, notNil(value))
	if err != nil {
		return mcc.Record{}, err
	}
	return readRecord(said.Header, name, value)
}

// GetRecord implements mcc.Records. The record is verified, also that it is of
// the owner if that is an id or did:key; whose a label is, the node says.
func (c *Client) GetRecord(ctx context.Context, owner, name string) (mcc.Record, error) {
	if err := mcc.CheckRecordName(name); err != nil {
		return mcc.Record{}, err
	}
	if owner == "" {
		return mcc.Record{}, fmt.Errorf("record %q: %w: no owner", name, mcc.ErrInvalid)
	}
	said, value, err := c.raw(ctx, http.MethodGet, path("records", owner, name), nil, nil)
	if err != nil {
		return mcc.Record{}, err
	}
	r, err := readRecord(said.Header, name, value)
	if id, bad := identity.ParseID(strings.TrimPrefix(owner, "did:key:")); err == nil && bad == nil && id != r.Owner {
		return mcc.Record{}, fmt.Errorf("record %q: %w: asked for that of %s, got that of %s", name, mcc.ErrDamaged, id, r.Owner)
	}
	return r, err
}

// DropRecord implements mcc.Records.
func (c *Client) DropRecord(ctx context.Context, name string) error {
	if err := mcc.CheckRecordName(name); err != nil {
		return err
	}
	return c.call(ctx, "DELETE", path("records", name), nil, nil)
}

// readRecord makes a record of the headers that describe one, and verifies it.
func readRecord(hd http.Header, name string, value []byte) (mcc.Record, error) {
	r := mcc.Record{Name: name, Value: value}
	var err error
	if r.Owner, err = identity.ParseID(hd.Get("Mcc-Owner")); err == nil {
		r.Seq, err = strconv.ParseUint(hd.Get("Mcc-Seq"), 10, 64)
	}
	if err == nil {
		r.Expires, err = time.Parse(time.RFC3339Nano, hd.Get("Mcc-Expires"))
	}
	if err == nil {
		r.Sig, err = base64.StdEncoding.DecodeString(hd.Get("Mcc-Signature"))
	}
	if err == nil {
		err = r.Verify()
	}
	if err != nil {
		return mcc.Record{}, fmt.Errorf("record %q: %w: the node's answer: %w", name, mcc.ErrDamaged, err)
	}
	return r, nil
}

// PutValue implements mcc.Records.
func (c *Client) PutValue(ctx context.Context, value []byte) (mcc.Hash, error) {
	if len(value) > mcc.MaxValue {
		return mcc.Hash{}, fmt.Errorf("value: %w: %d bytes, at most %d", mcc.ErrTooLarge, len(value), mcc.MaxValue)
	}
	said, _, err := c.raw(ctx, http.MethodPost, path("values"), nil, notNil(value))
	if err != nil {
		return mcc.Hash{}, err
	}
	id := mcc.Hash(blake3.Sum256(value))
	if got := strings.Trim(said.Header.Get("ETag"), `"`); got != id.String() {
		return mcc.Hash{}, fmt.Errorf("value: %w: its hash is %s, the node says %q", mcc.ErrDamaged, id, got)
	}
	return id, nil
}

// GetValue implements mcc.Records. The hash is verified here.
func (c *Client) GetValue(ctx context.Context, id mcc.Hash) ([]byte, error) {
	_, value, err := c.raw(ctx, http.MethodGet, path("values", id.String()), nil, nil)
	if err != nil {
		return nil, err
	}
	if got := mcc.Hash(blake3.Sum256(value)); got != id {
		return nil, fmt.Errorf("value %s: %w: the node answered one with hash %s", id, mcc.ErrDamaged, got)
	}
	return value, nil
}

// DropValue implements mcc.Records.
func (c *Client) DropValue(ctx context.Context, id mcc.Hash) error {
	return c.call(ctx, "DELETE", path("values", id.String()), nil, nil)
}

// notNil keeps an empty body from being none.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

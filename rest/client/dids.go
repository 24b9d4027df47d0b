package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	mcc "github.com/staex-mcc/mcc"
)

// PutDID implements mcc.DIDs.
func (c *Client) PutDID(ctx context.Context, did string, document []byte) (mcc.DIDDocument, error) {
	if err := checkDID(did); err != nil {
		return mcc.DIDDocument{}, err
	}
	if len(document) > mcc.MaxValue {
		return mcc.DIDDocument{}, fmt.Errorf("did document: %w: %d bytes, at most %d", mcc.ErrTooLarge, len(document), mcc.MaxValue)
	}
	said, _, err := c.raw(ctx, http.MethodPut, path("dids", did), nil, notNil(document))
	if err != nil {
		return mcc.DIDDocument{}, err
	}
	version, err := c.version(said.Header)
	if err == nil && version == 0 {
		err = c.foreign(errors.New("the document has no version"))
	}
	if err != nil {
		return mcc.DIDDocument{}, err
	}
	return mcc.DIDDocument{DID: did, Document: document, Version: version}, nil
}

// ResolveDID implements mcc.DIDs. The document is the one that the node found;
// that it is a JSON object is all that is checked here.
func (c *Client) ResolveDID(ctx context.Context, did string) (mcc.DIDDocument, error) {
	if err := checkDID(did); err != nil {
		return mcc.DIDDocument{}, err
	}
	said, document, err := c.raw(ctx, http.MethodGet, path("dids", did), nil, nil)
	if err != nil {
		return mcc.DIDDocument{}, err
	}
	if said.StatusCode != http.StatusOK || !isObject(document) {
		return mcc.DIDDocument{}, c.foreign(fmt.Errorf("%w: status %d, and no JSON object", mcc.ErrDamaged, said.StatusCode))
	}
	version, err := c.version(said.Header)
	if err != nil {
		return mcc.DIDDocument{}, err
	}
	return mcc.DIDDocument{DID: did, Document: document, Version: version}, nil
}

func isObject(text []byte) bool {
	return json.Valid(text) && bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("{"))
}

// DeactivateDID implements mcc.DIDs.
func (c *Client) DeactivateDID(ctx context.Context, did string) error {
	if err := checkDID(did); err != nil {
		return err
	}
	return c.call(ctx, "DELETE", path("dids", did), nil, nil)
}

// checkDID keeps what could not stand in a path from being asked for; the rest
// is the node's to judge.
func checkDID(did string) error {
	if did == "" || len(did) > 2048 {
		return fmt.Errorf("did: %w: it has 1 to 2048 bytes", mcc.ErrInvalid)
	}
	return nil
}

// version reads the ETag; without one the document has no versions.
func (c *Client) version(hd http.Header) (uint64, error) {
	tag := strings.Trim(hd.Get("ETag"), `"`)
	if tag == "" {
		return 0, nil
	}
	version, err := strconv.ParseUint(tag, 10, 64)
	if err != nil {
		return 0, c.foreign(fmt.Errorf("version %q", tag))
	}
	return version, nil
}

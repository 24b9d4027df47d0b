package client

import (
	"context"
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
	version, err := c.version(said)
	return mcc.DIDDocument{DID: did, Document: document, Version: version}, err
}

// ResolveDID implements mcc.DIDs. The document is the one that the node found.
func (c *Client) ResolveDID(ctx context.Context, did string) (mcc.DIDDocument, error) {
	if err := checkDID(did); err != nil {
		return mcc.DIDDocument{}, err
	}
	said, document, err := c.raw(ctx, http.MethodGet, path("dids", did), nil, nil)
	if err != nil {
		return mcc.DIDDocument{}, err
	}
	version, err := c.version(said)
	return mcc.DIDDocument{DID: did, Document: document, Version: version}, err
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
		return 0, fmt.Errorf("the answer of %s is not the API's: version %q", c.base, tag)
	}
	return version, nil
}

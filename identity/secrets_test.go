package identity

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// TestSecretsStayInside prints every type that holds a key in every common way
// and looks for the key.
func TestSecretsStayInside(t *testing.T) {
	own := localOf(t, 0xa0, "web")
	key := own.key
	type holder struct {
		Key    PrivateKey
		Ptr    *PrivateKey
		Own    Identity
		hidden PrivateKey
		local  *Local
	}
	h := holder{key, &key, own, key, own}
	cert := TLSCertificate(own)
	values := map[string]any{
		"key": key, "pointer": &key, "local": own, "local value": *own, "holder": h, "holder pointer": &h,
		"signer": Signer(own), "tls": cert, "tls pointer": &cert, "slice": []PrivateKey{key}, "map": map[string]any{"k": key, "l": own},
		"certificate": own.Certificate(), "identity": Identity(own),
	}
	needles := secretForms(t, key)
	for name, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			wantNone(t, name+" "+verb, fmt.Sprintf(verb, v), needles)
		}
		if text, err := json.Marshal(v); err == nil {
			wantNone(t, name+" json", string(text), needles)
		}
		if text, err := xml.Marshal(v); err == nil {
			wantNone(t, name+" xml", string(text), needles)
		}
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "v", v)
		slog.New(slog.NewTextHandler(&log, nil)).Info("m", "v", v)
		core := zapcore.NewCore(zapcore.NewJSONEncoder(zapcore.EncoderConfig{}), zapcore.AddSync(&log), zapcore.DebugLevel)
		zap.New(core).Info("m", zap.Any("v", v), zap.Reflect("r", v))
		wantNone(t, name+" log", log.String(), needles)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		if got := fmt.Sprintf(verb, key); got != redacted {
			t.Errorf("%s of a key prints %q", verb, got)
		}
	}
	if text, err := json.Marshal(key); err != nil || string(text) != `"[redacted]"` {
		t.Errorf("json of a key: %s, %v", text, err)
	}
}

// secretForms are the ways a leaked key would look. Four bytes are enough to
// tell, and not so few that they turn up by chance.
func secretForms(t *testing.T, key PrivateKey) []string {
	t.Helper()
	dh, err := key.x25519()
	if err != nil {
		t.Fatal(err)
	}
	var forms []string
	for _, secret := range [][]byte{key.reveal().Seed(), dh.Bytes()} {
		for at := 0; at+6 <= len(secret); at += 6 { // base64 in whole groups
			part := secret[at : at+6]
			decimal := strings.Trim(fmt.Sprint(part), "[]")
			forms = append(forms, hex.EncodeToString(part), strings.ToUpper(hex.EncodeToString(part)),
				base64.StdEncoding.EncodeToString(part), base64.URLEncoding.EncodeToString(part),
				decimal, strings.ReplaceAll(decimal, " ", ","), strings.Trim(fmt.Sprintf("%#v", part), "[]byte{}"), string(part))
		}
	}
	return forms
}

func wantNone(t *testing.T, what, text string, needles []string) {
	t.Helper()
	for _, n := range needles {
		if strings.Contains(text, n) {
			t.Errorf("%s shows the key (%d bytes of output)", what, len(text))
			return
		}
	}
}

// TestSecretsTestCanFail: the forms are found in what plain keys print.
func TestSecretsTestCanFail(t *testing.T) {
	key := localOf(t, 0xa0, "web").key
	plain := key.reveal()
	text, err := json.Marshal(plain)
	if err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{fmt.Sprint(plain), fmt.Sprintf("%x", plain), fmt.Sprintf("%X", plain), fmt.Sprintf("%#v", plain), string(plain), string(text)} {
		found := false
		for _, n := range secretForms(t, key) {
			found = found || strings.Contains(out, n)
		}
		if !found {
			t.Errorf("a leak would go unseen: %.60q", out)
		}
	}
}

// TestKeyErrorsHoldNoKey: a key file that is nearly right must not be quoted.
func TestKeyErrorsHoldNoKey(t *testing.T) {
	key := localOf(t, 0xa0, "web").key
	text, err := key.MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	body := strings.Split(string(text), "\n")[1]
	// Windows of the body cover every alignment of base64 that a quote has.
	for _, in := range []string{
		string(text)[:len(text)-10], body + "!", body + body, body[:40], "x" + body, strings.ToLower(string(text)),
		strings.Replace(string(text), "PRIVATE KEY", body[20:50], 2), body + "====",
	} {
		_, err := ParsePrivateKey([]byte(in))
		if err == nil {
			t.Errorf("accepted: %d bytes", len(in))
			continue
		}
		for at := 24; at+10 <= len(body); at++ {
			if strings.Contains(err.Error(), body[at:at+10]) {
				t.Errorf("an error quotes the key (%d bytes long)", len(err.Error()))
				break
			}
		}
	}
}

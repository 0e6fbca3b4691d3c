package jose

import "strings"

// MaxTokenSize is the size of a token, in bytes, that Parse takes by default.
const MaxTokenSize = 16 << 10

// Token is a compact JWS (RFC 7515, 7.1) with a JWT claims set (RFC 7519). Parse
// makes it; nothing in it is verified before KeySet.Verify says so. It is
// immutable: header and claims must not be changed. It shares memory with the
// text that it was parsed from.
type Token struct {
	Header map[string]any // as DecodeJSON gives it
	Claims map[string]any
	Alg    Algorithm
	KeyID  string // kid, or ""
	Registered

	alg   *algorithm
	raw   string
	dot1  int // of raw: where the header ends
	dot2  int // of raw: where the payload ends
	sig   []byte
	loose bool   // the signature's padding bits are not zero: it never verifies
	plain []byte // the payload's JSON
}

// Parse decodes a token of at most maxBytes (0: MaxTokenSize). Checks are made
// in the order of Envoy's, so that the same bad token gets the same *Error kind.
func Parse(token string, maxBytes int) (*Token, error) {
	if maxBytes <= 0 {
		maxBytes = MaxTokenSize
	}
	if len(token) > maxBytes {
		return nil, failf(BadFormat, "it has %d bytes, more than %d", len(token), maxBytes)
	}
	t := &Token{raw: token, dot1: strings.IndexByte(token, '.'), dot2: strings.LastIndexByte(token, '.')}
	if err := t.checkForm(); err != nil {
		return nil, err
	}
	if err := t.parseHeader(); err != nil {
		return nil, err
	}
	b, ok := decode64String(t.Payload())
	if !ok {
		return nil, fail(PayloadBase64, "")
	}
	var err error
	if t.Claims, err = DecodeJSON(b); err != nil {
		return nil, fail(PayloadJSON, err.Error())
	}
	t.plain = b
	if err := t.Registered.read(t.Claims); err != nil {
		return nil, err
	}
	if t.sig, t.loose, ok = decode64Loose(token[t.dot2+1:]); !ok {
		return nil, fail(SignatureBase64, "")
	}
	return t, nil
}

func (t *Token) checkForm() error {
	switch n := strings.Count(t.raw, "."); {
	case n == 4:
		return fail(BadFormat, "five sections: an encrypted token (JWE), which nobody but its recipient can read")
	case n != 2:
		return failf(BadFormat, "%d sections", n+1)
	case t.dot2 == len(t.raw)-1:
		return fail(BadFormat, "the signature is empty")
	case t.dot2 == t.dot1+1:
		return fail(BadFormat, "the payload is empty: a detached one is not taken")
	case strings.IndexFunc(t.raw[:t.dot1], func(r rune) bool { return r < 256 && is64[r] }) < 0:
		return fail(BadFormat, "the header is empty")
	}
	return nil
}

func (t *Token) parseHeader() error {
	b, ok := decode64String(t.raw[:t.dot1])
	if !ok {
		return fail(HeaderBase64, "")
	}
	var err error
	if t.Header, err = DecodeJSON(b); err != nil {
		return fail(HeaderJSON, err.Error())
	}
	alg, ok := t.Header["alg"].(string)
	if !ok {
		return fail(HeaderAlg, "")
	}
	if t.alg = algorithms[Algorithm(alg)]; t.alg == nil {
		return failf(AlgUnsupported, "alg is %s", shown(alg))
	}
	t.Alg = t.alg.name
	if kid, there := t.Header["kid"]; there {
		if t.KeyID, ok = kid.(string); !ok {
			return fail(HeaderKID, "")
		}
	}
	// No extension is understood, so none may be critical (RFC 7515, 4.1.11).
	if _, there := t.Header["crit"]; there {
		return fail(CritUnsupported, "")
	}
	return nil
}

// Payload is the second section as it stands in the token: base64url, unpadded.
func (t *Token) Payload() string { return t.raw[t.dot1+1 : t.dot2] }

// PayloadJSON is the payload's text. It must not be changed.
func (t *Token) PayloadJSON() []byte { return t.plain }

// Raw is the whole token: a secret.
func (t *Token) Raw() string { return t.raw }

// String shows nothing of the token, so that no log does by accident.
func (t *Token) String() string { return "[redacted]" }

// GoString is String.
func (t *Token) GoString() string { return "[redacted]" }

// Size is about what the token takes in memory with all that was decoded from it,
// in bytes.
func (t *Token) Size() int {
	const itself = 512
	return itself + len(t.raw) + len(t.plain) + len(t.sig) + Footprint(t.Header) + Footprint(t.Claims) + 16*len(t.Audience)
}

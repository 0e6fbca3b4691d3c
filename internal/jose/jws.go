package jose

import (
	"fmt"
	"io"
	"strings"

	"github.com/usher-mesh/usher/internal/jsondoc"
)

// MaxTokenSize is the size of a token, in bytes, that is taken by default.
const MaxTokenSize = 16 << 10

// JWS is a JSON Web Signature in compact form (RFC 7515, 7.1), whatever its payload
// is. ParseJWS makes it; nothing in it is verified before a KeySet says so. It is
// immutable. It shares memory with the text that it
// was parsed from.
type JWS struct {
	Header jsondoc.Value // an object
	Alg    Algorithm
	KeyID  string // kid, or ""

	alg   *algorithm
	raw   string
	dot1  int    // of raw: where the header ends
	dot2  int    // of raw: where the payload ends
	plain string // the payload decoded
	sig   []byte
	loose bool // the signature's spare bits are not zero: it never verifies
}

// ParseJWS decodes a JWS of at most maxBytes (0: MaxTokenSize). Unlike Parse it
// takes any payload. Errors are *Error.
func ParseJWS(text string, maxBytes int) (*JWS, error) {
	j := new(JWS)
	if err := j.read(text, maxBytes); err != nil {
		return nil, err
	}
	if err := j.readSignature(); err != nil {
		return nil, err
	}
	return j, nil
}

// read decodes header and payload.
func (j *JWS) read(text string, maxBytes int) error {
	if maxBytes <= 0 {
		maxBytes = MaxTokenSize
	}
	if len(text) > maxBytes {
		return failf(BadFormat, "it has %d bytes, more than %d", len(text), maxBytes)
	}
	j.raw, j.dot1, j.dot2 = text, strings.IndexByte(text, '.'), strings.LastIndexByte(text, '.')
	if err := j.checkForm(); err != nil {
		return err
	}
	var room [1536]byte // on the stack: enough for most tokens
	if err := j.readHeader(room[:]); err != nil {
		return err
	}
	var ok bool
	if j.plain, ok = decode64Text(room[:], j.Payload()); !ok {
		return fail(PayloadBase64, "")
	}
	return nil
}

func (j *JWS) checkForm() error {
	switch n := strings.Count(j.raw, "."); {
	case strings.HasPrefix(j.raw, "{"):
		return fail(BadFormat, "it is JSON, not the compact form of a JWS")
	case n == 4:
		return fail(BadFormat, "it has five sections: an encrypted token (JWE), which nobody but its recipient can read")
	case n != 2:
		return failf(BadFormat, "it has %d sections", n+1)
	case j.dot2 == len(j.raw)-1:
		return fail(BadFormat, "the signature is empty")
	case j.dot2 == j.dot1+1:
		return fail(BadFormat, "the payload is empty: a detached one (RFC 7515, appendix F) is not taken")
	case strings.IndexFunc(j.raw[:j.dot1], func(r rune) bool { return r < 256 && value64[r] < 64 }) < 0:
		return fail(BadFormat, "the header is empty")
	}
	return nil
}

func (j *JWS) readHeader(room []byte) error {
	text, ok := decode64Text(room, j.raw[:j.dot1])
	if !ok {
		return fail(HeaderBase64, "")
	}
	var err error
	if j.Header, err = jsondoc.Parse(text); err != nil {
		return fail(HeaderJSON, err.Error())
	}
	alg, ok := j.Header.Get("alg").Text()
	if !ok {
		return fail(HeaderAlg, "")
	}
	if j.alg = algorithms[Algorithm(alg)]; j.alg == nil {
		return failf(AlgUnsupported, "alg is %s", shown(alg))
	}
	j.Alg = j.alg.name
	if kid := j.Header.Get("kid"); kid != nil {
		if j.KeyID, ok = kid.Text(); !ok {
			return fail(HeaderKID, "")
		}
	}
	return j.checkExtensions()
}

// checkExtensions refuses a header that asks for what is not understood here.
func (j *JWS) checkExtensions() error {
	// No extension is understood, so none may be critical (RFC 7515, 4.1.11).
	if crit := j.Header.Get("crit"); crit != nil {
		var l []string
		for _, v := range crit.All() {
			s, _ := v.Text()
			l = append(l, s)
		}
		return failf(CritUnsupported, "crit asks for %s", listed(l, shown))
	}
	// b64 means something only if it is critical, and a JWT must not have it
	// (RFC 7797, 6 and 7). Who honours it reads another payload than we do.
	if b64 := j.Header.Get("b64"); b64 != nil && b64.Kind() != jsondoc.True {
		return fail(CritUnsupported, "b64 is not true: an unencoded payload (RFC 7797)")
	}
	return nil
}

// readSignature decodes the signature. One with spare bits that are not zero is
// refused in any case, but only Verify can say by which text: see there.
func (j *JWS) readSignature() error {
	s := j.raw[j.dot2+1:]
	sig, spare, ok := decode64(make([]byte, size64(s)), s)
	if !ok {
		return fail(SignatureBase64, "")
	}
	j.sig, j.loose = sig, spare != 0
	return nil
}

// Payload is the second section as it stands in the text: base64url, unpadded.
func (j *JWS) Payload() string { return j.raw[j.dot1+1 : j.dot2] }

// Content is the payload decoded: any bytes at all.
func (j *JWS) Content() string { return j.plain }

// Raw is the whole text: a secret.
func (j *JWS) Raw() string { return j.raw }

// Format shows nothing of it for any verb, so that no log does by accident.
func (JWS) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// MarshalText is Format for encoding/json and log/slog.
func (JWS) MarshalText() ([]byte, error) { return []byte(redacted), nil }

const redacted = "[redacted]"

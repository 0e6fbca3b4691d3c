package jose

import "github.com/usher-mesh/usher/internal/jsondoc"

// Token is a JWS whose payload is a JWT claims set (RFC 7519). Parse makes it;
// nothing in it is verified before KeySet.Verify says so. It is immutable.
type Token struct {
	JWS
	Claims jsondoc.Value // an object
	Registered
}

// Parse decodes a token of at most maxBytes (0: MaxTokenSize). Checks are made
// in the order of Envoy's, so that the same bad token gets the same *Error kind.
func Parse(token string, maxBytes int) (*Token, error) {
	t := new(Token)
	if err := t.JWS.read(token, maxBytes); err != nil {
		return nil, err
	}
	var err error
	if t.Claims, err = jsondoc.Parse(t.plain); err != nil {
		return nil, fail(PayloadJSON, err.Error())
	}
	if err := t.Registered.read(t.Claims); err != nil {
		return nil, err
	}
	if err := t.readSignature(); err != nil {
		return nil, err
	}
	return t, nil
}

// Size is about what the token takes in memory with all that was decoded from it,
// in bytes.
func (t *Token) Size() int {
	const itself = 512
	return itself + len(t.raw) + len(t.plain) + len(t.sig) + t.Header.Bytes() + t.Claims.Bytes() + 16*len(t.Audience)
}

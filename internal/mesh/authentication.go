package mesh

import "time"

// JWTRule is one issuer whose tokens a workload takes.
type JWTRule struct {
	Ref       Ref
	Index     int // of the rule in its object
	Issuer    string
	Audiences []string
	// JWKS is the inline key set; if "", KeySet is the URI that the mirror
	// serves.
	JWKS   string
	KeySet string

	Headers []JWTHeader
	Params  []string
	Cookies []string

	Forward          bool   // keep the token on the request
	PayloadHeader    string // gets the payload as base64url; "" for none
	ClaimHeaders     []ClaimHeader
	SpaceDelimited   []string // claims that are split at spaces
	FetchTimeout     time.Duration
	Triggers         []Trigger
	AcceptClockSkewS uint32
}

// JWTHeader is a request header that a token may stand in.
type JWTHeader struct{ Name, Prefix string }

// ClaimHeader copies a claim into a request header.
type ClaimHeader struct{ Header, Claim string }

// OriginPolicy is the winning Policy's rule for end users at one workload or
// port.
type OriginPolicy struct {
	Ref      Ref
	Rules    []JWTRule // the first that succeeds is enough
	Optional bool
	// UseOrigin is what the Policy asks for: that the request's principal is the
	// token's. It is so without it, too; the translation then warns.
	UseOrigin bool
}

// Trigger says for which paths a rule is asked at all: no Excluded matches and,
// if there are any, one Included does. Query and fragment do not count.
type Trigger struct {
	Included, Excluded []StringMatch
}

// MatchKind is how a StringMatch compares.
type MatchKind uint8

// The kinds of match.
const (
	Exact MatchKind = iota
	Prefix
	Suffix
	Regex
	Present // there, and not empty
)

// StringMatch matches a text.
type StringMatch struct {
	Kind       MatchKind
	Value      string
	IgnoreCase bool
}

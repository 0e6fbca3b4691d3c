// Package tokens issues and reviews the tokens of service accounts: JWTs of the form
// that Kubernetes gives out, bound to one service account's uid and to audiences, and
// dead once that service account is deleted.
//
// It owns their form and the three endpoints that deal with them. It must not know
// how service accounts are stored, nor what a token's holder may do.
package tokens

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
)

// Issuer is the iss of every token, and the audience of those that are meant for the
// API itself.
const Issuer = "https://kubernetes.default.svc.cluster.local"

// maxToken bounds what is parsed, in bytes.
const maxToken = 16 << 10

// leeway is how far two clocks of one machine may differ after a change of time.
const leeway = 10 * time.Second

// Accounts looks a service account up, past every cache.
type Accounts interface {
	ServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error)
}

// Authority signs and verifies tokens with one P-256 key.
type Authority struct {
	accounts Accounts
	public   *ecdsa.PublicKey
	kid      string
	signer   jose.Signer
	now      func() time.Time
}

var _ authenticator.Token = &Authority{}

// New makes an authority of key; now is its clock.
func New(key *ecdsa.PrivateKey, accounts Accounts, now func() time.Time) (*Authority, error) {
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("tokens: %w", err)
	}
	sum := sha256.Sum256(der)
	kid := base64.RawURLEncoding.EncodeToString(sum[:])
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key},
		(&jose.SignerOptions{}).WithHeader("kid", kid))
	if err != nil {
		return nil, fmt.Errorf("tokens: %w", err)
	}
	return &Authority{accounts: accounts, public: &key.PublicKey, kid: kid, signer: signer, now: now}, nil
}

// private are the claims beside the registered ones, as Kubernetes names them.
type private struct {
	Kubernetes bound `json:"kubernetes.io"`
}

type bound struct {
	Namespace      string  `json:"namespace"`
	ServiceAccount account `json:"serviceaccount"`
}

type account struct {
	Name string `json:"name"`
	UID  string `json:"uid"`
}

// sign is a token of sa for audiences, and when it expires.
func (a *Authority) sign(sa *corev1.ServiceAccount, audiences []string, life time.Duration) (string, time.Time, error) {
	now := a.now()
	expires := now.Add(life)
	token, err := jwt.Signed(a.signer).
		Claims(jwt.Claims{
			Issuer:    Issuer,
			Subject:   serviceaccount.MakeUsername(sa.Namespace, sa.Name),
			Audience:  audiences,
			IssuedAt:  jwt.NewNumericDate(now),
			NotBefore: jwt.NewNumericDate(now),
			Expiry:    jwt.NewNumericDate(expires),
			ID:        rand.Text(),
		}).
		Claims(private{bound{Namespace: sa.Namespace, ServiceAccount: account{Name: sa.Name, UID: string(sa.UID)}}}).
		Serialize()
	return token, expires, err
}

// errInvalid is all that the holder of a bad token learns.
var errInvalid = errors.New("invalid bearer token")

// AuthenticateToken is the user of a token that is good for one of the audiences of
// ctx; without audiences there, for the API's own. Everything else is an error,
// which the API answers with 401.
func (a *Authority) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	wanted, ok := authenticator.AudiencesFrom(ctx)
	if !ok || len(wanted) == 0 {
		wanted = authenticator.Audiences{Issuer}
	}
	claims, own, err := a.verify(token)
	if err != nil {
		return nil, false, err
	}
	audiences := wanted.Intersect(authenticator.Audiences(claims.Audience))
	if len(audiences) == 0 {
		return nil, false, errInvalid
	}
	k := own.Kubernetes
	sa, err := a.accounts.ServiceAccount(ctx, k.Namespace, k.ServiceAccount.Name)
	if err != nil || string(sa.UID) != k.ServiceAccount.UID || sa.DeletionTimestamp != nil {
		return nil, false, errInvalid
	}
	info := serviceaccount.ServiceAccountInfo{Namespace: k.Namespace, Name: sa.Name, UID: string(sa.UID), CredentialID: "JTI=" + claims.ID}
	return &authenticator.Response{User: info.UserInfo(), Audiences: audiences}, true, nil
}

// canonical is whether a token is written in the one way that sign writes it. The
// library's decoder is generous with the last bits of each part.
func canonical(token string) bool {
	if len(token) > maxToken || strings.ContainsAny(token, "\r\n") {
		return false
	}
	for part := range strings.SplitSeq(token, ".") {
		if _, err := base64.RawURLEncoding.Strict().DecodeString(part); err != nil {
			return false
		}
	}
	return true
}

func (a *Authority) verify(token string) (*jwt.Claims, *private, error) {
	if !canonical(token) {
		return nil, nil, errInvalid
	}
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil || len(parsed.Headers) != 1 || parsed.Headers[0].KeyID != a.kid {
		return nil, nil, errInvalid
	}
	var claims jwt.Claims
	var own private
	if err := parsed.Claims(a.public, &claims, &own); err != nil {
		return nil, nil, errInvalid
	}
	if claims.Expiry == nil || claims.NotBefore == nil {
		return nil, nil, errInvalid
	}
	if claims.ValidateWithLeeway(jwt.Expected{Issuer: Issuer, Time: a.now()}, leeway) != nil {
		return nil, nil, errInvalid
	}
	k := own.Kubernetes
	if k.ServiceAccount.UID == "" || claims.Subject != serviceaccount.MakeUsername(k.Namespace, k.ServiceAccount.Name) || slices.Contains([]string{k.Namespace, k.ServiceAccount.Name}, "") {
		return nil, nil, errInvalid
	}
	return &claims, &own, nil
}

package tokens

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
)

type accounts map[string]*corev1.ServiceAccount

func (a accounts) ServiceAccount(_ context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	if sa, ok := a[namespace+"/"+name]; ok {
		return sa, nil
	}
	return nil, errors.New("not found")
}

func robot() *corev1.ServiceAccount {
	return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "tutorial", Name: "robot", UID: "1-2-3"}}
}

func authority(t testing.TB, now *time.Time) *Authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(key, accounts{"tutorial/robot": robot()}, func() time.Time { return *now })
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestTimes(t *testing.T) {
	now := time.Now()
	a := authority(t, &now)
	token, _, err := a.sign(robot(), []string{"istio-ca"}, minLife)
	if err != nil {
		t.Fatal(err)
	}
	ctx := authenticator.WithAudiences(t.Context(), authenticator.Audiences{"istio-ca"})
	for after, good := range map[time.Duration]bool{
		0: true, minLife - time.Second: true, minLife + leeway + time.Second: false, -leeway - time.Second: false,
	} {
		at := now
		b := *a
		b.now = func() time.Time { return at.Add(after) }
		if _, ok, err := b.AuthenticateToken(ctx, token); ok != good || (err == nil) != good {
			t.Errorf("after %v: %v %v", after, ok, err)
		}
	}
}

// TestEveryCharacter changes each character of a token to every other one.
func TestEveryCharacter(t *testing.T) {
	now := time.Now()
	a := authority(t, &now)
	token, _, err := a.sign(robot(), []string{Issuer}, minLife)
	if err != nil {
		t.Fatal(err)
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.= %\n"
	passed := 0
	for i := range len(token) {
		for _, c := range alphabet {
			if byte(c) == token[i] {
				continue
			}
			if _, ok, err := a.AuthenticateToken(t.Context(), token[:i]+string(c)+token[i+1:]); ok || err == nil {
				passed++
			}
		}
	}
	if passed > 0 {
		t.Errorf("%d changed tokens are good", passed)
	}
}

func TestAudiences(t *testing.T) {
	now := time.Now()
	a := authority(t, &now)
	token, _, err := a.sign(robot(), []string{"istio-ca"}, minLife)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok, _ := a.AuthenticateToken(t.Context(), token); ok {
		t.Error("good for the API")
	}
	other := authority(t, &now)
	ctx := authenticator.WithAudiences(t.Context(), authenticator.Audiences{"istio-ca"})
	if _, ok, _ := other.AuthenticateToken(ctx, token); ok {
		t.Error("good for another key")
	}
}

func FuzzAuthenticateToken(f *testing.F) {
	now := time.Now()
	a := authority(f, &now)
	token, _, err := a.sign(robot(), []string{Issuer}, minLife)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token)
	f.Add("a.b.c")
	f.Add(strings.Repeat("a", maxToken+1))
	f.Fuzz(func(t *testing.T, s string) {
		if _, ok, _ := a.AuthenticateToken(context.Background(), s); ok && s != token {
			t.Errorf("good: %q", s)
		}
	})
}

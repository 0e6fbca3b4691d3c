package workload

import (
	"context"
	"fmt"
	"time"

	authv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/usher-mesh/usher/internal/atomicfile"
)

// TokenAudience is that of the tokens that a sidecar shows to the CA.
const TokenAudience = "istio-ca"

// TokenTTL is how long they are good for; they are replaced at half.
const TokenTTL = time.Hour

// WriteToken asks for a service account token and replaces the file.
func (r *Registry) WriteToken(ctx context.Context, namespace, account, path string) error {
	ttl := int64(TokenTTL / time.Second)
	tr, err := r.kube.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, account, &authv1.TokenRequest{
		Spec: authv1.TokenRequestSpec{Audiences: []string{TokenAudience}, ExpirationSeconds: &ttl},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("token of service account %s/%s: %w", namespace, account, err)
	}
	return atomicfile.Write(path, []byte(tr.Status.Token), 0o600)
}

package app

import (
	"context"
	"fmt"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"

	"github.com/usher-mesh/usher/internal/control/ca"
)

// reviewer judges join tokens by the API server's TokenReview.
type reviewer struct{ client rest.Interface }

func newReviewer(cfg *rest.Config) (*reviewer, error) {
	scheme := runtime.NewScheme()
	if err := authenticationv1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	metav1.AddToGroupVersion(scheme, authenticationv1.SchemeGroupVersion)
	own := unlimited(cfg)
	own.APIPath = "/apis"
	own.GroupVersion = &authenticationv1.SchemeGroupVersion
	own.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	c, err := rest.RESTClientFor(own)
	if err != nil {
		return nil, fmt.Errorf("token review: %w", err)
	}
	return &reviewer{client: c}, nil
}

// Review gives the namespace and service account that the token is of. An error
// that wraps ca.ErrDenied means that it is nobody's.
func (r *reviewer) Review(ctx context.Context, token, audience string) (namespace, serviceAccount string, err error) {
	rv := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{audience}}}
	out := &authenticationv1.TokenReview{}
	if err := r.client.Post().Resource("tokenreviews").Body(rv).Do(ctx).Into(out); err != nil {
		// The request holds the token; the error of a client does not.
		return "", "", fmt.Errorf("token review: %w", err)
	}
	switch {
	case !out.Status.Authenticated:
		return "", "", fmt.Errorf("%w: the token is not valid", ca.ErrDenied)
	case !slices.Contains(out.Status.Audiences, audience):
		return "", "", fmt.Errorf("%w: the token is not for audience %q", ca.ErrDenied, audience)
	}
	// system:serviceaccount:NAMESPACE:NAME
	rest, ok := strings.CutPrefix(out.Status.User.Username, "system:serviceaccount:")
	if !ok {
		return "", "", fmt.Errorf("%w: the token is not a service account's", ca.ErrDenied)
	}
	namespace, serviceAccount, ok = strings.Cut(rest, ":")
	if !ok || namespace == "" || serviceAccount == "" || strings.Contains(serviceAccount, ":") {
		return "", "", fmt.Errorf("%w: the token is not a service account's", ca.ErrDenied)
	}
	return namespace, serviceAccount, nil
}

// unlimited is cfg without a limit of the client's own.
func unlimited(cfg *rest.Config) *rest.Config {
	cfg = rest.CopyConfig(cfg)
	cfg.QPS = -1
	return cfg
}

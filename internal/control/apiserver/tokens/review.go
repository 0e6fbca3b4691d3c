package tokens

import (
	"context"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
)

// Review is the resource tokenreviews.
type Review struct{ Authority *Authority }

var (
	_ rest.Creater              = &Review{}
	_ rest.Scoper               = &Review{}
	_ rest.SingularNameProvider = &Review{}
	_ rest.Creater              = &WhoAmI{}
)

// New is an empty TokenReview.
func (*Review) New() runtime.Object { return &authenticationv1.TokenReview{} }

// Destroy has nothing to end.
func (*Review) Destroy() {}

// NamespaceScoped is false.
func (*Review) NamespaceScoped() bool { return false }

// GetSingularName is the resource's singular.
func (*Review) GetSingularName() string { return "tokenreview" }

// Create says in status whose token it is, and for which of the audiences asked for
// (the API's own by default) it is good.
func (r *Review) Create(ctx context.Context, obj runtime.Object, check rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	in, ok := obj.(*authenticationv1.TokenReview)
	if !ok || in.Spec.Token == "" {
		return nil, apierrors.NewBadRequest("token is required for TokenReview in authentication")
	}
	if check != nil {
		if err := check(ctx, obj.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	wanted := in.Spec.Audiences
	if len(wanted) == 0 {
		wanted = []string{Issuer}
	}
	out := in.DeepCopy()
	// A token in an answer only adds places where it can be read.
	out.Spec.Token = ""
	out.Status = authenticationv1.TokenReviewStatus{}
	got, ok, err := r.Authority.AuthenticateToken(authenticator.WithAudiences(ctx, wanted), in.Spec.Token)
	if err != nil {
		out.Status.Error = err.Error()
	}
	if err == nil && ok {
		out.Status.Authenticated = true
		out.Status.User = userInfo(got.User)
		out.Status.Audiences = got.Audiences
	}
	return out, nil
}

func userInfo(u user.Info) authenticationv1.UserInfo {
	out := authenticationv1.UserInfo{Username: u.GetName(), UID: u.GetUID(), Groups: u.GetGroups()}
	for k, v := range u.GetExtra() {
		if out.Extra == nil {
			out.Extra = map[string]authenticationv1.ExtraValue{}
		}
		out.Extra[k] = v
	}
	return out
}

// WhoAmI is the resource selfsubjectreviews, which kubectl auth whoami asks.
type WhoAmI struct{}

// New is an empty SelfSubjectReview.
func (*WhoAmI) New() runtime.Object { return &authenticationv1.SelfSubjectReview{} }

// Destroy has nothing to end.
func (*WhoAmI) Destroy() {}

// NamespaceScoped is false.
func (*WhoAmI) NamespaceScoped() bool { return false }

// GetSingularName is the resource's singular.
func (*WhoAmI) GetSingularName() string { return "selfsubjectreview" }

// Create answers with the request's own user.
func (*WhoAmI) Create(ctx context.Context, obj runtime.Object, check rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	u, ok := request.UserFrom(ctx)
	if !ok {
		return nil, apierrors.NewBadRequest("no user on the request")
	}
	return &authenticationv1.SelfSubjectReview{Status: authenticationv1.SelfSubjectReviewStatus{UserInfo: userInfo(u)}}, nil
}

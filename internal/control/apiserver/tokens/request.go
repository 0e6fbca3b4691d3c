package tokens

import (
	"context"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
)

const (
	defaultLife = time.Hour
	minLife     = 10 * time.Minute
	// maxLife is what a longer wish is cut to, as Kubernetes does; status says so.
	maxLife = 24 * time.Hour
	// maxAudiences and maxAudience (bytes) bound what is signed.
	maxAudiences = 16
	maxAudience  = 256
)

// Request is the subresource serviceaccounts/token.
type Request struct{ Authority *Authority }

var (
	_ rest.NamedCreater             = &Request{}
	_ rest.GroupVersionKindProvider = &Request{}
)

// New is an empty TokenRequest.
func (*Request) New() runtime.Object { return &authenticationv1.TokenRequest{} }

// Destroy has nothing to end.
func (*Request) Destroy() {}

// GroupVersionKind says that the kind is of another group than serviceaccounts.
func (*Request) GroupVersionKind(schema.GroupVersion) schema.GroupVersionKind {
	return authenticationv1.SchemeGroupVersion.WithKind("TokenRequest")
}

// Create answers a TokenRequest for the service account called name.
func (r *Request) Create(ctx context.Context, name string, obj runtime.Object, check rest.ValidateObjectFunc, o *metav1.CreateOptions) (runtime.Object, error) {
	req, ok := obj.(*authenticationv1.TokenRequest)
	if !ok {
		return nil, apierrors.NewBadRequest("not a TokenRequest")
	}
	sa, err := r.Authority.accounts.ServiceAccount(ctx, request.NamespaceValue(ctx), name)
	if err != nil {
		return nil, err
	}
	out := req.DeepCopy()
	if out.Name == "" {
		out.Name = name
	}
	if out.Namespace == "" {
		out.Namespace = sa.Namespace
	}
	if errs := complete(out, name, sa.Namespace); len(errs) > 0 {
		return nil, apierrors.NewInvalid(authenticationv1.SchemeGroupVersion.WithKind("TokenRequest").GroupKind(), name, errs)
	}
	if check != nil {
		if err := check(ctx, obj.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	if len(o.DryRun) > 0 {
		return out, nil
	}
	token, expires, err := r.Authority.sign(sa, out.Spec.Audiences, time.Duration(*out.Spec.ExpirationSeconds)*time.Second)
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	out.CreationTimestamp = metav1.NewTime(r.Authority.now())
	out.Status = authenticationv1.TokenRequestStatus{Token: token, ExpirationTimestamp: metav1.NewTime(expires)}
	return out, nil
}

// complete sets defaults and says what is wrong.
func complete(req *authenticationv1.TokenRequest, name, namespace string) (errs field.ErrorList) {
	if req.Name != name {
		errs = append(errs, field.Invalid(field.NewPath("metadata", "name"), req.Name, "must be the service account's name"))
	}
	if req.Namespace != namespace {
		errs = append(errs, field.Invalid(field.NewPath("metadata", "namespace"), req.Namespace, "must be the service account's namespace"))
	}
	spec := field.NewPath("spec")
	if req.Spec.BoundObjectRef != nil {
		errs = append(errs, field.Forbidden(spec.Child("boundObjectRef"), "tokens are bound to the service account alone"))
	}
	if len(req.Spec.Audiences) == 0 {
		req.Spec.Audiences = []string{Issuer}
	}
	if n := len(req.Spec.Audiences); n > maxAudiences {
		errs = append(errs, field.TooMany(spec.Child("audiences"), n, maxAudiences))
	}
	for i, a := range req.Spec.Audiences {
		if a == "" || len(a) > maxAudience {
			errs = append(errs, field.Invalid(spec.Child("audiences").Index(i), a, "must have 1 to 256 bytes"))
		}
	}
	seconds := int64(defaultLife / time.Second)
	if req.Spec.ExpirationSeconds != nil {
		seconds = *req.Spec.ExpirationSeconds
	}
	if seconds < int64(minLife/time.Second) {
		errs = append(errs, field.Invalid(spec.Child("expirationSeconds"), seconds, "may not specify a duration less than 10 minutes"))
	}
	seconds = min(seconds, int64(maxLife/time.Second))
	req.Spec.ExpirationSeconds = &seconds
	return errs
}

package apiserver

import (
	"context"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
)

// accessReview is the resource selfsubjectaccessreviews, which kubectl auth can-i
// asks.
type accessReview struct {
	authorizer authorizer.UnconditionalAuthorizer
}

var _ rest.Creater = &accessReview{}

func (*accessReview) New() runtime.Object     { return &authorizationv1.SelfSubjectAccessReview{} }
func (*accessReview) Destroy()                {}
func (*accessReview) NamespaceScoped() bool   { return false }
func (*accessReview) GetSingularName() string { return "selfsubjectaccessreview" }

func (r *accessReview) Create(ctx context.Context, obj runtime.Object, _ rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	in, ok := obj.(*authorizationv1.SelfSubjectAccessReview)
	user, known := request.UserFrom(ctx)
	if !ok || !known {
		return nil, apierrors.NewBadRequest("not a SelfSubjectAccessReview of a user")
	}
	record := authorizer.AttributesRecord{User: user}
	switch {
	case in.Spec.ResourceAttributes != nil && in.Spec.NonResourceAttributes == nil:
		a := in.Spec.ResourceAttributes
		record.ResourceRequest = true
		record.Verb, record.Namespace, record.Name = a.Verb, a.Namespace, a.Name
		record.APIGroup, record.APIVersion, record.Resource, record.Subresource = a.Group, a.Version, a.Resource, a.Subresource
	case in.Spec.NonResourceAttributes != nil && in.Spec.ResourceAttributes == nil:
		record.Verb, record.Path = in.Spec.NonResourceAttributes.Verb, in.Spec.NonResourceAttributes.Path
	default:
		return nil, apierrors.NewBadRequest("exactly one of resourceAttributes and nonResourceAttributes must be specified")
	}
	out := in.DeepCopy()
	decision, reason, err := r.authorizer.Authorize(ctx, record)
	out.Status = authorizationv1.SubjectAccessReviewStatus{Allowed: err == nil && decision == authorizer.DecisionAllow, Reason: reason}
	return out, nil
}

package apiserver

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	extapiserver "k8s.io/apiextensions-apiserver/pkg/apiserver"
	"k8s.io/apiextensions-apiserver/pkg/registry/customresourcedefinition"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
)

// seedCRDs stores the CRDs that are missing, established from the beginning, before
// the server runs. Through the API each would be validated five times over, as one
// controller after another writes its status: two seconds of a first start. It
// returns those that are there and differ.
func seedCRDs(ctx context.Context, options generic.RESTOptionsGetter, want []*apiextensionsv1.CustomResourceDefinition, now time.Time) ([]*apiextensionsv1.CustomResourceDefinition, error) {
	if len(want) == 0 {
		return nil, nil
	}
	store, err := customresourcedefinition.NewREST(extapiserver.Scheme, options)
	if err != nil {
		return nil, err
	}
	defer store.Destroy()
	differs := make([]bool, len(want))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for i, crd := range want {
		g.Go(func() (err error) {
			if differs[i], err = seedCRD(gctx, store, crd, now); err != nil {
				return fmt.Errorf("custom resource definition %s: %w", crd.Name, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var stale []*apiextensionsv1.CustomResourceDefinition
	for i, crd := range want {
		if differs[i] {
			stale = append(stale, crd)
		}
	}
	return stale, nil
}

// seedCRD stores one, or says whether the one that is there differs.
func seedCRD(ctx context.Context, store *customresourcedefinition.REST, crd *apiextensionsv1.CustomResourceDefinition, now time.Time) (bool, error) {
	crd = crd.DeepCopy()
	crd.ResourceVersion = ""
	extapiserver.Scheme.Default(crd)
	obj := &apiextensions.CustomResourceDefinition{}
	if err := extapiserver.Scheme.Convert(crd, obj, nil); err != nil {
		return false, err
	}
	got, err := store.Get(ctx, crd.Name, &metav1.GetOptions{})
	if err == nil {
		return !equality.Semantic.DeepEqual(got.(*apiextensions.CustomResourceDefinition).Spec, obj.Spec), nil
	}
	if !apierrors.IsNotFound(err) {
		return false, err
	}
	// What a create through the API does: clean, complete, validate.
	info := &request.RequestInfo{APIGroup: apiextensions.GroupName, APIVersion: "v1", Verb: "create"}
	ctx = request.WithRequestInfo(request.WithNamespace(ctx, metav1.NamespaceNone), info)
	rest.FillObjectMetaSystemFields(obj)
	if err := rest.BeforeCreate(customresourcedefinition.NewStrategy(extapiserver.Scheme), ctx, obj); err != nil {
		return false, err
	}
	then := metav1.NewTime(now.Add(-established))
	obj.Status.AcceptedNames = obj.Spec.Names
	obj.Status.Conditions = []apiextensions.CustomResourceDefinitionCondition{
		{Type: apiextensions.NamesAccepted, Status: apiextensions.ConditionTrue, LastTransitionTime: then, Reason: "NoConflicts", Message: "no conflicts found"},
		{Type: apiextensions.Established, Status: apiextensions.ConditionTrue, LastTransitionTime: then, Reason: "InitialNamesAccepted", Message: "the initial names have been accepted"},
	}
	key, err := store.KeyFunc(ctx, obj.Name)
	if err != nil {
		return false, err
	}
	return false, store.Storage.Create(ctx, key, obj, &apiextensions.CustomResourceDefinition{}, 0, false)
}

// established is how far back the condition Established is put: for two seconds
// after it the server makes the first create of a kind wait, lest another replica
// does not know the kind yet. There is none.
const established = 10 * time.Second

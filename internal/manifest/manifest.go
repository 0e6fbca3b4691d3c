// Package manifest applies Kubernetes manifests to the API server, as `kubectl
// apply --server-side` does. It knows no kind by itself: discovery tells.
package manifest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
)

// fieldManager owns what `usher up -f` sets.
const fieldManager = "usher"

// Applied names an object that was written.
type Applied struct {
	Resource  string // plural and group, such as gateways.networking.istio.io
	Namespace string
	Name      string
	Object    *unstructured.Unstructured

	gvr schema.GroupVersionResource
}

func (a Applied) String() string { return a.Resource + "/" + a.Name }

// Applier writes manifests to one API server.
type Applier struct {
	client dynamic.Interface
	mapper meta.ResettableRESTMapper
}

// New makes an Applier.
func New(cfg *rest.Config) (*Applier, error) {
	client, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return nil, err
	}
	disc, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		return nil, err
	}
	return &Applier{client, restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(disc))}, nil
}

// Apply writes the objects of one file in order. Those without a namespace go to
// the one given. Errors name the file and the object.
func (a *Applier) Apply(ctx context.Context, path string, data []byte, namespace string) ([]Applied, error) {
	objs, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var done []Applied
	for i, o := range objs {
		r, err := a.apply(ctx, o, namespace)
		if err != nil {
			return done, fmt.Errorf("%s: document %d (%s %q): %w", path, i+1, o.GetKind(), o.GetName(), err)
		}
		done = append(done, r)
	}
	return done, nil
}

func parse(data []byte) ([]*unstructured.Unstructured, error) {
	if err := refuseRepeatedKeys(data); err != nil {
		return nil, err
	}
	dec := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096)
	var objs []*unstructured.Unstructured
	for n := 1; ; n++ {
		var m map[string]any
		switch err := dec.Decode(&m); {
		case errors.Is(err, io.EOF):
			return objs, nil
		case err != nil:
			return nil, fmt.Errorf("document %d: %w", n, err)
		case len(m) == 0:
			continue
		}
		o := &unstructured.Unstructured{Object: m}
		if o.GetAPIVersion() == "" || o.GetKind() == "" || o.GetName() == "" && !o.IsList() {
			return nil, fmt.Errorf("document %d: apiVersion, kind and metadata.name must be given", n)
		}
		if !o.IsList() {
			objs = append(objs, o)
			continue
		}
		list, err := o.ToList()
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", n, err)
		}
		for i := range list.Items {
			if item := &list.Items[i]; item.GetAPIVersion() == "" || item.GetKind() == "" || item.GetName() == "" {
				return nil, fmt.Errorf("document %d: items[%d]: apiVersion, kind and metadata.name must be given", n, i)
			}
			objs = append(objs, &list.Items[i])
		}
	}
}

func (a *Applier) apply(ctx context.Context, o *unstructured.Unstructured, namespace string) (Applied, error) {
	gvk := o.GroupVersionKind()
	m, err := a.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return Applied{}, err
	}
	var rc dynamic.ResourceInterface = a.client.Resource(m.Resource)
	if m.Scope.Name() == meta.RESTScopeNameNamespace {
		if o.GetNamespace() == "" {
			o.SetNamespace(namespace)
		}
		rc = a.client.Resource(m.Resource).Namespace(o.GetNamespace())
	}
	data, err := o.MarshalJSON()
	if err != nil {
		return Applied{}, err
	}
	force := true
	got, err := rc.Patch(ctx, o.GetName(), types.ApplyPatchType, data, metav1.PatchOptions{
		FieldManager: fieldManager, Force: &force, FieldValidation: metav1.FieldValidationStrict,
	})
	if err != nil {
		if st := apierrors.APIStatus(nil); errors.As(err, &st) {
			return Applied{}, errors.New(st.Status().Message)
		}
		return Applied{}, err
	}
	return Applied{m.Resource.GroupResource().String(), o.GetNamespace(), o.GetName(), got, m.Resource}, nil
}

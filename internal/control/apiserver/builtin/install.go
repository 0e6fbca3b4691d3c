package builtin

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/server"
)

// Kinds are the endpoints of all built-in kinds.
type Kinds struct {
	scheme *runtime.Scheme
	core   map[string]rest.Storage
	slices map[string]rest.Storage

	accounts *objects
}

// New makes the endpoints over options' storage. scheme is NewScheme's.
func New(scheme *runtime.Scheme, options generic.RESTOptionsGetter) (*Kinds, error) {
	out := &Kinds{scheme: scheme, core: map[string]rest.Storage{}, slices: map[string]rest.Storage{}}
	for _, k := range kinds() {
		o, st, err := newObjects(k, scheme, options)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k.resource, err)
		}
		group, name := out.core, k.resource.Resource
		if k.resource.Group == discoveryv1.GroupName {
			group = out.slices
		}
		group[name] = o
		if k.prepareStatus != nil {
			group[name+"/status"] = newStatus(o, st)
		}
		switch name {
		case "namespaces":
			group[name] = newNamespaces(o)
			// The copies below are made after the store has its own way to delete.
			group[name+"/status"] = newStatus(o, st)
			group[name+"/finalize"] = newFinalize(o, st)
		case "services":
			new(addresses).use(o.Store)
		case "serviceaccounts":
			out.accounts = o
		}
	}
	return out, nil
}

// ServiceAccount reads one from storage, not from a cache: a token dies with it.
func (k *Kinds) ServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	got, err := k.accounts.Get(request.WithNamespace(ctx, namespace), name, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return got.(*corev1.ServiceAccount), nil
}

// Install serves the kinds, and the subresource serviceaccounts/token by tokens.
func (k *Kinds) Install(s *server.GenericAPIServer, tokens rest.Storage) error {
	k.core["serviceaccounts/token"] = tokens
	codecs := serializer.NewCodecFactory(k.scheme)
	parameters := runtime.NewParameterCodec(k.scheme)

	core := server.NewDefaultAPIGroupInfo(corev1.GroupName, k.scheme, parameters, codecs)
	core.VersionedResourcesStorageMap[corev1.SchemeGroupVersion.Version] = k.core
	if err := s.InstallLegacyAPIGroup(server.DefaultLegacyAPIPrefix, &core); err != nil {
		return err
	}
	discovery := server.NewDefaultAPIGroupInfo(discoveryv1.GroupName, k.scheme, parameters, codecs)
	discovery.VersionedResourcesStorageMap[discoveryv1.SchemeGroupVersion.Version] = k.slices
	return s.InstallAPIGroup(&discovery)
}

package source

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// Debounce: a snapshot is made after this much quiet, and at the latest after
// the second.
const (
	quiet = 5 * time.Millisecond
	most  = 25 * time.Millisecond
)

// Options are what Run needs beside the API server.
type Options struct {
	Log   *slog.Logger
	Clock Clock // nil: the wall clock
}

// Run watches the API server until ctx ends and calls back with each snapshot,
// one at a time, the first only after all kinds have been read. A change of
// status alone makes no snapshot. It returns nil when ctx ended, and an error
// only if the configuration cannot be used; an API server that is away is
// waited for.
func Run(ctx context.Context, cfg *rest.Config, o Options, f func(*Snapshot)) error {
	c, err := newClients(cfg)
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	return watchAll(ctx, o, kinds(), c.listWatch, f)
}

// watchAll is Run with the way to list and watch a kind as a parameter.
func watchAll(ctx context.Context, o Options, ks []kind, open func(kind) (cache.ListerWatcher, runtime.Object), f func(*Snapshot)) error {
	if o.Clock == nil {
		o.Clock = wallClock{}
	}
	changed := make(chan struct{}, 1)
	notify := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	decode := decoders()
	var wg sync.WaitGroup
	ctx, stop := context.WithCancel(ctx)
	defer wg.Wait()
	defer stop()

	collections := make([]*collection, len(ks))
	var synced []cache.InformerSynced
	for i, k := range ks {
		lw, example := open(k)
		inf := cache.NewSharedIndexInformer(lw, example, 0, nil)
		transform, same := core, sameCore
		if k.custom {
			transform, same = custom(decode[k.resource.Resource]), sameCustom
		}
		if err := inf.SetTransform(transform); err != nil {
			return fmt.Errorf("source: %s: %w", k.resource.Resource, err)
		}
		if err := inf.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) {
			o.Log.Warn("cannot watch", "resource", k.resource.Resource, "error", err)
		}); err != nil {
			return fmt.Errorf("source: %s: %w", k.resource.Resource, err)
		}
		collections[i] = newCollection(same, notify)
		reg, err := inf.AddEventHandler(collections[i].handler())
		if err != nil {
			return fmt.Errorf("source: %s: %w", k.resource.Resource, err)
		}
		synced = append(synced, reg.HasSynced)
		wg.Go(func() { inf.RunWithContext(ctx) })
	}
	if !waitSynced(ctx, o.Clock, synced) {
		return nil
	}
	select { // what the first lists brought is in the first snapshot
	case <-changed:
	default:
	}
	for generation := uint64(1); ; generation++ {
		s := &Snapshot{Generation: generation}
		for i, k := range ks {
			k.put(s, collections[i].list())
		}
		f(s)
		if !debounce(ctx, o.Clock, changed, quiet, most) {
			return nil
		}
	}
}

func waitSynced(ctx context.Context, clock Clock, synced []cache.InformerSynced) bool {
	for _, s := range synced {
		for !s() {
			select {
			case <-ctx.Done():
				return false
			case <-clock.After(5 * time.Millisecond):
			}
		}
	}
	return ctx.Err() == nil
}

// clients opens resources: custom ones without types, others typed.
type clients struct {
	dynamic dynamic.Interface
	typed   map[string]rest.Interface // by group
}

func newClients(cfg *rest.Config) (*clients, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.QPS = -1 // a list and a watch a kind, all at once
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, discoveryv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	metav1.AddToGroupVersion(scheme, corev1.SchemeGroupVersion)
	c := &clients{typed: map[string]rest.Interface{}}
	for path, version := range map[string]schema.GroupVersion{
		"/api": corev1.SchemeGroupVersion, "/apis": discoveryv1.SchemeGroupVersion,
	} {
		one := rest.CopyConfig(cfg)
		one.APIPath, one.GroupVersion = path, &version
		one.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
		r, err := rest.RESTClientFor(one)
		if err != nil {
			return nil, err
		}
		c.typed[version.Group] = r
	}
	var err error
	c.dynamic, err = dynamic.NewForConfig(cfg)
	return c, err
}

// listWatch opens one kind, and gives an object of the type that it delivers.
func (c *clients) listWatch(k kind) (cache.ListerWatcher, runtime.Object) {
	if !k.custom {
		sel := fields.Everything()
		if k.fields != "" {
			sel = fields.ParseSelectorOrDie(k.fields)
		}
		return cache.NewListWatchFromClient(c.typed[k.resource.Group], k.resource.Resource, metav1.NamespaceAll, sel), example(k)
	}
	r := c.dynamic.Resource(k.resource)
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return r.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return r.Watch(ctx, o)
		},
	}, &unstructured.Unstructured{}
}

func example(k kind) runtime.Object {
	switch k.resource.Resource {
	case "namespaces":
		return &corev1.Namespace{}
	case "services":
		return &corev1.Service{}
	case "serviceaccounts":
		return &corev1.ServiceAccount{}
	case "secrets":
		return &corev1.Secret{}
	case "configmaps":
		return &corev1.ConfigMap{}
	}
	return &discoveryv1.EndpointSlice{}
}

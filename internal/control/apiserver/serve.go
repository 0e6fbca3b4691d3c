package apiserver

import (
	"context"
	"fmt"
	"net/http"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	extapiserver "k8s.io/apiextensions-apiserver/pkg/apiserver"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	clientrest "k8s.io/client-go/rest"

	"github.com/usher-mesh/usher/internal/control/apiserver/builtin"
	"github.com/usher-mesh/usher/internal/control/apiserver/tokens"
)

// serve builds the generic server, runs it in life, and returns when it is ready.
func (s *Server) serve(ctx, life context.Context, o Options) error {
	scheme, err := builtin.NewScheme()
	if err != nil {
		return err
	}
	config, err := newConfig(o.Listener, scheme, s.files)
	if err != nil {
		return err
	}
	loopback := config.LoopbackClientConfig
	client, err := kubernetes.NewForConfig(loopback)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	crds, rules := withoutRules(o.CRDs)
	if config.AdmissionControl, err = newAdmission(client, factory, customResources{rules, o.Validate}); err != nil {
		return err
	}
	stores, err := newStorages(s.etcd.Endpoint(), scheme, &config.Config)
	if err != nil {
		return err
	}
	stale, err := seedCRDs(ctx, stores, crds, time.Now())
	if err != nil {
		return err
	}
	if err := stores.apply(&config.Config); err != nil {
		return err
	}
	kinds, err := builtin.New(scheme, stores)
	if err != nil {
		return err
	}
	authority, err := tokens.New(s.files.Tokens, kinds, time.Now)
	if err != nil {
		return err
	}
	if err := secure(config, s.files, authority); err != nil {
		return err
	}
	api, err := build(config, stores, scheme, kinds, authority)
	if err != nil {
		return err
	}
	meta, err := metadata.NewForConfig(loopback)
	if err != nil {
		return err
	}
	keeper, err := newNamespaceKeeper(client, meta, factory, o.Log)
	if err != nil {
		return err
	}
	s.run(life, api.GenericAPIServer, factory, keeper)
	return prepare(ctx, loopback, client, stale)
}

// build makes the one generic server that serves everything.
func build(config *server.RecommendedConfig, stores *storages, scheme *runtime.Scheme, kinds *builtin.Kinds, authority *tokens.Authority) (*extapiserver.CustomResourceDefinitions, error) {
	complete := (&extapiserver.Config{
		GenericConfig: config,
		ExtraConfig:   extapiserver.ExtraConfig{CRDRESTOptionsGetter: stores.custom, MasterCount: 1},
	}).Complete()
	// Complete expects an aggregator in front that does discovery.
	complete.GenericConfig.EnableDiscovery = true
	api, err := complete.New(server.NewEmptyDelegate())
	if err != nil {
		return nil, err
	}
	s := api.GenericAPIServer
	s.ShutdownTimeout = shutdownTimeout
	if err := kinds.Install(s, &tokens.Request{Authority: authority}); err != nil {
		return nil, err
	}
	err = installGroup(s, scheme, authenticationv1.SchemeGroupVersion, map[string]rest.Storage{
		"tokenreviews":       &tokens.Review{Authority: authority},
		"selfsubjectreviews": &tokens.WhoAmI{},
	})
	if err != nil {
		return nil, err
	}
	err = installGroup(s, scheme, authorizationv1.SchemeGroupVersion, map[string]rest.Storage{
		"selfsubjectaccessreviews": &accessReview{s.Authorizer},
	})
	if err != nil {
		return nil, err
	}
	return api, listGroups(api)
}

func installGroup(s *server.GenericAPIServer, scheme *runtime.Scheme, gv schema.GroupVersion, resources map[string]rest.Storage) error {
	g := server.NewDefaultAPIGroupInfo(gv.Group, scheme, runtime.NewParameterCodec(scheme), serializer.NewCodecFactory(scheme))
	g.VersionedResourcesStorageMap[gv.Version] = resources
	return s.InstallAPIGroup(&g)
}

// run starts the server and its controllers, which end with life.
func (s *Server) run(life context.Context, api *server.GenericAPIServer, factory informers.SharedInformerFactory, keeper *namespaceKeeper) {
	prepared := api.PrepareRun()
	s.running.Go(func() {
		ended := make(chan error, 1)
		go func() {
			// klog's Fatal ends this goroutine without a result.
			defer close(ended)
			ended <- prepared.RunWithContext(life)
		}()
		if err := <-ended; err != nil {
			s.fail(err)
		} else if life.Err() == nil {
			s.fail(fmt.Errorf("%s: the server ended", s.url))
		}
	})
	keeping, stop := context.WithCancel(life)
	s.mu.Lock()
	s.stopKeeper = stop
	s.mu.Unlock()
	factory.Start(keeping.Done())
	s.keeping.Go(func() {
		keeper.run(keeping)
		factory.Shutdown()
	})
}

// prepare waits until the server is ready and makes what must be there.
func prepare(ctx context.Context, loopback *clientrest.Config, client kubernetes.Interface, stale []*apiextensionsv1.CustomResourceDefinition) error {
	if err := awaitReady(ctx, client); err != nil {
		return err
	}
	if err := updateCRDs(ctx, loopback, stale); err != nil {
		return err
	}
	for _, ns := range []string{"default", rootNamespace} {
		if err := ensureNamespace(ctx, client, ns); err != nil {
			return err
		}
	}
	return nil
}

// awaitReady asks /readyz until it says yes; until all post-start hooks have run it
// says no.
func awaitReady(ctx context.Context, client kubernetes.Interface) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		var code int
		last = client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).StatusCode(&code).Error()
		if last == nil && code == http.StatusOK {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not ready: %w (%v)", context.Cause(ctx), last)
		case <-tick.C:
		}
	}
}

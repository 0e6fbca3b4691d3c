package apiserver

import (
	"errors"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	extapiserver "k8s.io/apiextensions-apiserver/pkg/apiserver"
	extoptions "k8s.io/apiextensions-apiserver/pkg/cmd/server/options"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/options"
	"k8s.io/apiserver/pkg/storage/storagebackend"
)

// storages says where and how objects are stored: built-in kinds and CRDs each in
// their own encoding, custom resources as they come.
type storages struct {
	options               *options.EtcdOptions
	builtin, crds, custom generic.RESTOptionsGetter
}

// GetRESTOptions is for the kinds that have Go types.
func (s *storages) GetRESTOptions(r schema.GroupResource, example runtime.Object) (generic.RESTOptions, error) {
	if r.Group == apiextensions.GroupName {
		return s.crds.GetRESTOptions(r, example)
	}
	return s.builtin.GetRESTOptions(r, example)
}

// apply makes c store there, with etcd's health among its checks, for which clients
// run until c's server has ended.
func (s *storages) apply(c *server.Config) error {
	if err := s.options.ApplyTo(c); err != nil {
		return err
	}
	c.RESTOptionsGetter = s
	return nil
}

// newStorages stores in the etcd at endpoint.
func newStorages(endpoint string, scheme *runtime.Scheme, c *server.Config) (*storages, error) {
	base := options.NewEtcdOptions(storagebackend.NewDefaultConfig("/registry", nil))
	base.StorageConfig.Transport.ServerList = []string{endpoint}
	base.StorageConfig.StorageObjectCountTracker = c.StorageObjectCountTracker
	// etcd compacts by itself, and nobody looks at the counts.
	base.StorageConfig.CompactionInterval = 0
	base.StorageConfig.CountMetricPollPeriod = 0
	base.StorageConfig.DBMetricPollInterval = 0
	// There is no controller for it.
	base.EnableGarbageCollection = false
	// Reads come from etcd in the same process; a cache would hold all objects twice.
	base.EnableWatchCache = false
	getter := func(codec runtime.Codec) generic.RESTOptionsGetter {
		o := *base
		o.StorageConfig.Codec = codec
		return o.CreateRESTOptionsGetter(&options.SimpleStorageFactory{StorageConfig: o.StorageConfig}, nil)
	}
	codecs := serializer.NewCodecFactory(scheme)
	compact, ok := runtime.SerializerInfoForMediaType(extapiserver.Codecs.SupportedMediaTypes(), runtime.ContentTypeProtobuf)
	if !ok {
		return nil, errors.New("no protobuf encoding of custom resource definitions")
	}
	return &storages{
		options: base,
		builtin: getter(codecs.LegacyCodec(corev1.SchemeGroupVersion, discoveryv1.SchemeGroupVersion)),
		// CRDs are large, and read as a whole at each start.
		crds: getter(extapiserver.Codecs.CodecForVersions(compact.Serializer, extapiserver.Codecs.UniversalDeserializer(),
			apiextensionsv1.SchemeGroupVersion, runtime.InternalGroupVersioner)),
		custom: extoptions.NewCRDRESTOptionsGetter(*base, nil, c.StorageObjectCountTracker),
	}, nil
}

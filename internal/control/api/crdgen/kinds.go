package main

import (
	_ "istio.io/api/meta/v1alpha1"       // registers the descriptors
	_ "istio.io/api/networking/v1alpha3" // registers the descriptors
	_ "istio.io/api/security/v1beta1"    // registers the descriptors
)

// istioKind names the messages that an object of the kind consists of.
type istioKind struct{ kind, spec, status string }

const istioStatus = "istio.meta.v1alpha1.IstioStatus"

var istioKinds = []istioKind{
	{"Gateway", "istio.networking.v1alpha3.Gateway", istioStatus},
	{"VirtualService", "istio.networking.v1alpha3.VirtualService", istioStatus},
	{"DestinationRule", "istio.networking.v1alpha3.DestinationRule", istioStatus},
	{"ServiceEntry", "istio.networking.v1alpha3.ServiceEntry", istioStatus},
	{"WorkloadEntry", "istio.networking.v1alpha3.WorkloadEntry", istioStatus},
	{"WorkloadGroup", "istio.networking.v1alpha3.WorkloadGroup", istioStatus},
	{"Sidecar", "istio.networking.v1alpha3.Sidecar", istioStatus},
	{"RequestAuthentication", "istio.security.v1beta1.RequestAuthentication", istioStatus},
	{"AuthorizationPolicy", "istio.security.v1beta1.AuthorizationPolicy", istioStatus},
	{"PeerAuthentication", "istio.security.v1beta1.PeerAuthentication", istioStatus},
}

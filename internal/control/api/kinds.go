package api

import (
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

const (
	networking     = "networking.istio.io"
	security       = "security.istio.io"
	authentication = "authentication.istio.io"
)

// kind is what a definition says besides its schema.
type kind struct {
	group, name, plural string
	short               []string
	versions            []string // the first is the one that is stored
	cluster             bool     // not in a namespace
	columns             []apiextensionsv1.CustomResourceColumnDefinition
}

func (k kind) singular() string { return strings.ToLower(k.name) }

func (k kind) categories() []string {
	return []string{"istio-io", strings.ReplaceAll(k.group, ".", "-")}
}

var (
	networkingVersions = []string{"v1", "v1alpha3", "v1beta1"}
	securityVersions   = []string{"v1", "v1beta1"}
	legacyVersions     = []string{"v1alpha1"}
)

func column(name, path, text string) apiextensionsv1.CustomResourceColumnDefinition {
	return apiextensionsv1.CustomResourceColumnDefinition{Name: name, Type: "string", JSONPath: path, Description: text}
}

func age() apiextensionsv1.CustomResourceColumnDefinition {
	return apiextensionsv1.CustomResourceColumnDefinition{
		Name: "Age", Type: "date", JSONPath: ".metadata.creationTimestamp", Description: "How long ago the object was created.",
	}
}

type columns = []apiextensionsv1.CustomResourceColumnDefinition

// kinds has every kind in its group's order. A kind without columns prints NAME
// and AGE.
var kinds = []kind{
	{group: networking, name: "Gateway", plural: "gateways", short: []string{"gw"}, versions: networkingVersions},
	{group: networking, name: "VirtualService", plural: "virtualservices", short: []string{"vs"}, versions: networkingVersions, columns: columns{
		column("Gateways", ".spec.gateways", "Gateways, and `mesh` for sidecars, that apply the routes."),
		column("Hosts", ".spec.hosts", "Hosts whose traffic is routed."),
		age(),
	}},
	{group: networking, name: "DestinationRule", plural: "destinationrules", short: []string{"dr"}, versions: networkingVersions, columns: columns{
		column("Host", ".spec.host", "The service that the rule is about."),
		age(),
	}},
	{group: networking, name: "ServiceEntry", plural: "serviceentries", short: []string{"se"}, versions: networkingVersions, columns: columns{
		column("Hosts", ".spec.hosts", "Hosts that the entry makes known."),
		column("Location", ".spec.location", "Whether the service is in the mesh or outside."),
		column("Resolution", ".spec.resolution", "How addresses of the hosts are found."),
		age(),
	}},
	{group: networking, name: "WorkloadEntry", plural: "workloadentries", short: []string{"we"}, versions: networkingVersions, columns: columns{
		age(),
		column("Address", ".spec.address", "The workload's address."),
	}},
	{group: networking, name: "WorkloadGroup", plural: "workloadgroups", short: []string{"wg"}, versions: networkingVersions, columns: columns{age()}},
	{group: networking, name: "Sidecar", plural: "sidecars", versions: networkingVersions},

	{group: security, name: "RequestAuthentication", plural: "requestauthentications", short: []string{"ra"}, versions: securityVersions},
	{group: security, name: "AuthorizationPolicy", plural: "authorizationpolicies", short: []string{"ap"}, versions: securityVersions, columns: columns{
		column("Action", ".spec.action", "What happens to requests that a rule matches."),
		age(),
	}},
	{group: security, name: "PeerAuthentication", plural: "peerauthentications", short: []string{"pa"}, versions: securityVersions, columns: columns{
		column("Mode", ".spec.mtls.mode", "Whether callers must, may or must not use mutual TLS."),
		age(),
	}},

	{group: authentication, name: "Policy", plural: "policies", versions: legacyVersions},
	{group: authentication, name: "MeshPolicy", plural: "meshpolicies", versions: legacyVersions, cluster: true},
}

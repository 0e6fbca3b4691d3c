package apiserver

import (
	"context"
	"slices"
	"strings"

	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/usher-mesh/usher/internal/control/apiserver/pki"
)

// rule allows verbs on resources; "*" in resources stands for every resource of the
// groups, "*/status" for every status subresource.
type rule struct{ groups, resources, verbs []string }

var (
	read  = []string{"get", "list", "watch"}
	write = []string{"get", "list", "watch", "create", "update", "patch", "delete"}
)

// meshGroups are the groups of the objects that a control plane translates.
func meshGroups() []string {
	return []string{"networking.istio.io", "security.istio.io", "authentication.istio.io", "telemetry.istio.io", "extensions.istio.io"}
}

// controlPlaneRules are all that the group system:usher:control-plane may do: read
// what it translates, write status and Events, give out and review the tokens of
// service accounts, and keep the objects of the machine's workloads.
func controlPlaneRules() []rule {
	return []rule{
		{[]string{""}, []string{"namespaces", "services", "secrets", "configmaps", "serviceaccounts"}, read},
		{[]string{"discovery.k8s.io"}, []string{"endpointslices"}, read},
		{meshGroups(), []string{"*"}, read},
		{meshGroups(), []string{"*/status"}, []string{"get", "update", "patch"}},
		{[]string{""}, []string{"events"}, []string{"create", "update", "patch"}},
		{[]string{"authentication.k8s.io"}, []string{"tokenreviews"}, []string{"create"}},
		{[]string{""}, []string{"serviceaccounts/token"}, []string{"create"}},
		{[]string{""}, []string{"services", "serviceaccounts"}, write},
		{[]string{"discovery.k8s.io"}, []string{"endpointslices"}, write},
		{[]string{"networking.istio.io"}, []string{"workloadentries"}, write},
	}
}

func (r rule) allows(a authorizer.Attributes) bool {
	if !slices.Contains(r.groups, a.GetAPIGroup()) || !slices.Contains(r.verbs, a.GetVerb()) {
		return false
	}
	resource, wild := a.GetResource(), "*"
	if sub := a.GetSubresource(); sub != "" {
		resource, wild = resource+"/"+sub, "*/"+sub
	}
	return slices.Contains(r.resources, resource) || slices.Contains(r.resources, wild)
}

// isPublic are the paths that need no credential.
func isPublic(path string) bool { return slices.Contains(publicPaths(), path) }

func publicPaths() []string { return []string{"/healthz", "/livez", "/readyz", "/version"} }

// isDiscovery are the paths by which a client learns what is served.
func isDiscovery(path string) bool {
	for _, root := range []string{"/api", "/apis", "/openapi"} {
		if path == root || strings.HasPrefix(path, root+"/") {
			return true
		}
	}
	return false
}

// newAuthorizer allows system:masters everything, the control plane its rules,
// everybody the public paths, and nobody else anything.
func newAuthorizer() authorizer.Authorizer {
	rules := controlPlaneRules()
	return authorizer.AuthorizerFunc(func(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
		if a.GetUser() == nil {
			return authorizer.DecisionDeny, "no user", nil
		}
		groups := a.GetUser().GetGroups()
		switch {
		case slices.Contains(groups, "system:masters"):
			return authorizer.DecisionAllow, "", nil
		case !a.IsResourceRequest():
			known := slices.Contains(groups, pki.ControlPlaneGroup) && isDiscovery(a.GetPath())
			if a.GetVerb() == "get" && (known || isPublic(a.GetPath())) {
				return authorizer.DecisionAllow, "", nil
			}
		case slices.Contains(groups, pki.ControlPlaneGroup):
			if slices.ContainsFunc(rules, func(r rule) bool { return r.allows(a) }) || aboutSelf(a) {
				return authorizer.DecisionAllow, "", nil
			}
		}
		return authorizer.DecisionDeny, "", nil
	})
}

// aboutSelf are the questions about a client's own rights, harmless to answer.
func aboutSelf(a authorizer.Attributes) bool {
	return a.GetVerb() == "create" &&
		(a.GetAPIGroup() == "authorization.k8s.io" && a.GetResource() == "selfsubjectaccessreviews" ||
			a.GetAPIGroup() == "authentication.k8s.io" && a.GetResource() == "selfsubjectreviews")
}

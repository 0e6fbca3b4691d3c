package translate

import (
	"sort"

	"github.com/usher-mesh/usher/internal/control/memo"
	"github.com/usher-mesh/usher/internal/control/source"
	"github.com/usher-mesh/usher/internal/mesh"
)

// Translator translates snapshots one after the other, and keeps what it made
// of objects that stay the same. It is not safe for concurrent use.
type Translator struct {
	settings        memo.Table[string, settings]
	virtualServices memo.Table[mesh.Ref, *virtualService]
	gateways        memo.Table[mesh.Ref, *gateway]
	requests        memo.Table[mesh.Ref, *requestAuthentication]
	authorizations  memo.Table[mesh.Ref, *authorization]
	peers           memo.Table[mesh.Ref, *peerAuthentication]
	policies        memo.Table[mesh.Ref, *policy]
	rules           memo.Table[mesh.Ref, *destinationRule]
	workloads       memo.Table[mesh.Ref, *mesh.Workload]
	securities      memo.Table[mesh.Ref, *mesh.Security]
	definitions     memo.Table[mesh.Ref, *mesh.Definition]
	services        memo.Table[mesh.Ref, *mesh.Service]
	secrets         memo.Table[mesh.Ref, *mesh.Secret]
	names           memo.Table[string, *names]
}

// New makes a translator that has seen nothing.
func New() *Translator { return &Translator{} }

// pass is one translation: what processors hand on to each other.
type pass struct {
	*Translator
	in    *source.Snapshot
	out   *mesh.Model
	found findings

	names      *names
	entries    map[string][]*entry // workload entries by namespace
	selectedBy map[mesh.Ref][]*serviceObject
	objects    []*serviceObject
	rulesOf    map[string][]*destinationRule // by host
	guards     *guards
	contests   contests
}

// processors run in this order: each uses only what those before it made.
var processors = []func(*pass){
	(*pass).readSettings,
	(*pass).readServices,    // Services: names, ports, selectors
	(*pass).readWorkloads,   // WorkloadEntries, and which Services select them
	(*pass).readSecurity,    // RequestAuthentication ... MeshPolicy, each by itself
	(*pass).secureWorkloads, // what applies to each workload
	(*pass).warnOfPorts,     // where no token can be asked for
	(*pass).readDestinationRules,
	(*pass).buildServices, // definitions and endpoints
	(*pass).readSecrets,
	(*pass).readGateways,
	(*pass).readVirtualServices,
	(*pass).listKeySets,
	(*pass).reportOthers, // kinds without effect, objects that could not be decoded
}

// Translate makes the model and a status for each custom resource, sorted by
// reference.
func (t *Translator) Translate(in *source.Snapshot) (*mesh.Model, []mesh.Status) {
	p := &pass{Translator: t, in: in, out: &mesh.Model{Generation: in.Generation}, found: findings{}, contests: contests{}}
	for _, f := range processors {
		f(p)
	}
	t.turn()
	return p.out, p.found.statuses()
}

func (t *Translator) turn() {
	t.settings.Turn()
	t.virtualServices.Turn()
	t.gateways.Turn()
	t.requests.Turn()
	t.authorizations.Turn()
	t.peers.Turn()
	t.policies.Turn()
	t.rules.Turn()
	t.workloads.Turn()
	t.securities.Turn()
	t.definitions.Turn()
	t.services.Turn()
	t.secrets.Turn()
	t.names.Turn()
}

func lessRef(a, b mesh.Ref) bool {
	switch {
	case a.Group != b.Group:
		return a.Group < b.Group
	case a.Kind != b.Kind:
		return a.Kind < b.Kind
	case a.Namespace != b.Namespace:
		return a.Namespace < b.Namespace
	}
	return a.Name < b.Name
}

func sortRefs(r []mesh.Ref) []mesh.Ref {
	sort.Slice(r, func(i, j int) bool { return lessRef(r[i], r[j]) })
	return r
}

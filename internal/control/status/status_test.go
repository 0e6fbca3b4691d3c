package status

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/usher-mesh/usher/internal/control/xds"
	"github.com/usher-mesh/usher/internal/mesh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	policy = mesh.Ref{Group: "authentication.istio.io", Kind: "Policy", Namespace: "tutorial", Name: "p"}
	gvr    = schema.GroupVersionResource{Group: policy.Group, Version: "v1alpha1", Resource: "policies"}
)

// store is an API server's part that matters here: one object, optimistic locking.
type store struct {
	dynamic.Interface
	dynamic.NamespaceableResourceInterface

	mu        sync.Mutex
	obj       *unstructured.Unstructured
	conflicts int // how many updates are refused
	writes    int
}

func newStore() *store {
	u := &unstructured.Unstructured{Object: map[string]any{"kind": "Policy"}}
	u.SetName(policy.Name)
	u.SetUID("u1")
	u.SetGeneration(1)
	u.SetResourceVersion("1")
	return &store{obj: u}
}

func (s *store) Resource(schema.GroupVersionResource) dynamic.NamespaceableResourceInterface {
	return s
}
func (s *store) Namespace(string) dynamic.ResourceInterface { return s }

func (s *store) Get(context.Context, string, metav1.GetOptions, ...string) (*unstructured.Unstructured, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.obj == nil {
		return nil, apierrors.NewNotFound(gvr.GroupResource(), policy.Name)
	}
	return s.obj.DeepCopy(), nil
}

func (s *store) UpdateStatus(_ context.Context, u *unstructured.Unstructured, _ metav1.UpdateOptions) (*unstructured.Unstructured, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.obj == nil:
		return nil, apierrors.NewNotFound(gvr.GroupResource(), policy.Name)
	case s.conflicts > 0:
		s.conflicts--
		return nil, apierrors.NewConflict(gvr.GroupResource(), policy.Name, nil)
	}
	s.writes++
	s.obj = u.DeepCopy()
	return u, nil
}

// got is the object's conditions in short.
func (s *store) got() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	list, _, _ := unstructured.NestedSlice(s.obj.Object, "status", "conditions")
	var out []string
	for _, c := range list {
		m := c.(map[string]any)
		out = append(out, fmt.Sprintf("%v=%v %v/%v", m["type"], m["status"], m["reason"], m["observedGeneration"]))
	}
	return strings.Join(out, ", ")
}

func (s *store) message(kind string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	list, _, _ := unstructured.NestedSlice(s.obj.Object, "status", "conditions")
	for _, c := range list {
		if m := c.(map[string]any); m["type"] == kind {
			return m["message"].(string)
		}
	}
	return ""
}

func (s *store) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes
}

// fleet is the proxies as a test says.
type fleet struct {
	mu      sync.Mutex
	s       xds.Standing
	changed chan struct{}
}

func (f *fleet) Standing(mesh.Ref, uint64) xds.Standing {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.s
}

func (f *fleet) Changed() <-chan struct{} { return f.changed }

func (f *fleet) set(s xds.Standing) {
	f.mu.Lock()
	f.s = s
	f.mu.Unlock()
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

// inTime runs a writer in a bubble of fake time.
func inTime(t *testing.T, f func(w *Writer, s *store, p *fleet)) {
	synctest.Test(t, func(t *testing.T) {
		s, p := newStore(), &fleet{changed: make(chan struct{}, 1)}
		w := New(Options{Client: s, Proxies: p, Resources: map[schema.GroupKind]schema.GroupVersionResource{{Group: policy.Group, Kind: policy.Kind}: gvr}})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.Run(ctx) }()
		f(w, s, p)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// pass lets time go by until everything is done.
func pass(d time.Duration) {
	time.Sleep(d) // of the bubble's clock
	synctest.Wait()
}

func good(generation int64) mesh.Status {
	return mesh.Status{Ref: policy, UID: "u1", Generation: generation, Accepted: true, Reason: "Accepted"}
}

func expect(t *testing.T, s *store, want string) {
	t.Helper()
	if got := s.got(); got != want {
		t.Errorf("conditions:\n got %s\nwant %s", got, want)
	}
}

func TestAcknowledged(t *testing.T) {
	inTime(t, func(w *Writer, s *store, p *fleet) {
		lag := []xds.Lag{{Proxy: "tutorial/customer-v1", Since: time.Now().Add(-time.Hour)}}
		p.set(xds.Standing{Concerned: 1, Lagging: lag})
		w.Set(1, []mesh.Status{good(1)})
		pass(400 * time.Millisecond)
		expect(t, s, "")
		p.set(xds.Standing{Concerned: 1})
		pass(20 * time.Millisecond)
		expect(t, s, "Accepted=True Accepted/1, Programmed=True Programmed/1")
		// What stands there already is not written again, whatever happens.
		for g := uint64(2); g < 50; g++ {
			w.Set(g, []mesh.Status{good(1)})
			p.set(xds.Standing{Concerned: 1})
			pass(100 * time.Millisecond)
		}
		if s.count() != 1 {
			t.Errorf("%d writes, want 1", s.count())
		}
	})
}

func TestPending(t *testing.T) {
	inTime(t, func(w *Writer, s *store, p *fleet) {
		var lag []xds.Lag
		for i := range 7 {
			lag = append(lag, xds.Lag{Proxy: fmt.Sprintf("tutorial/w%d", i), Since: time.Now()})
		}
		p.set(xds.Standing{Concerned: 7, Lagging: lag})
		w.Set(1, []mesh.Status{good(1)})
		pass(time.Second)
		expect(t, s, "Accepted=True Accepted/1") // alone, since the rest takes long
		pass(8500 * time.Millisecond)
		expect(t, s, "Accepted=True Accepted/1")
		pass(2 * time.Second)
		expect(t, s, "Accepted=True Accepted/1, Programmed=False Pending/1")
		want := "not acknowledged within 10s by tutorial/w0, tutorial/w1, tutorial/w2, tutorial/w3, tutorial/w4 and 2 more"
		if got := s.message("Programmed"); got != want {
			t.Errorf("message %q, want %q", got, want)
		}
		p.set(xds.Standing{Concerned: 7})
		pass(time.Second)
		expect(t, s, "Accepted=True Accepted/1, Programmed=True Programmed/1")
	})
}

func TestRejected(t *testing.T) {
	inTime(t, func(w *Writer, s *store, p *fleet) {
		p.set(xds.Standing{Concerned: 1, Rejected: []xds.Rejection{
			{Proxy: "tutorial/customer-v1", Type: "listener", Resource: "inbound", Message: "filter_chains[0]: is bad"},
		}})
		w.Set(1, []mesh.Status{good(1)})
		pass(50 * time.Millisecond)
		expect(t, s, "Accepted=True Accepted/1, Programmed=False Rejected/1")
		if got := s.message("Programmed"); got != `proxy tutorial/customer-v1 refuses listener "inbound": filter_chains[0]: is bad` {
			t.Error(got)
		}
	})
}

func TestVerdictsWithoutProxies(t *testing.T) {
	bad, kept := good(1), good(1)
	bad.Accepted, bad.Reason, bad.Message = false, "Invalid", "spec.x: is bad"
	kept.NoEffectYet, kept.Reason, kept.Message = true, "NoEffectYet", "it is kept"
	warned := good(1)
	warned.Warnings = []string{"one", "two"}
	for _, c := range []struct {
		in            mesh.Status
		want, message string
	}{
		{good(1), "Accepted=True Accepted/1, Programmed=True NoProxies/1", ""},
		{bad, "Accepted=False Invalid/1, Programmed=False NotAccepted/1", "spec.x: is bad"},
		{kept, "Accepted=True NoEffectYet/1, Programmed=False NoEffectYet/1", "it is kept"},
		{warned, "Accepted=True Accepted/1, Programmed=True NoProxies/1", "warning: one; warning: two; warning: three"},
	} {
		inTime(t, func(w *Writer, s *store, _ *fleet) {
			if len(c.in.Warnings) > 0 {
				w.Warn(map[mesh.Ref][]string{policy: {"three"}})
			}
			w.Set(1, []mesh.Status{c.in})
			pass(50 * time.Millisecond)
			expect(t, s, c.want)
			if got := s.message("Accepted"); got != c.message {
				t.Errorf("message %q, want %q", got, c.message)
			}
		})
	}
}

// TestAtMostOneWriteASecond: but for a change of True or False.
func TestAtMostOneWriteASecond(t *testing.T) {
	inTime(t, func(w *Writer, s *store, _ *fleet) {
		w.Set(1, []mesh.Status{good(1)})
		pass(50 * time.Millisecond)
		for i := range 100 { // 5 s
			st := good(1)
			st.Message = fmt.Sprint("text ", i)
			w.Set(uint64(i+2), []mesh.Status{st})
			pass(50 * time.Millisecond)
		}
		pass(2 * time.Second)
		if n := s.count(); n < 5 || n > 7 {
			t.Errorf("%d writes in 7 s", n)
		}
		if s.message("Accepted") != "text 99" {
			t.Errorf("the last text is %q", s.message("Accepted"))
		}
		before := s.count()
		st := good(1)
		st.Accepted, st.Reason = false, "Invalid"
		w.Set(200, []mesh.Status{st})
		pass(20 * time.Millisecond)
		w.Set(201, []mesh.Status{good(1)})
		pass(20 * time.Millisecond)
		if s.count() != before+2 {
			t.Errorf("%d writes for two changes of the verdict", s.count()-before)
		}
	})
}

func TestConflict(t *testing.T) {
	for _, conflicts := range []int{2, 10} {
		inTime(t, func(w *Writer, s *store, _ *fleet) {
			s.conflicts = conflicts
			w.Set(1, []mesh.Status{good(1)})
			pass(3 * time.Second)
			expect(t, s, "Accepted=True Accepted/1, Programmed=True NoProxies/1")
		})
	}
}

func TestObjectThatMovedOn(t *testing.T) {
	for name, change := range map[string]func(*store){
		"deleted":            func(s *store) { s.obj = nil },
		"made anew":          func(s *store) { s.obj.SetUID(types.UID("u2")) },
		"of a newer content": func(s *store) { s.obj.SetGeneration(2) },
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(w *Writer, s *store, _ *fleet) {
				change(s)
				w.Set(1, []mesh.Status{good(1)})
				pass(5 * time.Second)
				w.Set(2, nil)
				pass(5 * time.Second)
				if s.count() != 0 {
					t.Errorf("%d writes", s.count())
				}
			})
		})
	}
}

// TestOthersConditionsStay: and a transition keeps its time while the status does.
func TestOthersConditionsStay(t *testing.T) {
	s := newStore()
	s.obj.Object["status"] = map[string]any{"extra": "x", "conditions": []any{
		map[string]any{"type": "Reconciled", "status": "True"},
		map[string]any{"type": "Accepted", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z"},
	}}
	if !apply(s.obj, outcome{generation: 1, accepted: condition{yes, "Accepted", ""}, programmed: condition{no, "Pending", "m"}}, time.Unix(1e9, 0)) {
		t.Fatal("nothing to write")
	}
	expect(t, s, "Reconciled=True <nil>/<nil>, Accepted=True Accepted/1, Programmed=False Pending/1")
	list, _, _ := unstructured.NestedSlice(s.obj.Object, "status", "conditions")
	if got := list[1].(map[string]any)["lastTransitionTime"]; got != "2020-01-01T00:00:00Z" {
		t.Errorf("Accepted since %v", got)
	}
	if got := list[2].(map[string]any)["lastTransitionTime"]; got != "2001-09-09T01:46:40Z" {
		t.Errorf("Programmed since %v", got)
	}
	if s.obj.Object["status"].(map[string]any)["extra"] != "x" {
		t.Error("a field of somebody else is gone")
	}
	if apply(s.obj, outcome{generation: 1, accepted: condition{yes, "Accepted", ""}, programmed: condition{no, "Pending", "m"}}, time.Unix(2e9, 0)) {
		t.Error("what is there already counts as a change")
	}
}

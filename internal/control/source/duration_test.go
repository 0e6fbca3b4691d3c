package source

import (
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// TestDurations holds that durations in all forms that Istio takes are read, wherever in
// an object they stand, and that the stored object stays as it was.
func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"5s": 5 * time.Second, "1.5s": 1500 * time.Millisecond, "1h30m": 90 * time.Minute, "250ms": 250 * time.Millisecond,
		"-0.5s": -500 * time.Millisecond, "9223372036s": 9223372036 * time.Second, "": 0, "1": 0, "one hour": 0, "1h30": 0,
	} {
		for _, s := range []string{
			"{host: a, trafficPolicy: {outlierDetection: {interval: %}}}",
			"{host: a, trafficPolicy: {portLevelSettings: [{port: {number: 80}, outlierDetection: {interval: %}}]}}",
			"{host: a, trafficPolicy: {port_level_settings: [{port: {number: 80}, outlier_detection: {interval: %}}]}}",
		} {
			u := &unstructured.Unstructured{}
			if err := yaml.Unmarshal([]byte("apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a}\nspec: "+
				strings.ReplaceAll(s, "%", strconv.Quote(text))), &u.Object); err != nil {
				t.Fatal(err)
			}
			before := u.DeepCopy()
			got, err := FromObjects(1, []*unstructured.Unstructured{u})
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(before.Object["spec"], u.Object["spec"]) {
				t.Errorf("%q: the object has become %v", text, u.Object)
			}
			if want == 0 {
				if len(got.Undecodable) != 1 {
					t.Errorf("%q is a duration", text)
				}
				continue
			}
			if len(got.DestinationRules) != 1 {
				t.Errorf("%q: %v", text, got.Undecodable[0].Err)
				continue
			}
			p := got.DestinationRules[0].Spec.GetTrafficPolicy()
			d := p.GetOutlierDetection().GetInterval()
			if l := p.GetPortLevelSettings(); len(l) > 0 {
				d = l[0].GetOutlierDetection().GetInterval()
			}
			if d.AsDuration() != want {
				t.Errorf("%q is %v, want %v", text, d.AsDuration(), want)
			}
		}
	}
	if s := inSeconds(time.Duration(math.MaxInt64).String()); s != "9223372036.854775807s" {
		t.Error(s)
	}
}

package e2e

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/usher-mesh/usher/test/harness"
)

const policies = "/apis/authentication.istio.io/v1alpha1/namespaces/tutorial/policies"

// propagate creates a policy and measures from the API server's answer to the
// first 401 at the gateway; then it deletes the policy.
func propagate(t *testing.T, m *harness.Mesh, api *http.Client, url string, body []byte) time.Duration {
	t.Helper()
	resp, err := api.Post(url+policies, "application/json", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	answered := time.Now()
	msg, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("create: %d %s", resp.StatusCode, msg)
	}
	for {
		a := m.MustGet("/customer", "")
		if a.Status == http.StatusUnauthorized {
			break
		}
		if time.Since(answered) > 10*time.Second {
			t.Fatal("the policy is not in force after 10 s")
		}
	}
	took := time.Since(answered)
	req, err := http.NewRequest(http.MethodDelete, url+policies+"/jwt-example", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err = api.Do(req); err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	harness.Eventually(t, 10*time.Second, "open again", func() (bool, any) {
		a := m.MustGet("/customer", "")
		return a.Status == http.StatusOK, a
	})
	return took
}

func policyJSON(t *testing.T) []byte {
	t.Helper()
	data, err := os.ReadFile(istiofile("enduser-authentication-jwt.yml"))
	if err != nil {
		t.Fatal(err)
	}
	body, err := yaml.YAMLToJSON(data)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// TestPropagationUnderLoad changes policy while wrk loads the gateway with a good
// token: no request of the load may fail, and the change is in force soon. The
// bound here is generous, since machines differ; `make bench` prints the figures.
func TestPropagationUnderLoad(t *testing.T) {
	harness.Need(t, "wrk")
	m := harness.Up(t)
	api, url := m.API()
	body := policyJSON(t)
	token := mint(m)
	// With the first use the key set is fetched.
	propagate(t, m, api, url, body)

	wrk := exec.Command("wrk", "-t1", "-c8", "-d8s", "-H", "Authorization: Bearer "+token, "http://"+m.GatewayURL+"/customer")
	out := make(chan string, 1)
	go func() {
		b, err := wrk.CombinedOutput()
		if err != nil {
			b = append(b, err.Error()...)
		}
		out <- string(b)
	}()
	var took []time.Duration
	var report string
	for report == "" {
		select {
		case report = <-out:
		default:
			took = append(took, propagate(t, m, api, url, body))
		}
	}
	slices.Sort(took)
	t.Logf("%d changes under load: median %v, worst %v\n%s", len(took), took[len(took)/2], took[len(took)-1], report)
	if regexp.MustCompile(`Non-2xx|Socket errors`).MatchString(report) {
		t.Error("requests of the load failed")
	}
	if n := regexp.MustCompile(`(\d+) requests in`).FindStringSubmatch(report); n == nil {
		t.Error("wrk gave no report")
	} else if c, _ := strconv.Atoi(n[1]); c < 100 {
		t.Errorf("only %d requests: no load", c)
	}
	if median := took[len(took)/2]; median > time.Second {
		t.Errorf("median propagation %v", median)
	}
}

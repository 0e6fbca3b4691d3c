package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"sigs.k8s.io/yaml"
)

const (
	policyFile = "istiofiles/enduser-authentication-jwt.yml"
	policies   = "/apis/authentication.istio.io/v1alpha1/namespaces/" + namespace + "/policies"
	services   = "/api/v1/namespaces/" + namespace + "/services"
)

// propagation measures in the chapter's mesh: three services, four proxies.
func (s *startup) propagation(ctx context.Context) error { return s.propagate(ctx, "chapter's mesh") }

// largerMesh measures again with many services and ten proxies, and then the memory
// of the control plane that carries them.
func (s *startup) largerMesh(ctx context.Context) error {
	if s.Services == 0 {
		return nil
	}
	const more = 6 // beside the gateway and the chapter's three
	for i := range more {
		if _, err := s.mesh.sidecarStart(ctx, fmt.Sprintf("extra-%d", i)); err != nil {
			return err
		}
	}
	api, url, err := s.mesh.api()
	if err != nil {
		return err
	}
	for i := range s.Services {
		body, err := json.Marshal(object{
			"apiVersion": "v1", "kind": "Service", "metadata": object{"name": fmt.Sprintf("many-%d", i)},
			"spec": object{"ports": list{object{"name": "http", "port": 8080}}, "selector": object{"app": fmt.Sprintf("many-%d", i)}},
		})
		if err != nil {
			return err
		}
		if err := write(ctx, api, http.MethodPost, url+services, body); err != nil {
			return err
		}
	}
	if err := s.propagate(ctx, fmt.Sprintf("%d services, 10 proxies", s.Services)); err != nil {
		return err
	}
	mb, err := s.mesh.resident()
	if err != nil {
		return err
	}
	s.add("usher up, resident after that", mb, 0, "MB")
	return nil
}

// propagate writes a policy and deletes it again, many times. Each time it measures
// from the API server's answer to the write to the first 401 at the gateway. It
// asks without a pause, so the figure is late by one request at most.
func (s *startup) propagate(ctx context.Context, where string) error {
	gateway, err := s.mesh.gateway()
	if err != nil {
		return err
	}
	api, url, err := s.mesh.api()
	if err != nil {
		return err
	}
	defer api.CloseIdleConnections()
	text, err := os.ReadFile(policyFile)
	if err != nil {
		return err
	}
	body, err := yaml.YAMLToJSON(text)
	if err != nil {
		return err
	}
	var took []float64
	for range s.Changes + 1 {
		if err := write(ctx, api, http.MethodPost, url+policies, body); err != nil {
			return err
		}
		answered := time.Now()
		if err := s.mesh.awaitStatus(ctx, gateway, http.StatusUnauthorized); err != nil {
			return err
		}
		took = append(took, millis(time.Since(answered)))
		if err := write(ctx, api, http.MethodDelete, url+policies+"/jwt-example", nil); err != nil {
			return err
		}
		if err := s.mesh.awaitStatus(ctx, gateway, http.StatusOK); err != nil {
			return err
		}
	}
	took = took[1:] // with the first use the key set is fetched
	s.add("propagation p50, "+where, percentile(took, 50), 100, "ms")
	s.add("propagation p99, "+where, percentile(took, 99), 100, "ms")
	return nil
}

// write sends one change to the API server.
func write(ctx context.Context, c *http.Client, method, url string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: %d %s", method, url, resp.StatusCode, lastLine(text))
	}
	return err
}

package interop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
)

// cases are all of the interop client's that need no cloud's credentials, but for
// pick_first_unary: gRPC's own server in Go does not tell which server it is.
var cases = []string{
	"empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong", "empty_stream", "timeout_on_sleeping_server",
	"cancel_after_begin", "cancel_after_first_response", "status_code_and_message", "special_status_message", "custom_metadata",
	"unimplemented_method", "unimplemented_service", "rpc_soak", "channel_soak", "orca_per_rpc", "orca_oob",
}

// tool builds a program of gRPC's and gives its path.
func tool(t *testing.T, name string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), name)
	if text, err := exec.Command("go", "build", "-o", out, "google.golang.org/grpc/interop/"+name).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return out
}

// behind starts gRPC's interop server with the proxy before it.
func behind(t *testing.T) proxy {
	t.Helper()
	port := freePort(t)
	start(t, port, tool(t, "server"), fmt.Sprint("--port=", port))
	return serve(t, "http2_protocol_options", port)
}

func TestGRPCInteropClient(t *testing.T) {
	client, p := tool(t, "client"), behind(t)
	for _, way := range []struct {
		name string
		args []string
	}{
		{"clear", []string{fmt.Sprint("--server_port=", p.clear)}},
		{"TLS", []string{fmt.Sprint("--server_port=", p.tls), "--use_tls", "--use_test_ca", "--ca_file=" + p.ca, "--server_host_override=localhost"}},
	} {
		for _, c := range cases {
			t.Run(way.name+"/"+c, func(t *testing.T) {
				t.Parallel()
				args := append([]string{"--server_host=127.0.0.1", "--test_case=" + c, "--soak_iterations=200",
					"--soak_overall_timeout_seconds=60"}, way.args...)
				if strings.HasPrefix(c, "orca") {
					args = append(args, `--service_config_json={"loadBalancingConfig":[{"test_backend_metrics_load_balancer":{}}]}`)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
				defer cancel()
				text, err := exec.CommandContext(ctx, client, args...).CombinedOutput()
				if err != nil {
					t.Fatalf("%v\n%.4000s", err, text)
				}
			})
		}
	}
}

// TestGRPCManyMessages has a server stream 100,000 messages in one answer: each comes,
// in its length, and then the trailers.
func TestGRPCManyMessages(t *testing.T) {
	p := behind(t)
	secure, err := credentials.NewClientTLSFromFile(p.ca, "localhost")
	if err != nil {
		t.Fatal(err)
	}
	for _, way := range []struct {
		port  int
		creds credentials.TransportCredentials
	}{{p.clear, insecure.NewCredentials()}, {p.tls, secure}} {
		cc, err := grpc.NewClient(fmt.Sprint("127.0.0.1:", way.port), grpc.WithTransportCredentials(way.creds))
		if err != nil {
			t.Fatal(err)
		}
		defer cc.Close()
		request := &testgrpc.StreamingOutputCallRequest{}
		for i := range 100_000 {
			request.ResponseParameters = append(request.ResponseParameters, &testgrpc.ResponseParameters{Size: int32(i % 1000)})
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		stream, err := testgrpc.NewTestServiceClient(cc).StreamingOutputCall(ctx, request)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for {
			m, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("after %d messages: %v", n, err)
			}
			if got := len(m.GetPayload().GetBody()); got != n%1000 {
				t.Fatalf("message %d: %d bytes, want %d", n, got, n%1000)
			}
			n++
		}
		if n != 100_000 {
			t.Fatalf("%d messages, want 100,000", n)
		}
	}
}

// TestCasesAreThoseOfTheClient fails when the client learns a case that cases lacks.
func TestCasesAreThoseOfTheClient(t *testing.T) {
	others := "pick_first_unary compute_engine_creds service_account_creds jwt_token_creds per_rpc_creds oauth2_auth_token google_default_credentials " +
		"compute_engine_channel_credentials "
	text, _ := exec.Command(tool(t, "client"), "--help").CombinedOutput()
	_, list, _ := strings.Cut(string(text), "-test_case")
	list, _, _ = strings.Cut(list, "\n  -")
	found := 0
	for line := range strings.Lines(list) {
		name, _, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok || name == "" || strings.Contains(name, " ") {
			continue
		}
		found++
		if !strings.Contains(others, name+" ") && !strings.Contains(strings.Join(cases, " ")+" ", name+" ") {
			t.Errorf("the client's case %q is not run", name)
		}
	}
	if found < 15 {
		t.Errorf("%d cases in the client's help:\n%s", found, list)
	}
}

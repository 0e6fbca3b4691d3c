package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"testing"

	"google.golang.org/grpc"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
)

// serveGRPC in the environment makes this program a gRPC service, a workload's command.
const serveGRPC = "USHER_E2E_GRPC"

func TestMain(m *testing.M) {
	if os.Getenv(serveGRPC) != "" {
		ln, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
		if err == nil {
			s := grpc.NewServer()
			testgrpc.RegisterTestServiceServer(s, echo{})
			err = s.Serve(ln)
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if v := os.Getenv(serveVersion); v != "" {
		fmt.Fprintln(os.Stderr, http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), version(v)))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// echo gives back what it gets, message by message.
type echo struct {
	testgrpc.UnimplementedTestServiceServer
}

func (echo) UnaryCall(_ context.Context, r *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	return &testgrpc.SimpleResponse{Payload: r.GetPayload()}, nil
}

func (echo) FullDuplexCall(s testgrpc.TestService_FullDuplexCallServer) error {
	for {
		r, err := s.Recv()
		if err != nil {
			return nil // the client has ended, or is gone
		}
		if err := s.Send(&testgrpc.StreamingOutputCallResponse{Payload: r.GetPayload()}); err != nil {
			return err
		}
	}
}

package listener_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// grpcServer serves methods that do what their names say.
func grpcServer(t *testing.T, ended event) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, st grpc.ServerStream) error {
		name, _ := grpc.MethodFromServerStream(st)
		st.SetTrailer(metadata.Pairs("end", "yes"))
		in := new(wrapperspb.StringValue)
		switch {
		case strings.HasSuffix(name, "/Fail"):
			return status.Error(codes.FailedPrecondition, "not now: 100 % sure")
		case strings.HasSuffix(name, "/Hang"):
			st.SendHeader(nil)
			<-st.Context().Done()
			ended.set()
			return st.Context().Err()
		}
		for i := 0; ; i++ {
			if err := st.RecvMsg(in); err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
			if err := st.SendMsg(wrapperspb.String(fmt.Sprintf("%d:%s", i, in.Value))); err != nil {
				return err
			}
			if strings.HasSuffix(name, "/Many") {
				for range 1000 {
					if err := st.SendMsg(in); err != nil {
						return err
					}
				}
			}
		}
	}))
	go s.Serve(ln)
	t.Cleanup(s.Stop)
	return ln.Addr().String()
}

func TestGRPC(t *testing.T) {
	ended := newEvent()
	p := newProxy(t, nil)
	p.cluster(staticCluster("up", grpcServer(t, ended), speak(explicit2)))
	p.start(plainListener(""))
	c, err := grpc.NewClient(p.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	out := new(wrapperspb.StringValue)

	t.Run("unary", func(t *testing.T) {
		var trailer metadata.MD
		for _, n := range []int{0, 10, 100_000, 3 << 20} {
			text := strings.Repeat("x", n)
			if err := c.Invoke(ctx, "/t.S/Echo", wrapperspb.String(text), out, grpc.Trailer(&trailer)); err != nil || out.Value != "0:"+text {
				t.Errorf("%d bytes: %d, %v", n, len(out.Value), err)
			}
			if fmt.Sprint(trailer["end"]) != "[yes]" {
				t.Errorf("trailers %v", trailer)
			}
		}
	})
	t.Run("trailers only", func(t *testing.T) {
		err := c.Invoke(ctx, "/t.S/Fail", wrapperspb.String("x"), out)
		if s := status.Convert(err); s.Code() != codes.FailedPrecondition || s.Message() != "not now: 100 % sure" {
			t.Error(err)
		}
	})
	t.Run("both ways", func(t *testing.T) {
		st, err := c.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/t.S/Echo")
		if err != nil {
			t.Fatal(err)
		}
		for i := range 100 { // each answer before the next question
			if err := st.SendMsg(wrapperspb.String("q")); err != nil {
				t.Fatal(err)
			}
			if err := st.RecvMsg(out); err != nil || out.Value != fmt.Sprintf("%d:q", i) {
				t.Fatal(out, err)
			}
		}
		st.CloseSend()
		if err := st.RecvMsg(out); err != io.EOF || fmt.Sprint(st.Trailer()["end"]) != "[yes]" {
			t.Error(err, st.Trailer())
		}
	})
	t.Run("many answers", func(t *testing.T) {
		st, err := c.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/t.S/Many")
		if err != nil {
			t.Fatal(err)
		}
		st.SendMsg(wrapperspb.String(strings.Repeat("x", 1000)))
		st.CloseSend()
		n := 0
		for err = st.RecvMsg(out); err == nil; err = st.RecvMsg(out) {
			n++
		}
		if n != 1001 || err != io.EOF {
			t.Error(n, err)
		}
	})
	t.Run("cancel", func(t *testing.T) {
		ctx, cancel := context.WithCancel(ctx)
		st, err := c.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/t.S/Hang")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := st.Header(); err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := st.RecvMsg(out); status.Code(err) != codes.Canceled {
			t.Error(err)
		}
		ended.wait(t, "the server's end")
	})
	t.Run("deadline", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		defer cancel()
		if err := c.Invoke(ctx, "/t.S/Hang", wrapperspb.String("x"), out); status.Code(err) != codes.DeadlineExceeded {
			t.Error(err)
		}
		ended.wait(t, "the server's end")
	})
	t.Run("no upstream", func(t *testing.T) {
		p := newProxy(t, nil)
		p.cluster(staticCluster("up", "127.0.0.1:1", speak(explicit2)))
		p.start(plainListener(""))
		c, err := grpc.NewClient(p.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.Invoke(ctx, "/t.S/Echo", wrapperspb.String("x"), out); status.Code(err) != codes.Unavailable || !errors.Is(ctx.Err(), nil) {
			t.Error(err)
		}
	})
}

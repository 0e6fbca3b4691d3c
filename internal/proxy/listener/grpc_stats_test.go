package listener_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/filter"
	"github.com/usher-mesh/usher/internal/proxy/filter/grpcstats"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

// TestGRPCMessages: messages that are sent while others come are counted, each once, and are
// known when the call has ended.
func TestGRPCMessages(t *testing.T) {
	p := newProxy(t, nil)
	told := make(chan string, 10)
	p.opts.Filters = []filter.Factory{grpcstats.Factory(func(name string) *upstream.Cluster { return p.snap.Load().Clusters[name] })}
	p.opts.Observe = func(x *exchange.Exchange) {
		told <- fmt.Sprint(x.Messages.Request, " ", x.Messages.Response)
	}
	p.cluster(staticCluster("up", grpcServer(t, newEvent()), speak(explicit2)))
	p.start(strings.Replace(plainListener(""), "http_filters:", "http_filters:\n      - {name: m, typed_config: {\"@type\": \""+grpcstats.TypeURL+"\", stats_for_all_methods: true, enable_upstream_stats: true}}", 1))
	c, err := grpc.NewClient(p.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	out := new(wrapperspb.StringValue)
	ended := func(want string) {
		t.Helper()
		select {
		case got := <-told:
			if got != want {
				t.Errorf("%s messages, want %s", got, want)
			}
		case <-ctx.Done():
			t.Fatal("the call does not end")
		}
	}
	for _, n := range []int{0, 10, 100_000, 3 << 20} {
		if err := c.Invoke(ctx, "/t.S/Echo", wrapperspb.String(strings.Repeat("x", n)), out); err != nil {
			t.Fatal(err)
		}
		ended("1 1")
	}
	st, err := c.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/t.S/Many")
	if err != nil {
		t.Fatal(err)
	}
	const questions = 20
	go func() {
		for range questions {
			st.SendMsg(wrapperspb.String("question"))
		}
		st.CloseSend()
	}()
	for err = st.RecvMsg(out); err == nil; err = st.RecvMsg(out) {
	}
	if err != io.EOF {
		t.Fatal(err)
	}
	ended(fmt.Sprint(questions, " ", questions*1001))
	of := p.snap.Load().Clusters["up"].Counts.GRPC.Of("t.S", "Many")
	counts, _ := of.Time.Load()
	times := uint64(0)
	for _, n := range counts {
		times += n
	}
	if of.Requests.Load() != questions || of.Responses.Load() != questions*1001 || times != 1 {
		t.Errorf("%d requests, %d answers, %d times", of.Requests.Load(), of.Responses.Load(), times)
	}
}

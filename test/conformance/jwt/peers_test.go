package jwt

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/usher-mesh/usher/test/harness"
)

// peer is one of the two programs while it runs.
type peer struct {
	t     *testing.T
	name  string
	files files
	up    *upstream
	cmd   *exec.Cmd
	out   bytes.Buffer
	done  chan struct{} // closed when it has ended
}

// start runs a program on the bootstrap file and waits until it is ready.
func start(t *testing.T, name, program string, f files, u *upstream, args ...string) *peer {
	t.Helper()
	p := &peer{t: t, name: name, files: f, up: u, cmd: exec.Command(program, append([]string{"-c", f.bootstrap}, args...)...)}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.done = make(chan struct{})
	go func() { p.cmd.Wait(); close(p.done) }()
	t.Cleanup(func() { p.cmd.Process.Kill(); <-p.done })
	harness.Eventually(t, 30*time.Second, name+" is ready", func() (bool, any) {
		select {
		case <-p.done:
			t.Fatalf("%s ended: %v\n%s", name, p.cmd.ProcessState, p.out.String())
		default:
		}
		a, err := p.admin("/ready")
		return err == nil && strings.HasPrefix(a, "LIVE"), err
	})
	return p
}

// admin asks the program's admin address.
func (p *peer) admin(path string) (string, error) {
	a, err := harness.Client.Get("http://127.0.0.1:" + strconv.Itoa(p.files.admin) + path)
	if err != nil {
		return "", err
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	return string(b), err
}

func (p *peer) mustAdmin(path string) string {
	p.t.Helper()
	text, err := p.admin(path)
	if err != nil {
		p.t.Fatal(err)
	}
	return text
}

// answer is what came of a request.
type answer struct {
	Status   int
	Body     string
	Header   http.Header
	Upstream *seen // nil: it did not get there
	Logged   logLine
}

// ask sends all requests, each world's over its own kept connections.
func (p *peer) ask(all []*request) []*answer {
	out := make([]*answer, len(all))
	byWorld := map[*world][]int{}
	for i, r := range all {
		byWorld[r.world] = append(byWorld[r.world], i)
	}
	var wg sync.WaitGroup
	limit := make(chan struct{}, 4)
	for w, ids := range byWorld {
		wg.Go(func() {
			limit <- struct{}{}
			defer func() { <-limit }()
			c := &client{port: w.port}
			defer c.close()
			for _, i := range ids {
				id := strconv.Itoa(i)
				a, err := c.do(all[i], id)
				if err != nil {
					p.t.Errorf("%s: %s: %v", p.name, all[i], err)
					a = &answer{}
				}
				a.Upstream = p.up.take(id)
				out[i] = a
			}
		})
	}
	wg.Wait()
	return out
}

// stop ends the program as an operator would.
func (p *peer) stop() {
	p.t.Helper()
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		p.t.Fatalf("%s does not stop", p.name)
	}
}

// client keeps one connection and writes requests byte by byte.
type client struct {
	port int
	c    net.Conn
	r    *bufio.Reader
}

func (c *client) close() {
	if c.c != nil {
		c.c.Close()
		c.c = nil
	}
}

func (c *client) do(r *request, id string) (*answer, error) {
	var err error
	for range 2 { // a kept connection may have been closed meanwhile
		var a *answer
		if a, err = c.try(r, id); err == nil {
			return a, nil
		}
		c.close()
	}
	return nil, err
}

func (c *client) try(r *request, id string) (*answer, error) {
	if c.c == nil {
		conn, err := net.DialTimeout("tcp", "127.0.0.1:"+strconv.Itoa(c.port), 5*time.Second)
		if err != nil {
			return nil, err
		}
		c.c, c.r = conn, bufio.NewReader(conn)
	}
	c.c.SetDeadline(time.Now().Add(20 * time.Second))
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n%s: %s\r\n", r.method, r.path, cmp.Or(r.host, "svc.test"), caseHeader, id)
	for _, h := range r.headers {
		fmt.Fprintf(&b, "%s: %s\r\n", h[0], h[1])
	}
	b.WriteString("\r\n")
	if _, err := c.c.Write(b.Bytes()); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(c.r, &http.Request{Method: r.method})
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		return nil, err
	}
	if resp.Close {
		c.close()
	}
	return &answer{Status: resp.StatusCode, Body: string(body), Header: resp.Header}, nil
}

package harness

import (
	"bytes"
	"fmt"
	"net"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// Serve starts a program that listens on these ports of 127.0.0.1, and waits until it
// does. Stop ends it as an operator would (Envoy writes its logs out then), and kills it if
// it takes long; at the test's end it is stopped anyway.
func Serve(t testing.TB, ports []int, program string, args ...string) (stop func()) {
	t.Helper()
	c := exec.Command(program, args...)
	var log bytes.Buffer
	c.Stdout, c.Stderr = &log, &log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { c.Wait(); close(ended) }()
	stop = func() {
		c.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			c.Process.Kill()
			<-ended
		}
	}
	t.Cleanup(stop)
	for _, port := range ports {
		Eventually(t, 30*time.Second, program+" listens", func() (bool, any) {
			select {
			case <-ended:
				t.Fatalf("%s ended: %v\n%.2000s", program, c.ProcessState, log.String())
			default:
			}
			nc, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", port))
			if err == nil {
				nc.Close()
			}
			return err == nil, err
		})
	}
	return stop
}

package supervise

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"strconv"

	"github.com/usher-mesh/usher/internal/proxy/supervise/environ"
)

// notifyFD is the descriptor on which a sidecar says how it is, a Notice a line.
const notifyFD = 3

// Notice is what a sidecar says of itself whenever it changes.
type Notice struct {
	Ready  bool   `json:"ready"`  // it has configuration and serves
	Config string `json:"config"` // digest of it
	Acked  bool   `json:"acked"`  // the control plane is there and knows
	// Refused says why a listener does not serve, "" if all do.
	Refused string `json:"refused,omitempty"`
}

// Notifier writes notices to the supervisor.
type Notifier struct{ f *os.File }

// NewNotifier gives the way to the supervisor, nil if there is none.
func NewNotifier() *Notifier {
	n, err := strconv.Atoi(os.Getenv(environ.NotifyEnv))
	if err != nil || n < 3 {
		return nil
	}
	return &Notifier{os.NewFile(uintptr(n), "notify")}
}

// Send says how the sidecar is.
func (n *Notifier) Send(v Notice) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = n.f.Write(append(b, '\n'))
	return err
}

// readNotices calls f for each line until the sidecar is gone.
func readNotices(r io.Reader, f func(Notice)) {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 512), 4096)
	for sc.Scan() {
		var n Notice
		if json.Unmarshal(sc.Bytes(), &n) == nil {
			f(n)
		}
	}
}

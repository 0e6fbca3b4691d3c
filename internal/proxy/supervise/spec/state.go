package spec

import (
	"encoding/json"
	"time"

	"github.com/usher-mesh/usher/internal/atomicfile"
)

// Phase is where a workload's life stands.
type Phase string

// The phases. Degraded: the sidecar is away, has no configuration or refuses that
// of a listener, or the command is between two starts.
const (
	Starting Phase = "starting"
	Running  Phase = "running"
	Degraded Phase = "degraded"
	Stopped  Phase = "stopped"
)

// State is state.json, replaced by rename at every change.
type State struct {
	State         Phase     `json:"state"`
	SupervisorPID int       `json:"supervisorPID"`
	AppPID        int       `json:"appPID,omitempty"`
	ProxyPID      int       `json:"proxyPID,omitempty"`
	StartedAt     time.Time `json:"startedAt"`
	// ExitCode is the command's status as a shell shows it (128+n for a signal),
	// once it has ended and until it runs again; 125 for a failure of the supervisor's
	// own.
	ExitCode *int `json:"exitCode,omitempty"`
	Restarts int  `json:"restarts,omitempty"` // of the sidecar
	// ConfigVersion is a digest of the configuration in force; Acked tells that
	// the control plane is connected and has been answered for it, and that all of
	// it serves.
	ConfigVersion string `json:"configVersion,omitempty"`
	Acked         bool   `json:"acked"`
	// Message says, for Degraded and Stopped, why.
	Message string `json:"message,omitempty"`
}

// maxFile bounds both files, in bytes.
const maxFile = 1 << 20

// Read reads a workload's description.
func Read(path string) (*Spec, error) {
	s := new(Spec)
	return s, read(path, s)
}

// ReadState reads a supervisor's account of itself.
func ReadState(path string) (*State, error) {
	s := new(State)
	return s, read(path, s)
}

// Write replaces the description, 0600.
func (s *Spec) Write(path string) error { return write(path, s) }

// Write replaces the account, 0600.
func (s *State) Write(path string) error { return write(path, s) }

func read(path string, v any) error {
	b, err := atomicfile.ReadLimited(path, maxFile)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

func write(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(path, append(b, '\n'), 0o600)
}

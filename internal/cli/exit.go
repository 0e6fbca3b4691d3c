package cli

import "fmt"

// ExitError is an error that sets the exit status of the program. Err is nil if
// the command has said by itself what was wrong.
type ExitError struct {
	Code int
	Err  error
}

func (e *ExitError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit status %d", e.Code)
	}
	return e.Err.Error()
}

// Unwrap gives the error itself.
func (e *ExitError) Unwrap() error { return e.Err }

// Exit makes err end the program with the status code; nil stays nil.
func Exit(code int, err error) error {
	if err == nil {
		return nil
	}
	return &ExitError{Code: code, Err: err}
}

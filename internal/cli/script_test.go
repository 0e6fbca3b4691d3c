package cli

import (
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/usher-mesh/usher/internal/control/issuer"
)

// TestMain lets the test's own binary be usher.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"usher": func() { os.Exit(Main(os.Args[1:])) }})
}

// TestScripts runs testdata/script, each with a home of its own. The command
// publish ISSUER FILE writes what the development issuer publishes.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("USHER_HOME", e.WorkDir+"/home")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"publish": func(ts *testscript.TestScript, _ bool, args []string) {
				i, err := issuer.Open(ts.Getenv("USHER_HOME")+"/issuer", nil)
				ts.Check(err)
				w := httptest.NewRecorder()
				i.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/i/"+args[0]+"/jwks", nil))
				if w.Code != http.StatusOK {
					ts.Fatalf("%d %s", w.Code, w.Body)
				}
				ts.Check(os.WriteFile(ts.MkAbs(args[1]), w.Body.Bytes(), 0o600))
			},
		},
	})
}

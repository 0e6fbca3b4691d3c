# make build     bin/usher, bin/usher-proxy, bin/tutorial
# make tutorial  build, start a mesh, walk the chapter, leave the mesh running
# make test      every test that this machine can run, and which it left out
# make check     what a change must pass
# make bench     comparisons with peers, budgets of a mesh, and the Go benchmarks
# make bench-go  the Go benchmarks alone
# make bench-jwt tokens: beside the bare primitives, golang-jwt, go-jose and jwx
# make soak      the full counts, in pieces that can be resumed
# make clean     forget what was built (not the state of meshes: `usher down --purge`)

SHELL      := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := build
.PHONY: build tutorial test check format vet staticcheck generated tidy cross race bench bench-go bench-jwt soak clean

GO       ?= go
PKGS     ?= ./...
# Modules below the root, whose dependencies are for tests alone.
MODULES  := test/h2spec test/interop test/jose
PROGRAMS := usher usher-proxy tutorial
usher_pkg       := ./cmd/usher
usher-proxy_pkg := ./cmd/usher-proxy
tutorial_pkg    := ./examples/tutorial
# Without grpc's traces no template engine is linked, which calls methods by name and so has
# the linker keep those of all types (docs/design/0020-memory.md).
usher-proxy_tags := grpcnotrace

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
# What the API server says its version is: kubectl compares it with its own.
KUBE     = $(shell $(GO) list -m -f '{{.Version}}' k8s.io/apiserver | sed 's/^v0\./v1./')
LDFLAGS  = -s -w -X k8s.io/component-base/version.gitVersion=$(KUBE) \
           -X github.com/usher-mesh/usher/internal/version.Version=$(VERSION)
# Packages whose tests run under the race detector in `make check`: the data plane,
# and those of the control plane that do not build the API server a second time.
RACE    ?= ./internal/proxy/... ./internal/identity/... ./internal/jose ./internal/jwks ./examples/... \
           $(addprefix ./internal/control/,ca issuer memo mirror status translate xds)

export CGO_ENABLED ?= 0

build:
	@$(foreach p,$(PROGRAMS),GO="$(GO)" scripts/build.sh bin/$(p) $($(p)_pkg) "$(LDFLAGS)" "$($(p)_tags)" && ) true

tutorial: build
	@examples/tutorial/walk.sh

# test/e2e runs the built programs.
test: build
	@GO="$(GO)" MODULES="$(MODULES)" scripts/test.sh $(PKGS)

check: format vet staticcheck tidy generated cross race

format:
	@echo "gofmt"
	@bad=$$(git ls-files -z --cached --others --exclude-standard '*.go' | xargs -0 ls 2>/dev/null | xargs gofmt -l); \
	if [ -n "$$bad" ]; then echo "not formatted (run gofmt -w):"; echo "$$bad"; exit 1; fi

vet:
	@echo "go vet"
	@$(GO) vet $(PKGS)
	@$(foreach m,$(MODULES),$(GO) -C $(m) vet ./... && ) true

staticcheck:
	@echo "staticcheck"
	@$(GO) tool staticcheck $(PKGS)
	@tool=$$($(GO) tool -n staticcheck); $(foreach m,$(MODULES),(cd $(m) && "$$tool" ./...) && ) true

tidy:
	@echo "go mod tidy"
	@$(GO) mod tidy -diff
	@$(foreach m,$(MODULES),$(GO) -C $(m) mod tidy -diff && ) true

generated:
	@echo "go generate"
	@GO="$(GO)" scripts/generated.sh

cross:
	@for target in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64; do \
	  echo "build for $$target"; \
	  GOOS=$${target%/*} GOARCH=$${target#*/} $(GO) build -o /dev/null ./cmd/usher; \
	  GOOS=$${target%/*} GOARCH=$${target#*/} $(GO) build -o /dev/null ./cmd/usher-proxy; \
	  GOOS=$${target%/*} GOARCH=$${target#*/} $(GO) build -o /dev/null ./examples/tutorial; \
	done

race:
	@echo "tests under the race detector"
	@CGO_ENABLED=1 GO="$(GO)" scripts/test.sh -race $(RACE)

# docs/design/0003-bench.md tells how. About 10 minutes; best on a quiet machine.
bench: build
	@failed=; for part in peers latency alone start; do $(GO) run ./test/bench $$part || failed=1; echo; done; \
	$(MAKE) --no-print-directory bench-go; [ -z "$$failed" ]

# Only packages that have benchmarks: to link the tests of the others takes minutes.
bench-go:
	@$(GO) test -run '^$$' -bench . -benchmem -timeout 10m \
	  $$(grep -rl --include='*_test.go' '^func Benchmark' . $(MODULES:%=| grep -v '^./%/') | xargs -n 1 dirname | sort -u)

bench-jwt:
	@$(GO) -C test/jose test -run '^$$' -bench . -benchmem .
	@$(GO) test -count=1 -v -run '^TestCacheHoldsItsBoundInMemory$$' ./internal/jose

# In pieces of less than 10 minutes that can be resumed: `SOAK_TIME=540 make soak` runs
# about 9 minutes of them, `make soak PIECES=fuzz` those of that name.
soak: build
	@GO="$(GO)" scripts/soak.sh "$(PIECES)"

clean:
	rm -rf bin

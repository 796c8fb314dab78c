# `make` alone lists the targets.
SHELL := /bin/bash -o pipefail
.DEFAULT_GOAL := help

BIN := bin

# Pinned tools are kept in the checkout, under a name that says what they were
# made of: the go.sum that pins them, and the Go that compiled them. What is there
# is never built again, whatever the times of files say.
CACHE := .cache
GOVERSION := $(shell go env GOVERSION)
tool = $(CACHE)/$(1)-$(GOVERSION)-$(shell cat $(2)/go.mod $(2)/go.sum | git hash-object --stdin | cut -c 1-12)
BUF := $(call tool,buf,tools)
GOLANGCI := $(call tool,golangci-lint,tools/lint)
ACTIONLINT := $(call tool,actionlint,tools/ci)
GOVULNCHECK := $(call tool,govulncheck,tools/ci)
BENCHSTAT := $(call tool,benchstat,tools/ci)

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## the whole thing in one command: gateway, both senders, live tail (Ctrl-C ends it)
	@test -e $(BIN)/hookstream || echo 'building $(BIN)/hookstream; the first time takes a few minutes'
	@go build -o $(BIN)/hookstream ./cmd/hookstream # not go run, which calls a Ctrl-C an error
	@exec $(BIN)/hookstream demo

.PHONY: build
build: ## build bin/hookstream, static
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o $(BIN)/hookstream ./cmd/hookstream

# The slowest first, so that none of them is alone at the end. They wait for real
# clocks, disks and processes more than they compute, hence more at once than there
# are cores. vet is the linter's.
SLOW := ./eventlog/jetstream ./app ./subscription ./cmd/hookstream
TESTFLAGS ?= -p 4 -parallel 6 -vet=off

# Tests come in two parts: all but the heavy ones with the race detector, and the
# packages that have heavy ones without it; docs/adr/0016-race-detector.md says why.
# What imports one of these two has heavy tests.
heavy = packages=$$(go list -f '{{.ImportPath}} {{.Imports}} {{.TestImports}} {{.XTestImports}}' ./... | awk '/internal\/heavy|eventlog\/natstest/ {print $$1}')

.PHONY: test
test: test-race test-heavy ## all tests, and the fuzz targets' seeds and corpora

.PHONY: test-race
test-race: ## all tests but the heavy ones, with the race detector
	go test -race -timeout 15m $(TESTFLAGS) $(SLOW) ./...

.PHONY: test-heavy
test-heavy: programs ## the packages with heavy tests, whole, and some thousand random plays, without the race detector
	$(heavy) && HOOKSTREAM_TEST_PROGRAMS='$(PROGRAMS)' go test -timeout 15m $(TESTFLAGS) $(SLOW) $$packages

.PHONY: test-full
test-full: programs ## the packages with heavy tests with the race detector, and what is under load in its full size, each night
	$(heavy) && HOOKSTREAM_TEST_FULL=1 HOOKSTREAM_TEST_PROGRAMS='$(PROGRAMS)' go test -race -timeout 60m $(TESTFLAGS) $(SLOW) $$packages

.PHONY: test-plays
test-plays: ## only the random plays of subscriptions and their clients, as test-heavy has them
	go test -timeout 15m -vet=off ./subscription -run '^Test(Calm)?(Model|Rig|RigInside)$$'
	go test -timeout 15m -vet=off ./client -run '^Test(RunAndGatewayTogether|NoEventIsAtTwoConsumers)$$'

# What tests start. They are linked anew only when they are others than before.
PROGRAMS := $(CURDIR)/$(CACHE)/programs
.PHONY: programs
programs:
	go build -ldflags '-s -w' -o $(PROGRAMS)/plain/hookstream ./cmd/hookstream
	go build -ldflags '-s -w' -tags killtest -o $(PROGRAMS)/killtest/hookstream ./cmd/hookstream

.PHONY: check
check: check-proto check-generated lint test ## the gate: what must pass before anything lands

.PHONY: generate
generate: $(BUF) ## generate code and the published image from proto/
	$(BUF) format -w
	$(BUF) generate
	$(MAKE) image

.PHONY: image
image: $(BUF) ## build the published descriptors and OpenAPI document into image/
	$(BUF) build proto -o image/hookstream.binpb
	go -C tools run ./descriptors "$(CURDIR)/image/hookstream.binpb" "$(CURDIR)/image/hookstream-lite.binpb"
	rm -rf $(BIN)/openapi
	$(BUF) generate --template image/buf.gen.yaml
	go tool openapiv3-merge $(BIN)/openapi/hookstream/v1/*.json > $(BIN)/openapi/merged.json
	go -C tools run ./openapi "$(CURDIR)/$(BIN)/openapi/merged.json" "$(CURDIR)/image/openapi.json"

.PHONY: release-image
release-image: $(BUF) ## keep the schema as the one that later changes must not break
	$(BUF) build proto --exclude-source-info -o image/released.binpb.gz

.PHONY: third-party
third-party: $(BUF) ## print third_party/proto anew from the pinned modules
	go -C tools run ./thirdparty "$(CURDIR)/third_party/proto"
	$(BUF) format -w

.PHONY: check-proto
check-proto: $(BUF) ## lint, formatting and breaking changes of proto/
	$(BUF) format -d --exit-code
	$(BUF) lint
	$(BUF) breaking proto --against image/released.binpb.gz

.PHONY: check-generated
check-generated: third-party generate ## generated files are what the sources say
	@git diff --exit-code -- gen third_party image proto || { echo 'generated files differ: run make generate and commit'; exit 1; }
	@test -z "$$(git ls-files --others --exclude-standard gen third_party image)" || { echo 'generated files are not committed'; exit 1; }
	go mod tidy -diff
	cd tools && go mod tidy -diff

.PHONY: lint
lint: $(GOLANGCI) $(ACTIONLINT) ## golangci-lint, with go vet in it, and actionlint
	$(GOLANGCI) run
	$(ACTIONLINT)

.PHONY: check-systems
check-systems: ## all of it, tests too, compiles for macOS and Windows
	GOOS=darwin CGO_ENABLED=0 go vet ./...
	GOOS=windows CGO_ENABLED=0 go vet ./...

.PHONY: format
format: $(GOLANGCI) $(BUF) ## format Go and proto
	$(GOLANGCI) fmt
	$(BUF) format -w

.PHONY: vuln
vuln: $(GOVULNCHECK) ## known vulnerabilities in what is called; asks the database of Go
	$(GOVULNCHECK) ./...

.PHONY: fuzz
fuzz: ## the long one, each night: every fuzz target for FUZZTIME, 20000x inputs, from its corpus
	@go list -f '{{if .TestGoFiles}}{{.Dir}}{{else if .XTestGoFiles}}{{.Dir}}{{end}}' ./... | while read -r dir; do \
	  for f in $$(grep -ho '^func Fuzz[A-Za-z0-9_]*' $$dir/*_test.go | sed 's/^func //'); do \
	    echo "fuzz $${dir#$(CURDIR)/} $$f"; \
	    go test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$dir || exit 1; \
	  done; done

# A count: at the end of a time go takes an input that is under way for a failure.
FUZZTIME ?= 20000x

.PHONY: bench
bench: build ## measure this gateway on this machine, beside its limits
	$(BIN)/hookstream bench $(BENCHFLAGS)

.PHONY: profile
profile: ## CPU, heap, mutex and block profiles of the gateway in bin/profile: make profile SCENARIO=ingest/yousign/sync/1KB/c64
	@test -n "$(SCENARIO)" || { echo 'say which: make profile SCENARIO=...; hookstream bench --list lists them'; exit 1; }
	@CGO_ENABLED=0 go build -trimpath -o $(BIN)/hookstream ./cmd/hookstream
	$(BIN)/hookstream bench --scenario '$(SCENARIO)' --rounds 1 --round-duration 10s --profile-dir $(BIN)/profile
	@echo 'go tool pprof -top $(BIN)/profile/NAME.cpu.pprof; profiling costs, these rates do not count'

# The functions that every request or event goes through.
HOT ?= ./event ./eventlog/... ./ingress/... ./hub

.PHONY: benchstat
benchstat: $(BENCHSTAT) ## compare Go benchmarks of the hot functions with the last release, or with BASE=commit
	@base=$${BASE:-$$(tools/released.sh)}; \
	test -n "$$base" || { echo 'make benchstat BASE=COMMIT compares with a commit'; exit 1; }; \
	bench/compare.sh "$$base" '$(HOT)' $(BENCHSTAT)

.PHONY: clean
clean: ## remove what was built
	rm -rf $(BIN) $(CACHE)

$(BUF):
	$(call build-tool,tools,github.com/bufbuild/buf/cmd/buf)

$(GOLANGCI):
	$(call build-tool,tools/lint,github.com/golangci/golangci-lint/v2/cmd/golangci-lint)

$(ACTIONLINT):
	$(call build-tool,tools/ci,github.com/rhysd/actionlint/cmd/actionlint)

$(GOVULNCHECK):
	$(call build-tool,tools/ci,golang.org/x/vuln/cmd/govulncheck)

$(BENCHSTAT):
	$(call build-tool,tools/ci,golang.org/x/perf/cmd/benchstat)

# Under another name until it is whole; what an earlier go.sum made goes.
define build-tool
@mkdir -p $(CACHE)
@rm -f $(CACHE)/$(notdir $(2))-*
go build -modfile=$(1)/go.mod -ldflags '-s -w' -o $@.part $(2)
@mv $@.part $@
endef

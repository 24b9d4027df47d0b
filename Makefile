# Everything a developer does goes through here; CI calls the same targets.
# Each target prints the commands it runs.

GO        ?= go
# A count of inputs: with a duration go test may end in a false failure
# (go.dev/issue/75804).
FUZZTIME  ?= 500000x
RACEFLAGS ?=
CROSS     := linux/arm64 linux/arm/6 linux/mipsle linux/386 windows/amd64 darwin/arm64 freebsd/amd64
TOOL      := $(GO) tool -modfile=tools.mod

.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build ./mcc
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o mcc ./cmd/mcc

run: build ## build and start one node (ARGS="-listen …")
	./mcc $(ARGS)

demo: build ## start a small mesh, use it, show each step (KEEP=1 leaves it running)
	CGO_ENABLED=0 $(GO) build -trimpath -o mcc-demo ./examples/demo
	./mcc-demo -mcc ./mcc $(if $(KEEP),-keep)

test: ## run all tests
	$(GO) test -shuffle=on ./...

race: ## run all tests with the race detector
	$(GO) test -race -shuffle=on $(RACEFLAGS) ./...

lint: ## formatting, vet, modernisers, staticcheck, dead code, tidy modules
	test -z "$$($(TOOL) gofumpt -l . | tee /dev/stderr)"
	$(GO) vet ./...
	$(GO) fix -diff ./...
	$(TOOL) staticcheck ./...
	test -z "$$($(TOOL) deadcode -test ./... | tee /dev/stderr)"
	$(GO) mod tidy -diff
	$(GO) mod verify

fuzz: ## run every fuzz target for FUZZTIME inputs (500000x)
	@set -e; for pkg in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "$(GO) test -run '^$$' -fuzz ^$$target\$$ -fuzztime $(FUZZTIME) $$pkg"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x $$pkg; \
		done; done

bench: ## run all benchmarks
	$(GO) test -run '^$$' -bench . -benchmem ./...

cover: ## test coverage, one line a package
	$(GO) test -coverprofile coverage.out -coverpkg ./... ./... >/dev/null
	$(GO) tool cover -func coverage.out | awk -F '[:/]' '{ print }' | tail -1
	$(GO) test -cover ./... | awk '$$1 == "ok" { print $$2, $$5 }'

cross: ## build for every supported platform without cgo
	@set -e; for target in $(CROSS); do \
		os=$$(echo $$target | cut -d/ -f1); arch=$$(echo $$target | cut -d/ -f2); arm=$$(echo $$target | cut -d/ -f3); \
		echo "CGO_ENABLED=0 GOOS=$$os GOARCH=$$arch GOARM=$$arm $(GO) build ./..."; \
		CGO_ENABLED=0 GOOS=$$os GOARCH=$$arch GOARM=$$arm $(GO) build -o /dev/null ./cmd/mcc; \
		CGO_ENABLED=0 GOOS=$$os GOARCH=$$arch GOARM=$$arm $(GO) vet ./... ; \
	done

vectors: ## rewrite the golden files and show what changed
	$(GO) test ./transport/udp/... ./dht/... -run 'Golden|Vector' -update
	git diff --stat -- testdata

check: build lint race cross ## all that must pass before a commit

.PHONY: help build run demo test race lint fuzz bench cover cross vectors check

# Everything one does with Purser. `make help` lists the verbs; nothing here needs root or an account.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.purser-installed
PACKAGES := protos $(sort $(wildcard services/*)) operator
# What a change of needs another set-up.
RECIPE := requirements-dev.txt pyproject.toml $(addsuffix /pyproject.toml,$(PACKAGES)) \
          protos/hatch_build.py $(shell find protos/purser -name '*.proto')

# Wire contracts are compared with the newest release, or with the last commit before there is one.
CONTRACT = $(shell git describe --tags --abbrev=0 --match 'v*' 2>/dev/null || echo HEAD)
comma := ,

# Runs a check and says one word; its output is shown when it fails.
define quiet
	@out=$$({ $(2); } 2>&1) || { printf '%s\n' "$$out"; echo '$(1): not ok'; exit 1; }; printf '%-14s ok\n' '$(1)'
endef

##@ Use it
.PHONY: run
run: $(STAMP) ## start everything on this machine and print the address of the chat page; Ctrl-C stops it
	@exec $(BIN)/python -m devbox run $(if $(PORT),--port $(PORT))

.PHONY: status
status: $(STAMP) ## list each process with its state and memory (PSS), and the sum
	@$(BIN)/python -m devbox status

.PHONY: scale
scale: $(STAMP) ## hold the run at WORKERS=3 user-workers; WORKERS=auto lets the backlog decide again
	@$(BIN)/python -m devbox scale $(or $(WORKERS),auto)

.PHONY: jobs
jobs: $(STAMP) ## list the jobs that were set aside; ARGS='show JOB', ARGS='replay JOB', ARGS=--help
	@$(BIN)/python -m devbox jobs -- $(ARGS)

.PHONY: stop
stop: $(STAMP) ## stop what a killed run left behind
	@$(BIN)/python -m devbox stop

##@ Put it on a cluster
.PHONY: images
images: $(STAMP) ## build the images that changed and print their sizes; needs Docker, or as root buildah and debootstrap
	@$(BIN)/python -m tests.cluster.images $(ARGS)

.PHONY: dev
dev: $(STAMP) ## skaffold dev: Purser on the node of `make cluster-node` or your current context; an edit is there in seconds
	@exec $(BIN)/python -m tests.cluster.skaffold dev $(ARGS)

.PHONY: deploy
deploy: $(STAMP) ## skaffold run: the same once, and left there; `make deploy VERB=delete` takes it away
	@exec $(BIN)/python -m tests.cluster.skaffold $(or $(VERB),run) $(ARGS)

.PHONY: cluster-secrets
cluster-secrets: $(STAMP) ## make the Secrets the chart expects where they are absent, for trying out (NAMESPACE=purser)
	@$(BIN)/python -m devbox cluster-secrets $(if $(NAMESPACE),--namespace $(NAMESPACE)) $(ARGS)

##@ Change it
# Tests start Purser's processes hundreds of times: none shall compile our modules anew. Simulated
# worlds are the same ones each time, as in `make simulate`.
TESTING = env -u PYTHONDONTWRITEBYTECODE PYTHONHASHSEED=0 $(BIN)/python -m pytest

.PHONY: test
test: $(STAMP) ## pass the tests that need neither root nor Go; T=tests/unit/ledger narrows
	@$(TESTING) $(if $(T),$(T),tests --ignore=tests/cluster --ignore=tests/node -m 'not long' -n 3 --dist loadfile --no-loadscope-reorder)

.PHONY: simulate
simulate: $(STAMP) ## run the workers in simulated worlds where everything goes wrong (SEEDS=1000; SEED=7 replays one)
	@PYTHONHASHSEED=0 $(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),1000) --first $(or $(FIRST),0))

.PHONY: controlplane
controlplane: $(STAMP) ## build the control plane of the tests: once, some ten minutes; needs Go 1.24 or newer
	@$(BIN)/python -m tests.cluster.binaries

# Most of the time these tests wait: two test processes, each with a control plane of its own. A cluster that
# is there already holds but one definition of the resource, which some tests change.
TWO_AT_ONCE = $(if $(PURSER_TEST_KUBECONFIG),,-n 2 --dist loadfile --no-loadscope-reorder)

.PHONY: test-cluster
test-cluster: controlplane ## pass the tests against a real Kubernetes control plane, and the long ones; T=... narrows
	@$(BIN)/python -m pytest $(if $(T),$(T),tests/cluster $(TWO_AT_ONCE))
	@$(if $(T),,$(BIN)/python -m pytest tests --ignore=tests/cluster --ignore=tests/node -m long)

.PHONY: cluster
cluster: $(STAMP) ## start Purser on a Kubernetes control plane, say what to try with kubectl; needs Go once; Ctrl-C stops it all
	@exec $(BIN)/python -m tests.cluster.playground $(if $(PORT),--port $(PORT))

.PHONY: node-programs
node-programs: $(STAMP) ## build what a real node takes beside the control plane, and helm: once, some five minutes
	@$(BIN)/python -m tests.cluster.binaries node

.PHONY: cluster-node
cluster-node: node-programs ## start a real Kubernetes node in the background, without Docker; needs root, Debian's packages, Go once
	@$(BIN)/python -m tests.cluster.node up

.PHONY: cluster-down
cluster-down: $(STAMP) ## end that node; nothing of it is left
	@$(BIN)/python -m tests.cluster.node down

.PHONY: test-node
test-node: node-programs images ## pass the tests on real pods, on a node or the cluster PURSER_TEST_KUBECONFIG names; T=... narrows
	@$(BIN)/python -m pytest $(if $(T),$(T),tests/node)

.PHONY: check
check: $(STAMP) ## read the code: format, lint, protos, import contracts, types (fastest first)
	$(call quiet,format,$(BIN)/ruff format --check .)
	$(call quiet,lint,$(BIN)/ruff check .)
	$(call quiet,proto lint,cd protos && ../$(BIN)/buf lint && ../$(BIN)/buf format --diff --exit-code)
	$(call quiet,proto compat,cd protos && ../$(BIN)/buf breaking --against "$$(git rev-parse --path-format=absolute --git-common-dir)#ref=$(CONTRACT)$(comma)subdir=protos")
	$(call quiet,imports,$(BIN)/lint-imports)
	$(call quiet,types,$(BIN)/mypy)

.PHONY: botapi
botapi: $(STAMP) ## export the Bot API's shapes for the simulator, after raising aiogram
	@$(BIN)/python services/devbox/export_bot_api.py

.PHONY: bench
bench: $(STAMP) ## print every figure as a line of JSON (ARGS='trades --trade-rate 20' for a part)
	@$(BIN)/python -m tests.load.bench $(ARGS)

.PHONY: chaos
chaos: $(STAMP) ## break everything under load for MINUTES=10 and judge the books; SEED=7 chooses the faults
	@$(BIN)/python -m tests.chaos $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) $(ARGS)

.PHONY: load
load: $(STAMP) ## put a believable day and price jumps on Purser, say what breaks first (USERS=500, at most 10000)
	@$(BIN)/python -m tests.load.load --users $(or $(USERS),500) $(ARGS)

.PHONY: compare
compare: $(STAMP) ## put the single-process bot and Purser under the same loads and crashes; writes docs/report
	@$(BIN)/python -m tests.load.compare $(ARGS)

.PHONY: format
format: $(STAMP) ## write the code as `make check` wants it
	@$(BIN)/ruff check --quiet --fix . ; $(BIN)/ruff format --quiet . ; cd protos && ../$(BIN)/buf format -w

##@ Keep it
.PHONY: lock
lock: $(STAMP) ## resolve the dependencies anew into requirements*.txt and requirements/ (commit them all)
	@.ci/lock

.PHONY: clean
clean: ## remove the environment, generated code and caches; the data of `make run` stays
	@rm -rf $(VENV) .cache build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find protos -name '*_pb2*.py*' -delete

.PHONY: setup
setup: $(STAMP) ## make the environment (the other verbs do it by themselves)

$(STAMP): $(RECIPE)
	@PYTHON='$(PYTHON)' .ci/setup $(PACKAGES)
	@touch $@

.PHONY: help
help: ## show this
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

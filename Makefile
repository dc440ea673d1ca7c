# Each check and each run is written here once; pre-commit, CI and the docs call these targets.
SHELL := /bin/bash
PYTHON ?= python3
BENCHMARK ?= efficientnet-lite0
SCENARIO ?= Offline
SYSTEM ?= default
BACKEND ?=
PRECISION ?= fp16
PLAN ?= experiments/tft.yaml
ARGS ?=
DIVISION ?= closed
SUBMITTER ?=
TEST ?= TEST01
# Tests wait for a fifth of their time: one more than the cores of a small machine.
TEST_PROCESSES ?= 3
RESULTS ?= inference_results
OUT ?= submission
DIRS ?= $(firstword $(shell ls -td runs/*/ 2>/dev/null))
QPS ?=
BOUND_MS ?=
RUN_ARGS ?= --benchmarks=$(BENCHMARK) --scenarios=$(SCENARIO)

BIN := .venv/bin
VENV := .venv/.made
SETUP := .venv/.setup
DEV := .venv/.dev
DETECT := .venv/.detect
VIDEO := .venv/.video
CLUSTER := .venv/.cluster
LOCK := .venv-lock
PIP := -m pip -qq --disable-pip-version-check --no-input
# The locks name every package, so pip has nothing to resolve. It compiles nothing either: the last line
# of setup imports what a run imports, which proves the installation and compiles only what is needed.
INSTALL := $(BIN)/python $(PIP) install --no-deps --no-compile
IMPORTS := mlperf_loadgen, msgspec, numpy, onnx.numpy_helper, onnxruntime, PIL.Image, rich.table, yaml
RELOCK := $(LOCK)/bin/python $(PIP) install
# $(call freeze,FILE,OPTIONS)
freeze = { echo '\# Made by make lock from pyproject.toml.'; \
	$(LOCK)/bin/python -m pip freeze $(2); } > requirements/$(1).txt
# $(call sut,SCENARIO,MORE OPTIONS)
sut = $(BIN)/sut run -b $(BENCHMARK) -s $(1) --system $(SYSTEM) $(addprefix --backend ,$(BACKEND)) $(2) $(ARGS)
# NVIDIA's names for the arguments of a harness, and ours; an argument not listed passes unchanged.
harness = $(patsubst --benchmarks=%,-b %,$(patsubst --scenarios=%,-s %,$(call modes,$(1))))
modes = $(subst --test_mode=AccuracyOnly,--mode accuracy,$(subst --test_mode=PerformanceOnly,--mode \
	performance,$(subst --test_mode=SubmissionRun,--mode submission,$(1))))

.DEFAULT_GOAL := help

##@ Start
.PHONY: help setup doctor
help: ## Show this list
	@awk -F ':.*## ' '/^##@/ {print "\n" substr($$0, 5)} /^[a-z_-]+:.*## / {printf "  %-22s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo; echo 'Values now: BENCHMARK=$(BENCHMARK) SYSTEM=$(SYSTEM) BACKEND=$(BACKEND) ARGS=$(ARGS) PYTHON=$(PYTHON)'

setup: $(SETUP) ## Make .venv and install the program into it

doctor: $(SETUP) ## Show what this machine has and lacks
	@$(BIN)/sut doctor $(ARGS)

##@ Run (BENCHMARK= SYSTEM= BACKEND= ARGS=); server to multistream take ten minutes, or less with ARGS="--min-duration-s 10"
.PHONY: run server offline singlestream multistream accuracy detect video cluster-demo serve study sweep fit concurrency devices tune plan report run_harness
run: $(SETUP) ## Run all four scenarios, performance and accuracy, ten seconds or more each
	@$(call sut,all,--mode submission --min-duration-s 10)

server: $(SETUP) ## Run Server: queries at random times, with a latency bound
	@$(call sut,Server)

offline: $(SETUP) ## Run Offline: all samples in one query
	@$(call sut,Offline)

singlestream: $(SETUP) ## Run SingleStream: queries of one sample, one after the other
	@$(call sut,SingleStream)

multistream: $(SETUP) ## Run MultiStream: queries of eight samples, one after the other
	@$(call sut,MultiStream)

accuracy: $(SETUP) ## Run the accuracy test of SCENARIO= (Offline)
	@$(call sut,$(SCENARIO),--mode accuracy)

detect: $(DETECT) ## Run a real detector over photos and a clip, and draw its boxes: needs npm and apt-get
	@$(BIN)/python -m tests.detect $(ARGS)

video: $(VIDEO) ## Run people, faces and masks over four streams of real frames, and draw: needs npm and apt-get
	@$(BIN)/python -m tests.detect.video $(ARGS)

cluster-demo: $(CLUSTER) ## Let Ray place two nodes on this machine, run on them, and kill one in a run
	@$(BIN)/python -m tests.benchmarks.cluster_demo

sweep: $(SETUP) ## Measure a range of batch sizes, or of another load with ARGS="--load closed"
	@$(BIN)/sut sweep -b $(BENCHMARK) --system $(SYSTEM) $(addprefix --backend ,$(BACKEND)) $(ARGS)

fit: $(SETUP) ## Find the largest batch that fits; ARGS="--memory-limit 2GB --instances 1,2"
	@$(BIN)/sut fit -b $(BENCHMARK) --system $(SYSTEM) $(addprefix --backend ,$(BACKEND)) $(ARGS)

concurrency: $(SETUP) ## Measure how processes share a device; ARGS="--processes 1,2,4 --batches 1,4"
	@$(BIN)/sut concurrency -b $(BENCHMARK) --system $(SYSTEM) $(addprefix --backend ,$(BACKEND)) $(ARGS)

devices: $(SETUP) ## Compare the model on the CPU and every GPU; other precisions with ARGS="--precision fp32,int8"
	@$(BIN)/sut devices -b $(BENCHMARK) $(addprefix --system ,$(filter-out default,$(SYSTEM))) $(addprefix --backend ,$(BACKEND)) $(ARGS)

serve: $(DEV) ## Serve the model over HTTP to clients of Triton and KServe
	@$(BIN)/sut serve -b $(BENCHMARK) --system $(SYSTEM) $(addprefix --backend ,$(BACKEND)) $(ARGS)

study: $(SETUP) ## Measure the variants of PLAN= (experiments/tft.yaml: a few minutes), after comparison and gate
	@$(BIN)/sut sweep --plan $(PLAN) $(ARGS)

tune: $(SETUP) ## Find the best settings and load for SCENARIO= and write them to user_confs/
	@$(BIN)/sut tune -b $(BENCHMARK) -s $(SCENARIO) --system $(SYSTEM) $(addprefix --backend ,$(BACKEND)) $(ARGS)

plan: $(SETUP) ## Count the devices of SYSTEM=r740_4xt4 that hold BENCHMARK=resnet50 at QPS= queries/s within BOUND_MS=
	@$(BIN)/sut plan -b $(BENCHMARK) --qps "$(QPS)" --bound-ms "$(BOUND_MS)" --system $(SYSTEM) $(ARGS)

report: $(SETUP) ## Write a page with charts of the latest folder in runs/, or of DIRS=
	@$(BIN)/sut report $(DIRS) $(ARGS)

run_harness: $(SETUP) ## Run with arguments of NVIDIA's harness, given in RUN_ARGS=
	@$(BIN)/sut run $(call harness,$(RUN_ARGS))

##@ Prepare (BENCHMARK= PRECISION= ARGS=)
.PHONY: build generate_engines quantize calibrate
build: $(SETUP) ## Build a TensorRT engine of the model
	@$(BIN)/sut build -b $(BENCHMARK) --precision $(PRECISION) $(ARGS)

generate_engines: build ## The same, as NVIDIA's harness calls it

quantize: $(SETUP) ## Make an fp16 or int8 model and compare it with fp32
	@$(BIN)/sut quantize -b $(BENCHMARK) --precision $(PRECISION) $(ARGS)

calibrate: PRECISION := int8
calibrate: quantize ## The same for int8, as NVIDIA's harness calls it

##@ Submit (BENCHMARK= SYSTEM= SUBMITTER= DIVISION= OUT= ARGS=)
.PHONY: submission stage_results audit check extra
submission: $(SETUP) ## Run the tests that a submission still needs, verify them, write the tree to OUT=
	@$(BIN)/sut submit -b $(BENCHMARK) --system $(SYSTEM) --division $(DIVISION) \
	--submitter "$(SUBMITTER)" --out $(OUT) $(ARGS)

stage_results: submission ## The same, as NVIDIA's harness calls it

audit: $(SETUP) ## Run compliance TEST= of SCENARIO= and verify it
	@$(BIN)/sut audit $(TEST) -b $(BENCHMARK) -s $(SCENARIO) --system $(SYSTEM) --out $(OUT)-audit $(ARGS)

check: $(SETUP) ## Check the tree in OUT=, more strictly than the official checkers
	@$(BIN)/sut check $(OUT) $(ARGS)

extra: $(DEV) ## Make four full-length submissions in OUT=: 34 minutes, then 45 on an otherwise idle machine
	@$(BIN)/python -m tests.sut.submission.extra.stand_in $(OUT)/closed
	@$(BIN)/python -m tests.sut.submission.extra.stand_in_yolo $(OUT)/yolo
	@$(BIN)/python -m tests.sut.submission.extra.stand_in_network $(OUT)/network
	@$(BIN)/python -m tests.sut.submission.extra.open_division $(OUT)/open

##@ Develop
.PHONY: test lint fmt fuzz lock check-corpus published bench-cpu bench-model bench-tuner bench-plan bench-dispatch bench-compare bench-postprocess bench-detection bench-report bench-serve bench-doors soak-serve bench-sweep bench-concurrency bench-fit bench-start bench-cluster bench-network bench-scale bench-poisson bench-tracker bench-tracker-accuracy bench-video chaos-cluster bench-gpu
test: $(DEV) ## Run the tests; only some with ARGS="-k NAME"
	@$(BIN)/python -m pytest -q -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder $(ARGS)

lint: $(DEV) ## Check style, format, types and which room imports which
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/mypy && $(BIN)/lint-imports --no-logo

fmt: $(DEV) ## Format the code and repair what can be repaired
	@$(BIN)/ruff check --fix-only --quiet . && $(BIN)/ruff format .

fuzz: $(DEV) ## Read 10,000 mutated files of each kind; another number with ARGS=
	@$(BIN)/python -m tests.fuzz.files $(ARGS)

lock: ## Renew requirements/ from pyproject.toml; use the oldest supported Python
	@rm -rf $(LOCK) && $(PYTHON) -m venv $(LOCK) && $(RELOCK) --upgrade pip setuptools
	@$(RELOCK) -e . && $(call freeze,run,--all --exclude pip --exclude-editable)
	@$(RELOCK) -e '.[dev]' && $(call freeze,dev,--all --exclude pip --exclude-editable)
	@$(RELOCK) --no-deps --target $(LOCK)/assets --group assets && $(call freeze,assets,--path $(LOCK)/assets)
	@$(RELOCK) --no-deps --target $(LOCK)/clients --group clients && $(call freeze,clients,--path $(LOCK)/clients)
	@$(RELOCK) --no-deps -c requirements/dev.txt --target $(LOCK)/cluster --group cluster && $(call freeze,cluster,--path $(LOCK)/cluster)
	@$(RELOCK) --no-deps --target $(LOCK)/detect --group detect && $(call freeze,detect,--path $(LOCK)/detect)
	@$(RELOCK) --no-deps --target $(LOCK)/video --group video && $(call freeze,video,--path $(LOCK)/video)
	@rm -rf $(LOCK)

check-corpus: $(DEV) ## Run sut check over published results, a checkout in RESULTS=DIR
	@$(BIN)/python -m tests.corpus.published "$(RESULTS)" $(ARGS)

published: $(DEV) ## Make the systems in user_confs/published/ and their page: half an hour; ARGS=STEP
	@$(BIN)/python -m tests.benchmarks.published $(ARGS)

bench-cpu: $(DEV) ## Measure this machine's CPU, alone and through the harness
	@$(BIN)/python -m tests.benchmarks.cpu $(ARGS)

bench-model: $(DEV) ## Compare the queue model with the real program, and late closing with delays
	@$(BIN)/python -m tests.benchmarks.queue_model $(ARGS)
	@$(BIN)/python -m tests.benchmarks.closing

bench-tuner: $(DEV) ## Compare the tuner with bisection and brute force, in the queue model
	@$(BIN)/python -m tests.benchmarks.tuner $(ARGS)

bench-plan: $(DEV) ## Compare sut plan with brute force, in the queue model
	@$(BIN)/python -m tests.benchmarks.plan $(ARGS)

bench-dispatch: $(DEV) ## Measure the harness alone, with a backend that computes nothing
	@$(BIN)/python -m tests.benchmarks.dispatch $(ARGS)

bench-compare: $(DEV) ## See whether sut compare finds 5 % and claims nothing else; ARGS=PAIRS
	@$(BIN)/python -m tests.benchmarks.compare $(ARGS)

bench-postprocess: $(DEV) ## Measure what boxes cost on one core; ARGS=ROUNDS
	@$(BIN)/python -m tests.benchmarks.postprocess $(ARGS)

bench-detection: $(DEV) ## Compare the stand-in of YOLO11l with the reference's way; ARGS="--backend torch --devices 0"
	@$(BIN)/python -m tests.benchmarks.detection $(ARGS)

bench-report: $(DEV) ## Measure the report of 176 rows; ARGS=ROUNDS
	@$(BIN)/python -m tests.benchmarks.report $(ARGS)

bench-sweep: $(DEV) ## Measure the closed loop with an engine that answers at once; ARGS="--rounds 5"
	@$(BIN)/python -m tests.benchmarks.sweep $(ARGS)

bench-concurrency: $(DEV) ## Compare processes on a simulated device with processor sharing; ARGS="--seconds 4"
	@$(BIN)/python -m tests.benchmarks.concurrency $(ARGS)

bench-fit: $(DEV) ## Compare the model of memory with measured points, and edges with single steps; ARGS="--set arena=false"
	@$(BIN)/python -m tests.benchmarks.fit $(ARGS)

bench-start: $(DEV) ## Compare tries that start anew with forked ones; ARGS="--device 0 --processes 1,8" (torch)
	@$(BIN)/python -m tests.benchmarks.warm_start $(ARGS)

bench-cluster: $(DEV) ## Measure what the wire to nodes on this machine costs; ARGS="--only wire --rounds 5"
	@$(BIN)/python -m tests.benchmarks.cluster $(ARGS)

bench-network: $(DEV) ## Measure what it costs that samples travel to a node on this machine; ARGS="--rounds 5 --pixels --server-rounds 3"
	@$(BIN)/python -m tests.benchmarks.network $(ARGS)

bench-scale: $(DEV) ## Measure what batches, samples and bytes cost LoadGen's machine, and predict 1,000 devices; ARGS="--only growth"
	@$(BIN)/python -m tests.benchmarks.scale $(ARGS)

bench-poisson: $(DEV) ## Compare our Poisson load with LoadGen's Server; ARGS="--rounds 5"
	@$(BIN)/python -m tests.benchmarks.poisson $(ARGS)

bench-tracker: $(DEV) ## Measure what trackers cost a frame of 10, 50 and 200 objects; ARGS=FRAMES
	@$(BIN)/python -m tests.benchmarks.tracker $(ARGS)

bench-tracker-accuracy: $(DEV) ## Compare trackers and intervals on boxes of real people
	@$(BIN)/python -m tests.benchmarks.tracker_accuracy

bench-serve: $(DEV) ## Compare sut serve with an empty server, and with the closed loop without HTTP; ARGS=ROUNDS
	@$(BIN)/python -m tests.benchmarks.http $(ARGS)
	@$(BIN)/python -m tests.benchmarks.http_loop $(ARGS)

bench-doors: $(DEV) ## Compare LoadGen's Server at the dispatcher with the same through sut serve; ARGS=QPS
	@$(BIN)/python -m tests.benchmarks.two_doors $(ARGS)

soak-serve: $(DEV) ## Load sut serve with clients of all kinds and watch its memory; ARGS="--minutes 60"
	@$(BIN)/python -m tests.benchmarks.http_soak $(ARGS)

bench-video: $(DEV) $(VIDEO) ## Compare a pipeline with its slowest stage alone, and readers in processes with threads; ARGS="--rounds 5"
	@$(BIN)/python -m tests.benchmarks.video $(ARGS)
	@$(BIN)/python -m tests.benchmarks.video_readers $(ARGS)

chaos-cluster: $(DEV) ## Break nodes, cables and processes under runs on a cluster (root); ARGS="--runs 100"
	@$(BIN)/python -m tests.benchmarks.chaos_cluster $(ARGS)

bench-gpu: $(DEV) ## Measure this machine's GPUs, alone and through the harness
	@$(BIN)/python -m tests.benchmarks.gpu $(ARGS)

##@ Clean
.PHONY: clean distclean
clean: ## Remove what checks and builds left behind; runs/ stays
	@rm -rf build dist *.egg-info .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

distclean: clean ## Remove .venv too
	@rm -rf .venv $(LOCK)

$(SETUP): requirements/run.txt requirements/assets.txt pyproject.toml setup.py | $(VENV)
	@echo "Installing into .venv ..."
	@$(INSTALL) -r requirements/run.txt -r requirements/assets.txt && $(INSTALL) --no-build-isolation -e .
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -c 'import $(IMPORTS)' && touch $@

$(DEV): $(SETUP) requirements/dev.txt requirements/clients.txt
	@echo "Installing the tools for tests and lint into .venv ..."
	@$(INSTALL) -r requirements/dev.txt -r requirements/clients.txt && touch $@

$(DETECT): $(SETUP) requirements/detect.txt
	@echo "Installing what make detect needs into .venv ..."
	@$(INSTALL) -r requirements/detect.txt && touch $@

$(VIDEO): $(SETUP) requirements/video.txt
	@echo "Installing what make video needs into .venv ..."
	@$(INSTALL) -r requirements/video.txt && touch $@

$(CLUSTER): $(SETUP) requirements/cluster.txt
	@echo "Installing Ray into .venv ..."
	@$(INSTALL) -r requirements/cluster.txt && touch $@

# --clear: an interrupted setup may have left half an environment.
$(VENV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo >&2 \
	'make setup: "$(PYTHON)" is not Python 3.11 or newer. Install one, or name it: make setup PYTHON=python3.12'; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo >&2 \
	'make setup: "$(PYTHON)" cannot make virtual environments. On Debian or Ubuntu: apt install python3-venv'; exit 1; }
	@$(PYTHON) -m venv --clear .venv && touch $@

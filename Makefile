# The few words a person types. Each makes what it needs and is quick the second time.
#
#   make demo    train, export, serve and score: the main job, end to end
#   make test    every check of the project
#   make conformance   the checklist of the wire protocol: a verdict per item
#   make bench   the benchmarks; writes benchmarks/results.md
#   make bench-features   those of feature generation; writes benchmarks/results-features.md
#   make bench-items   those of the item store; writes benchmarks/results-items.md
#   make bench-peers   beside five other servers; writes benchmarks/results-peers.md; ONLY=fastapi,recserve
#   make bench-overload   three times as much traffic as the server can answer; MINUTES=10
#   make bench-deploy   rolls, scaling, a canary and kills under traffic; writes benchmarks/results-deploy.md
#   make bench-connections   what idle connections cost
#   make bench-gateway   what the gateway of `recserve up` adds to a request
#   make bench-compile   models at their own rates beside their own TorchScript call; BUNDLES="folder ..."
#   make bench-client   how long a request takes to build, beside the EAS SDK
#   make test-browser   the page to try a service, in a real browser (chromium)
#   make test-spark   the tests that need Spark: an environment of its own, and a Java VM 17
#   make soak    good, bad and too much traffic at every door; MINUTES=10
#   make soak-items   half an hour of changes, outages and kills: the items stay equal to PostgreSQL; MINUTES=30
#   make fuzz    broken requests, and features of random configs, under sanitizers; MINUTES=5 of each
#   make fuzz-compile   10,000 drawn requests to each family of models, original and compiled; BUNDLES="folder ..."
#   make check   lint and types only
#   make reference   what docs/ says of the code (settings, errors), feature types and JSON Schemas: build/docs/
#   make help    this list

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EAS := .venv-eas
SPARK := .venv-spark
PEERS := .venv-peers
# Set-up prints what it is doing, and pip only when it fails.
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

NATIVE := $(shell find cpp proto -name '*.cc' -o -name '*.h' -o -name '*.proto') CMakeLists.txt

.DEFAULT_GOAL := help
.PHONY: help demo test conformance test-browser test-spark check lint types unit native-test bench bench-features bench-items bench-peers bench-overload bench-connections bench-gateway bench-deploy bench-client bench-compile reference soak soak-items fuzz fuzz-compile format clean

help:
	@sed -n '2,/^$$/s/^# \{0,1\}//p' Makefile

# --- set-up -----------------------------------------------------------------------------------------------

$(VENV)/.created:
	@echo "» creating $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "recserve needs Python 3.11 or newer; try: make PYTHON=python3.11 ...")'
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# torch and fbgemm are one pinned pair. torchrec (training side of the demo only) names fbgemm-gpu without a
# version, which lays the CUDA build over the CPU one; so it comes without its dependencies.
$(VENV)/.dependencies: $(VENV)/.created pyproject.toml Makefile
	@echo "» installing dependencies (torch is the big one)"
	@$(PIP) install --upgrade pip
	@$(PIP) install torch==2.13.0 fbgemm-gpu-cpu==1.8.0
	@$(PIP) install --no-deps torchrec==1.8.0
	@$(PIP) install tensordict torchmetrics==1.0.3 pyre-extensions tqdm 2>&1 | { grep -v 'fbgemm-gpu, which is not installed\|dependency resolver' || true; }
	@$(BIN)/python tools/requirements.py build dependencies onnx text plots ray sql postgres redis feast object-store store grpc otel kubernetes gateway test | xargs -d '\n' $(PIP) install
	@touch $@

# An editable install, so that Python edits need no second step; native edits rebuild here.
$(VENV)/.installed: $(VENV)/.dependencies $(NATIVE)
	@echo "» building the native core"
	@$(PIP) install --no-build-isolation --no-deps --config-settings=editable.rebuild=false --editable .
	@cp build/cp*/_core.pyi src/recserve/ && cp build/cp*/messages.desc src/recserve/wire/  # for mypy and tests
	@touch $@

# Clients of others live in an environment of their own, as their users run them: the EAS client needs an old
# protobuf.
$(EAS)/.installed: Makefile
	@echo "» creating $(EAS) for the clients of others"
	@$(PYTHON) -m venv $(EAS)
	@$(EAS)/bin/python -m pip --disable-pip-version-check --quiet install "eas_prediction==0.36" "protobuf<=3.20.3" "tritonclient[http]>=2.50"
	@touch $@

# Spark brings a Java bridge of 400 MB that nothing else needs.
$(SPARK)/.installed: pyproject.toml Makefile $(NATIVE) $(shell find src -name '*.py')
	@echo "» creating $(SPARK) with Spark, and building recserve for it"
	@$(PYTHON) -m venv $(SPARK)
	@$(SPARK)/bin/python -m pip --disable-pip-version-check --quiet install ".[spark]" pytest
	@touch $@

# Servers that recserve is measured beside, with the same pair of torch and fbgemm.
$(PEERS)/.installed: Makefile
	@echo "» creating $(PEERS) with BentoML, FastAPI, LitServe, Ray Serve and TorchServe"
	@$(PYTHON) -m venv $(PEERS)
	@$(PEERS)/bin/python -m pip --disable-pip-version-check --quiet install torch==2.13.0 fbgemm-gpu-cpu==1.8.0
	@$(PEERS)/bin/python -m pip --disable-pip-version-check --quiet install numpy orjson \
	  bentoml fastapi "uvicorn[standard]" litserve "ray[serve]" torchserve torch-model-archiver
	@touch $@

# --- what a person asks for -------------------------------------------------------------------------------

demo: $(VENV)/.installed $(EAS)/.installed
	@$(BIN)/python examples/01_train_export_serve_score/demo.py

test: check native-test unit

check: lint types

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror $$(find cpp -name '*.cc' -o -name '*.h')

types: $(VENV)/.installed
	$(BIN)/mypy
	$(BIN)/mypy --strict tests benchmarks conformance tools
	MYPYPATH=src:examples/01_train_export_serve_score $(BIN)/mypy --strict examples/01_train_export_serve_score/*.py
	MYPYPATH=src:examples/02_features_offline $(BIN)/mypy --strict examples/02_features_offline/*.py
	MYPYPATH=src:examples/03_feature_store $(BIN)/mypy --strict examples/03_feature_store/*.py

native-test: $(VENV)/.installed
	@echo "» building and running the native tests"
	@$(BIN)/cmake -S . -B build/native-tests -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja \
	  -DPython_EXECUTABLE=$(abspath $(BIN))/python -DRECSERVE_TESTS=ON > /dev/null
	@$(BIN)/ninja -C build/native-tests recserve_tests
	@build/native-tests/recserve_tests

unit: $(VENV)/.installed $(EAS)/.installed
	$(BIN)/python -m pytest

conformance: $(VENV)/.installed $(EAS)/.installed
	@$(BIN)/python -m tests.conformance

test-browser: $(VENV)/.installed
	@$(PIP) install "playwright>=1.50"
	$(BIN)/python -m pytest -p no:cacheprovider tests/browser/in_a_browser.py

test-spark: $(SPARK)/.installed
	@command -v java > /dev/null || { echo "Spark needs a Java VM; try: apt-get install openjdk-17-jre-headless"; exit 1; }
	$(SPARK)/bin/python -m pytest -p no:cacheprovider tests/spark/on_spark.py

bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks

# What others do the same with: only these benchmarks need it.
$(VENV)/.peers: $(VENV)/.installed
	@echo "» installing numba, polars and pandas"
	@$(BIN)/python tools/requirements.py bench | xargs -d '\n' $(PIP) install
	@touch $@

bench-features: $(VENV)/.peers
	$(BIN)/python -m benchmarks.features

bench-items: $(VENV)/.installed
	$(BIN)/python -m benchmarks.items

bench-peers: $(VENV)/.installed $(PEERS)/.installed
	@command -v java > /dev/null || echo "no Java VM: TorchServe will be left out; try: apt-get install openjdk-17-jre-headless"
	$(BIN)/python -m benchmarks.peers --peers $(PEERS) $(if $(ONLY),--only $(ONLY))

bench-overload: MINUTES = 10
bench-overload: $(VENV)/.installed
	$(BIN)/python -m benchmarks.overload --minutes $(MINUTES)

bench-deploy: $(VENV)/.installed $(EAS)/.installed
	$(BIN)/python -m benchmarks.deploy

bench-connections: $(VENV)/.installed
	$(BIN)/python -m benchmarks.connections

bench-gateway: $(VENV)/.installed
	$(BIN)/python -m benchmarks.gateway

bench-client: $(VENV)/.installed $(EAS)/.installed
	$(BIN)/python -m benchmarks.client

# The demo's model is one of those that are measured, unless others are named.
bench-compile: $(VENV)/.installed
	@test -n "$(BUNDLES)" -o -d .demo/bundle || $(MAKE) --no-print-directory demo
	$(BIN)/python -m benchmarks.compile $(if $(BUNDLES),--bundle $(BUNDLES))

reference: $(VENV)/.installed
	@$(BIN)/python tools/reference.py

# Good, bad and overload traffic at every door: the server must stay right, and its memory where it was.
soak: MINUTES = 10
soak: $(VENV)/.installed
	$(BIN)/python -m benchmarks.soak --minutes $(MINUTES)

# Item stores over a PostgreSQL that changes, stops, dies and hangs, in processes that are killed.
soak-items: MINUTES = 30
soak-items: $(VENV)/.installed
	$(BIN)/python -m benchmarks.soak_items --minutes $(MINUTES)

# Under the address and undefined behaviour sanitizers: broken requests, then configs and data of features,
# guided by coverage; last, the core against the referee. What is found is kept in build/fuzz.
MINUTES ?= 5
CLANG := $(firstword $(foreach version,20 19 18 17 16,$(shell command -v clang++-$(version))))

fuzz: $(VENV)/.installed
	@test -n "$(CLANG)" || { echo "make fuzz needs clang 16 or newer: apt-get install clang-16 libclang-rt-16-dev"; exit 1; }
	@$(BIN)/cmake -S . -B build/fuzz -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja \
	  -DCMAKE_CXX_COMPILER=$(CLANG) -DRECSERVE_TESTS=ON -DRECSERVE_SANITIZE=ON > /dev/null
	@$(BIN)/ninja -C build/fuzz fuzz_wire fuzz_features
	@mkdir -p build/fuzz/wire build/fuzz/corpus
	build/fuzz/fuzz_wire -max_total_time=$$((60 * $(MINUTES))) -max_len=4096 -verbosity=0 -print_final_stats=1 \
	  -artifact_prefix=build/fuzz/wire- build/fuzz/wire
	build/fuzz/fuzz_features -max_total_time=$$((60 * $(MINUTES))) -len_control=0 -max_len=1200 -verbosity=0 \
	  -print_final_stats=1 -artifact_prefix=build/fuzz/features- build/fuzz/corpus
	$(BIN)/python -m tests.features.referee fuzz $(MINUTES)

# Original and compiled model have to agree on whatever is drawn; what differs is kept in build/fuzz. Without the
# log: it has a line for every id that no table has.
fuzz-compile: REQUESTS = 10000
fuzz-compile: $(VENV)/.installed
	TORCH_CPP_LOG_LEVEL=FATAL $(BIN)/python -m tests.compile.fuzz --requests $(REQUESTS) $(if $(BUNDLES),--bundle $(BUNDLES))

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $$(find cpp -name '*.cc' -o -name '*.h')

clean:
	rm -rf build $(VENV) $(EAS) $(SPARK) $(PEERS) .demo

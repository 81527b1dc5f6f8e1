# Everything is built once, optimised. PERCUSS_DATA names a folder with fetched data sets; the tests on real data run where it is set.
CARGO ?= cargo
# Keeps Mesa's device-select layer quiet on machines without a desktop.
export NODEVICE_SELECT ?= 1
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
MODELS := support2-mlp pneumoniamnist-cnn mitbih-resnet1d mitbih-linear cxr-phantom-cnn ecg-synthetic-resnet1d

.PHONY: build demo test vulkan notebooks lint models bench
# Experiments with a notebook.
NOTEBOOKS := $(patsubst experiments/%/figures.ipynb,%,$(wildcard experiments/*/figures.ipynb))

build:
	$(CARGO) build --release --locked

demo: build
	target/release/percuss demo

# The tests that need PERCUSS_DATA are ignored by name without it.
test: lint vulkan
	$(CARGO) test --release --locked --workspace --no-fail-fast -- $(if $(PERCUSS_DATA),--include-ignored)
	$(MAKE) --no-print-directory notebooks

# Shaders are tested on any Vulkan adapter; where there is none, Mesa's software one is installed.
vulkan:
	$(CARGO) test --release --locked --workspace --no-run
	@if target/release/percuss devices 2>/dev/null | grep -q Vulkan; then :; else \
	  echo "no Vulkan adapter: installing Mesa's software one"; \
	  $(SUDO) apt-get update && $(SUDO) apt-get install -y --no-install-recommends mesa-vulkan-drivers libvulkan1; \
	fi

# Each experiment in a small version, and its notebook on that: what they show says nothing, that they run does.
notebooks: target/notebooks/bin/python
	@test -x target/release/percuss || $(CARGO) build --release --locked
	@for name in $(NOTEBOOKS); do \
	  folder=target/notebooks/small/$$name && rm -rf $$folder && echo "notebook $$name" && \
	  target/notebooks/bin/python experiments/small.py experiments/$$name/study.toml $$folder && \
	  target/release/percuss sweep $$folder/study.toml --device cpu --quiet --out $$folder/results && \
	  target/notebooks/bin/python experiments/execute.py experiments/$$name/figures.ipynb $$folder/results || exit 1; \
	done

target/notebooks/bin/python: experiments/requirements.txt
	@python3 -c "import ensurepip" 2>/dev/null || { \
	  echo "no python3 with venv: installing it"; \
	  $(SUDO) apt-get update && $(SUDO) apt-get install -y --no-install-recommends python3 python3-venv; \
	}
	python3 -m venv --clear target/notebooks
	target/notebooks/bin/pip install --quiet --disable-pip-version-check --requirement experiments/requirements.txt
	touch $@

lint:
	$(CARGO) fmt --all --check

clippy:
	$(CARGO) clippy --release --workspace --all-targets -- -D warnings

# Trains the models of experiments/models anew, from their TRAIN files; the real-data ones need PERCUSS_DATA.
models: build
	for model in $(MODELS); do target/release/percuss train experiments/models/$$model.toml || exit 1; done

# One attack, a ladder of budgets, a study and growth against PyTorch, Foolbox, torchattacks and ART, and ViT-B/16 against PyTorch, on the same cores;
# takes about an hour on two. PYTHON needs benches/requirements.txt.
PYTHON ?= python3
bench:
	$(PYTHON) benches/compare.py
	$(PYTHON) benches/vit.py --write

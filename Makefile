# `make` alone lists the targets. Everything lives in .venv; nothing else on the system is touched,
# except that the tests of the editors build their chroots below /var/tmp.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
PYTEST := $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast test-gpu test-editors test-editors-next check fmt serve link-gimp link-krita plugins screenshots

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) install -c constraints.txt torch
	$(PIP) install -c constraints.txt -e '.[demo]'
	@touch $@

.venv/installed-dev: .venv/installed
	$(PIP) install -c constraints.txt -e '.[dev]'
	@touch $@

demo: .venv/installed  ## set up, upscale a photograph (or IMG=path) 4x through the daemon
	$(BIN)/python -m pid_daemon.demo $(IMG)

test: .venv/installed-dev  ## everything
	$(PYTEST) -m "not gpu"

test-fast: .venv/installed-dev  ## everything that takes seconds
	$(PYTEST) -m "not slow and not gpu and not editors"

test-gpu: .venv/installed-dev  ## what needs a CUDA device
	$(PYTEST) -m gpu

test-editors: .venv/installed-dev  ## the real GIMP and Krita (needs root and debootstrap)
	PID_TEST_EDITORS=1 $(PYTEST) -m editors

test-editors-next: .venv/installed-dev  ## the same against the newest GIMP and Krita
	PID_TEST_EDITORS=1 PID_EDITORS_SUITE=sid $(PYTEST) -m editors

check: .venv/installed-dev  ## lint, format, types
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/pyright

fmt: .venv/installed-dev  ## format
	$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

serve: .venv/installed  ## run the daemon in this terminal
	$(BIN)/pid serve

GIMP_PLUG_INS ?= $(HOME)/.config/GIMP/3.0/plug-ins
KRITA_RESOURCES ?= $(HOME)/.local/share/krita

link-gimp:  ## developer's link of the plugin into GIMP's profile
	mkdir -p $(GIMP_PLUG_INS) && ln -sfn $(CURDIR)/gimp_plugin $(GIMP_PLUG_INS)/pid_gimp

link-krita:  ## developer's links of the plugin into Krita's profile
	mkdir -p $(KRITA_RESOURCES)/pykrita $(KRITA_RESOURCES)/actions
	ln -sfn $(CURDIR)/krita_plugin/pid_krita $(CURDIR)/krita_plugin/pid_krita.desktop $(KRITA_RESOURCES)/pykrita/
	ln -sfn $(CURDIR)/krita_plugin/pid_krita.action $(KRITA_RESOURCES)/actions/

plugins: .venv/installed  ## the plugins as zips, in dist/
	$(BIN)/python -m pid_daemon.install.zips dist

screenshots: .venv/installed-dev  ## pictures of the real editors for the README, in docs/images/
	PID_TEST_EDITORS=1 $(PYTEST) tests/editors/gimp/screenshots.py tests/editors/krita/screenshots.py

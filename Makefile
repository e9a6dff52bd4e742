# What people and CI type. Each target installs what is missing (scripts/setup), then works with CMake and Ninja.
# `make help` lists them.

SHELL := /bin/bash
.DEFAULT_GOAL := build
.NOTPARALLEL:
.PHONY: setup build test demo bench lint format asan tsan fuzz fuzz-long simulate kill-run test-vm test-escape \
  install clean help

FUZZ_SECONDS ?= 60
HISTORIES ?= 100000
KILLS ?= 1000
BENCH_SECONDS ?= 3

help: ## lists the targets
	@sed -n 's/^\([a-z-]*\): .*## /\1\t/p' $(MAKEFILE_LIST) | sort | awk -F'\t' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: ## installs the Debian packages that a build needs
	@scripts/setup build

build: setup ## builds programs and plugins into build/release (the default)
	@scripts/build release

demo: setup ## builds, then shows Liongate at work on a daemon of its own
	@scripts/build release programs
	@scripts/demo

test: ## runs every test, sanitizers, short fuzz runs and the rootless path included
	@scripts/setup build test
	@scripts/test

bench: ## measures beside floors and peers; BENCH_SECONDS=3 for each point
	@scripts/setup build bench
	@scripts/build release
	@BENCH_SECONDS=$(BENCH_SECONDS) /usr/bin/python3 bench/run.py

lint: ## clang-format, clang-tidy, the rules of the house, shellcheck
	@scripts/setup build lint
	@scripts/lint

format: ## rewrites the C++ files as clang-format wants them
	@scripts/setup lint
	@scripts/lint --format

asan: ## all unit and integration tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@scripts/setup build test
	@scripts/build asan
	@ctest --preset asan

tsan: ## all unit and integration tests under ThreadSanitizer
	@scripts/setup build test
	@scripts/build tsan
	@ctest --preset tsan

fuzz: ## runs each fuzz target for FUZZ_SECONDS=60
	@scripts/setup build fuzz
	@scripts/fuzz $(FUZZ_SECONDS)

fuzz-long: ## runs each fuzz target for an hour
	@$(MAKE) --no-print-directory fuzz FUZZ_SECONDS=3600

simulate: ## HISTORIES=100000 histories of the event log on a disk that loses, tears and refuses
	@scripts/setup build test
	@scripts/build release event_log_simulation
	@build/release/tests/event_log_simulation --histories $(HISTORIES)

kill-run: ## KILLS=1000 times kill -9 of the daemon or a plugin at random moments under load
	@scripts/setup build test
	@scripts/build release
	@LIONGATE_BUILD_DIR=build/release LIONGATE_KILL_RUNS=$(KILLS) build/venv/bin/python3 -B -m pytest -q -s \
	  -p no:cacheprovider tests/integration/test_kill_run.py

test-escape: ## every escape attempt: unsandboxed, with nothing granted, with all else granted; root and rootless
	@scripts/setup build test
	@scripts/build release
	@LIONGATE_BUILD_DIR=build/release /usr/bin/python3 -B tests/escape/run.py

test-vm: ## boots Debian 12 under qemu and checks there the units, control groups and older kernels (long; as root)
	@scripts/setup build vm
	@scripts/build release programs liongate_test_plugins
	@scripts/test-vm

install: ## installs below DESTDIR (prefix /usr): programs, plugins, units, completions, man pages
	@scripts/setup build
	@scripts/build release
	@DESTDIR="$(DESTDIR)" cmake --install build/release --prefix /usr

clean: ## removes what was built (build/)
	rm -rf build

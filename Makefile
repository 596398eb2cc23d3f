# SPDX-License-Identifier: GPL-2.0
#
# VFIO in Rust: `make run` and `make test` do everything, set-up included. `make help` lists the rest.
# The work is done by scripts/ and tests/vm/; kbuild reads Kbuild, not this file.

ARCH ?= amd64
KDIR ?=
KVER ?=
DEBUG ?=
MACHINE ?=
SUITE ?=
MODULES ?= rust
JOBS ?= 2

export ARCH DESTDIR
unexport MAKEFLAGS

comma := ,
MACHINES = $(foreach m,$(subst $(comma), ,$(MACHINE)),--machine $(m))
SUITES = $(foreach s,$(subst $(comma), ,$(SUITE)),--suite $(s)) --modules='$(MODULES)'
# Nothing of ours is needed where only the stock C modules run.
NEEDED = $(filter-out c,$(MODULES))

.PHONY: help
help:
	@cat scripts/help.txt

.PHONY: setup
setup:
	@scripts/setup root kernel tests

.PHONY: modules
modules:
	@scripts/build modules $(if $(DEBUG),debug,$(KDIR))

# MODULES=rust, the default, is all of them.
.PHONY: install uninstall
install:
	@scripts/for-kernel '$(KVER)' sh -c 'exec scripts/build modules $$KDIR'
	@scripts/for-kernel '$(KVER)' scripts/install install $(filter-out rust,$(subst $(comma), ,$(MODULES)))
uninstall:
	@KVER='$(KVER)' scripts/install uninstall $(filter-out rust,$(subst $(comma), ,$(MODULES)))

.PHONY: sample
sample:
	@scripts/build-sample sample

.PHONY: run
run:
	@scripts/run

.PHONY: test test-long
test-long: LONG = --long
test test-long:
	@scripts/test $(if $(NEEDED),--build) --jobs $(JOBS) $(if $(V),--verbose) $(MACHINES) $(SUITES) $(LONG)

.PHONY: soak
soak:
	@scripts/test $(if $(NEEDED),--build) --machine $(or $(MACHINE),q35-vtd) --suite soak --modules='$(MODULES)' \
		--environment SOAK_SECONDS=$(or $(SECONDS),600) $(if $(V),--verbose)

.PHONY: tables
tables:
	@scripts/setup root kernel tests
	@scripts/make-tables

# STEPS in all: started again, it goes on behind what build/fuzz/results tells.
.PHONY: fuzz
fuzz: modules
	@scripts/setup root kernel tests
	@scripts/fuzz --steps $(or $(STEPS),10000000) --jobs $(JOBS)

.PHONY: fuzz-replay
fuzz-replay:
	@[ -f '$(SCRIPT)' ] || { echo 'make fuzz-replay SCRIPT=<file>: there is no file "$(SCRIPT)"'; exit 1; }
	@scripts/test $(if $(NEEDED),--build) --machine $(or $(MACHINE),q35-vtd) --suite fuzz --suite fuzz-iommufd --modules='$(MODULES)' --no-log \
		--timeout 3600 --script tests/suites/fuzz/replay.sh --file tests/suites/fuzz/swap.sh:/vm/suite/swap.sh --file $(SCRIPT):/vm/script

.PHONY: fuzz-logic
fuzz-logic:
	@scripts/setup root
	@scripts/fuzz-logic '$(SECONDS)' '$(TARGET)' $(if $(KEEP),keep)

.PHONY: mutants miri proofs
mutants:
	@scripts/setup root
	@scripts/mutants $(if $(FAST),--at-once) $(FILE)
miri:
	@scripts/miri $(TEST)
proofs:
	@scripts/setup root
	@scripts/proofs '$(SECONDS)'

# PROFILE=1: by function as well. ONLY=<boot>: one of the boots. KEEP=1: as the numbers of the release.
.PHONY: bench
bench: modules
	@scripts/setup root kernel tests
	@scripts/bench $(if $(PROFILE),--profile build/profile.so) $(foreach o,$(subst $(comma), ,$(ONLY)),--only $(o)) \
		$(if $(KEEP),--out Documentation/performance)

.PHONY: machines
machines:
	@scripts/setup root
	@scripts/in-root python3 -B tests/vm/run --list

.PHONY: check
check:
	@scripts/check

.PHONY: lints
lints:
	@scripts/lints

.PHONY: entry-points
entry-points:
	@scripts/setup root kernel
	@scripts/in-root sh -c 'python3 -B tests/abi/entry_points.py "$$VFIO_SOURCE" Documentation/entry-points.rst'

.PHONY: doc html
doc: html
	@scripts/build doc $(KDIR)
	@rm -rf build/html/rustdoc && cp -r build/$(ARCH)/doc build/html/rustdoc
html:
	@scripts/setup root
	@scripts/in-root sphinx-build -q -W --keep-going -n -d build/html.cache Documentation build/html
	@echo 'documentation: build/html/index.html'

.PHONY: deb test-deb
deb:
	@scripts/deb
test-deb: deb
	@tests/debian/run

.PHONY: rust-analyzer
rust-analyzer: modules
	@scripts/rust-analyzer

.PHONY: clean
clean:
	rm -rf build

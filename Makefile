# penstock: `make demo` to see it run, `make test` to test it, `make help` for the rest.
#
# Knobs (make VAR=value):
#   DEVELOPER=1   warnings are errors (on in a git checkout)
#   SANITIZE=...  address,undefined or thread: objects go to a folder of their own
#   FUZZ=1        for the fuzzer, by clang, in a folder of their own
#   FAULTS=1      with the points and defects of the chaos tests (common/fault.h), in a folder of their own
#   CC, CFLAGS    as usual
#   DATA=...      make demo: a DBN file or glob to load instead of generated bars
#   CHAOS=...     make chaos: its arguments
#   PROCESSES=N   make test: how many tests run side by side; they mostly wait
#   FUZZ_SECONDS  make fuzz, make test: how long each fuzz target runs (30; 0 in make test: none)
#   YES=1         install missing packages without asking
#   PREFIX=...    make install: where to (/usr/local); also DESTDIR, SYSCONFDIR (/etc), UNITDIR

SANITIZE  ?=
FAULTS    ?=
FUZZ      ?=
FUZZ_SECONDS ?= 30
ifneq ($(FUZZ),)
CC        := clang
override SANITIZE := fuzzer-no-link,address,undefined
endif
PROCESSES ?= 3
DEVELOPER ?= $(if $(wildcard .git),1,)
empty     :=
comma     := ,
space     := $(empty) $(empty)
B         := build$(if $(FAULTS),/faults)$(if $(FUZZ),/fuzz,$(if $(SANITIZE),/$(subst $(comma),-,$(SANITIZE))))
GEN       := build/gen

CFLAGS    ?= -O2 -g
PACKAGES  := rdkafka avro-c libpq jansson yaml-0.1 libmicrohttpd libzstd libcurl libuv openssl zlib
# librdkafka's and avro-c's pkg-config names differ between releases; -l names do not.
LIBS      := -lrdkafka -lavro -lpq -ljansson -lyaml -lmicrohttpd -lzstd -lcurl -luv -lcrypto -lz -lpthread -lm
PQ_CFLAGS := $(shell pkg-config --cflags libpq 2>/dev/null)
BASE_CFLAGS := -std=gnu17 -D_GNU_SOURCE -I. -I$(GEN) $(PQ_CFLAGS) -Wall -Wextra -Wshadow -Wstrict-prototypes \
	-Wmissing-prototypes -Wpointer-arith -Wvla -fno-common -fstack-protector-strong \
	$(if $(DEVELOPER),$(if $(FUZZ),,-Werror)) $(if $(FAULTS),-DPENSTOCK_WITH_FAULTS) \
	$(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=all)
LINK      = $(CC) $(CFLAGS) $(LDFLAGS) $(if $(SANITIZE),-fsanitize=$(SANITIZE))

WORKERS   := fetcher validator transformer loader orchestrator
PROGRAMS  := $(addprefix penstock-,$(WORKERS)) penstock-simulator penstock
BINARIES  := $(addprefix $(B)/bin/,$(PROGRAMS))

# --- sources: a folder is a library; main.c stays out of it ---------------------------------------------------------
sources   = $(sort $(shell find $(1) -name '*.c' ! -name main.c))
objects   = $(patsubst %.c,$(B)/obj/%.o,$(1))
COMMON_C  := $(call sources,common)
STAGES_C  := $(foreach w,$(WORKERS),$(call sources,stages/$(w)))
CLI_C     := $(call sources,ops/cli)
SIM_C     := $(call sources,ops/simulator)
GEN_C     := $(GEN)/schemas.c $(GEN)/embedded.c
MAIN_C    := $(sort $(wildcard $(WORKERS:%=stages/%/main.c) ops/cli/main.c ops/simulator/main.c))
FUZZ_C    := $(sort $(wildcard tests/fuzz/fuzz*.c))
PARTS_C   := $(sort $(wildcard tests/bench/parts/*.c))
BENCH_C   := tests/bench/decode.c tests/bench/hop.c $(PARTS_C)
UNIT_C    := $(sort $(wildcard tests/unit/test_*.c))
AVSC      := $(sort $(wildcard schemas/avro/*.avsc))
VERSIONS  := $(sort $(wildcard schemas/versions/*.avsc))
EMBEDDED  := $(sort $(AVSC) schemas/registry.lock $(VERSIONS) $(wildcard schemas/sql/*.sql topics/*.yaml \
	common/*.yaml stages/validator/rules/*.yaml stages/transformer/*.yaml stages/orchestrator/checks/*.sql \
	stages/orchestrator/api/resources/*.sql stages/orchestrator/api/*.json schemas/*.sql ops/cli/*.sql))

.DEFAULT_GOAL := all
.PHONY: all help
all: $(BINARIES) ## build everything into build/bin

help: ## this list
	@awk -F':.*## ' '/^[a-z_.%-]+:.*## /{printf "  make %-22s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- generated code: descriptors from the schemas, and files compiled into the binaries -------------------------------
HOST_C := schemas/gen.c schemas/reader.c common/err.c common/mem.c common/redact.c
build/host/gen: $(HOST_C) schemas/reader.h common/err.h common/mem.h common/redact.h
	@mkdir -p $(@D)
	$(CC) -std=gnu17 -D_GNU_SOURCE -I. -O1 -g -Wall -Wextra $(if $(DEVELOPER),-Werror) -o $@ \
		$(HOST_C) -ljansson -lpthread

.PHONY: lock
lock: build/host/gen ## lock changed schemas under a new version
	build/host/gen --lock schemas/registry.lock $(AVSC)

$(GEN)/schemas.c $(GEN)/schemas.h &: build/host/gen $(AVSC) schemas/registry.lock $(VERSIONS)
	@mkdir -p $(GEN)
	build/host/gen $(GEN) schemas/registry.lock $(AVSC)

# Files that come, go or change their names count, too.
$(GEN)/embedded.list: FORCE
	@mkdir -p $(@D)
	@echo '$(EMBEDDED)' | cmp -s - $@ || echo '$(EMBEDDED)' >$@

$(GEN)/embedded.c: $(EMBEDDED) $(GEN)/embedded.list common/embed.sh
	@mkdir -p $(GEN)
	sh common/embed.sh $(EMBEDDED) >$@.new && mv $@.new $@

# --- objects, libraries, binaries -----------------------------------------------------------------------------------
FLAGS_NOW := $(CC) $(CFLAGS) $(BASE_CFLAGS)
$(B)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(FLAGS_NOW)' | cmp -s - $@ || echo '$(FLAGS_NOW)' >$@
.PHONY: FORCE

$(B)/obj/%.o: %.c $(B)/flags | $(GEN)/schemas.h
	@mkdir -p $(@D)
	$(CC) $(BASE_CFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

define library # name, sources
$(B)/lib/lib$(1).a: $(call objects,$(2))
	@mkdir -p $$(@D)
	@rm -f $$@
	ar rcs $$@ $$^
endef
$(eval $(call library,common,$(COMMON_C) $(GEN_C)))
$(foreach w,$(WORKERS),$(eval $(call library,$(w),$(call sources,stages/$(w)))))
$(eval $(call library,simulator,$(SIM_C)))
$(eval $(call library,cli,$(CLI_C)))
ALL_LIBS := $(foreach l,cli simulator $(WORKERS) common,$(B)/lib/lib$(l).a)

$(foreach w,$(WORKERS),$(eval $(B)/bin/penstock-$(w): $(B)/obj/stages/$(w)/main.o $(B)/lib/lib$(w).a $(B)/lib/libcommon.a))
$(B)/bin/penstock-simulator: $(B)/obj/ops/simulator/main.o $(B)/lib/libsimulator.a $(B)/lib/libfetcher.a $(B)/lib/libcommon.a
$(B)/bin/penstock: $(B)/obj/ops/cli/main.o $(ALL_LIBS)
$(BINARIES):
	@mkdir -p $(@D)
	$(LINK) -o $@ $^ $(LIBS)

# --- tests ----------------------------------------------------------------------------------------------------------
# Alone with what they test: under ThreadSanitizer nothing else needs to be built.
THREADED := test_threads test_http_client
$(THREADED:%=$(B)/unit/%): $(B)/unit/%: $(B)/obj/tests/unit/%.o $(B)/lib/libcommon.a
	@mkdir -p $(@D)
	$(LINK) -o $@ $^ -lcmocka $(LIBS)
UNITS := $(patsubst tests/unit/%.c,$(B)/unit/%,$(UNIT_C))
$(B)/unit/%: $(B)/obj/tests/unit/%.o $(ALL_LIBS)
	@mkdir -p $(@D)
	$(LINK) -o $@ $^ -lcmocka $(LIBS)
.PHONY: units
units: $(UNITS) ## build the unit tests (with SANITIZE=... into a folder of their own)

FUZZERS := $(patsubst tests/fuzz/%.c,$(B)/bin/%,$(filter tests/fuzz/fuzz_%,$(FUZZ_C)))
$(B)/bin/fuzz_http: LDFLAGS += -Wl,--wrap=clock_monotonic_ns
$(B)/bin/fuzz_%: $(B)/obj/tests/fuzz/fuzz_%.o $(B)/obj/tests/fuzz/fuzz.o $(foreach l,fetcher validator common,$(B)/lib/lib$(l).a)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -fsanitize=fuzzer,address,undefined -o $@ $^ $(LIBS)
.PHONY: fuzzers
fuzzers: $(FUZZERS)

$(B)/bin/bench-decode: $(B)/obj/tests/bench/decode.o $(B)/lib/libfetcher.a $(B)/lib/libcommon.a
$(B)/bin/bench-hop: $(B)/obj/tests/bench/hop.o
# What the workers produce goes nowhere, and what the loader asks the database is answered at once (parts/workers.c).
$(B)/bin/bench-parts: LDFLAGS += $(addprefix -Wl$(comma)--wrap=,kafka_producer_topic kafka_topic_allow kafka_produce \
	pg_query pg_rows pg_text pg_result_freep)
$(B)/bin/bench-parts: $(call objects,$(PARTS_C)) $(foreach l,validator transformer loader common,$(B)/lib/lib$(l).a)
BENCHES := $(addprefix $(B)/bin/bench-,decode hop parts)
$(BENCHES):
	@mkdir -p $(@D)
	$(LINK) -o $@ $^ $(LIBS)

-include $(patsubst %.c,$(B)/obj/%.d,$(COMMON_C) $(GEN_C) $(STAGES_C) $(CLI_C) $(SIM_C) $(MAIN_C) $(UNIT_C) $(FUZZ_C) $(BENCH_C))


# Objects that only lead to a program are kept too.
.SECONDARY:

# --- for users ------------------------------------------------------------------------------------------------------
# The packages that the build needs may be installed by the same call: what follows an install is a make of its own.
PARALLEL = $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc))
SUBMAKE  = $(MAKE) -s --no-print-directory $(PARALLEL)
UNIT_SANITIZERS := address,undefined
UNIT_FOLDERS    := build/unit build/$(subst $(comma),-,$(UNIT_SANITIZERS))/unit build/thread/unit

.PHONY: demo up down status logs install-deps
demo: ## everything from nothing: install, build, start, load bars, report (DATA=, SCALE=, YES=1)
	@MAKE='$(MAKE)' ops/local/demo

up: ## start the local Kafka, PostgreSQL and workers (SCALE=2 or SCALE="validator=3 loader=2"; a new one with BROKERS=3)
	@ops/local/install run
	@$(SUBMAKE) all
	@ops/local/stack up $(addprefix --brokers=,$(BROKERS)) $(addprefix --scale=,$(SCALE))

down: ## stop them; what was loaded stays in var/
	@ops/local/stack down

status: ## what of them runs
	@ops/local/stack status

logs: ## the last lines of their logs
	@ops/local/stack logs

MAN := build/man/penstock.1 $(patsubst %,build/man/penstock-%.8,$(WORKERS))
.PHONY: man
man: $(MAN) ## manual pages into build/man, from the tables of commands and keys
	@echo '  to read one: man -l build/man/penstock.1'
build/man/penstock.1: build/bin/penstock
	@mkdir -p $(@D)
	@$< man >$@.new && mv $@.new $@
build/man/%.8: build/bin/%
	@mkdir -p $(@D)
	@$< --man >$@.new && mv $@.new $@

# --- installing -----------------------------------------------------------------------------------------------------
# Programs have schemas, migrations, topics and rules compiled in: they find what they need from anywhere.
PREFIX      ?= /usr/local
SYSCONFDIR  ?= /etc
# systemd looks below /usr and /usr/local by itself; for another prefix the units stand where a machine's own do.
LIBDIR      ?= $(if $(filter /usr /usr/local,$(PREFIX)),$(PREFIX)/lib,$(SYSCONFDIR))
UNITDIR     ?= $(LIBDIR)/systemd/system
SYSUSERSDIR ?= $(LIBDIR)/sysusers.d
.PHONY: install uninstall deb test-deb
install: all man ## programs, manual pages, completion, systemd units, examples (PREFIX=/usr/local DESTDIR= SYSCONFDIR=/etc)
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' SYSCONFDIR='$(SYSCONFDIR)' UNITDIR='$(UNITDIR)' SYSUSERSDIR='$(SYSUSERSDIR)' \
		ops/systemd/install

uninstall: ## what `make install` brought (the same variables); configuration and credentials stay
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' SYSCONFDIR='$(SYSCONFDIR)' UNITDIR='$(UNITDIR)' SYSUSERSDIR='$(SYSUSERSDIR)' \
		ops/systemd/install --remove

deb: ## the Debian package, into build/deb
	@ops/local/install run deb
	@ops/deb/build

test-deb: deb ## the package: lintian, then installed into a fresh Debian, booted there, removed (needs root)
	@ops/local/install run test deb
	@$(SUBMAKE) all
	@tests/run -- deb

install-deps: ## install what building, running, testing and linting need (YES=1 does not ask)
	@ops/local/install run test fuzz lint deb

.PHONY: test check test-registry test-compose fuzz chaos bench bench-cost bench-decode bench-looking bench-peers lint headers format clean
test: ## every test: units, units under ASan and UBSan, fuzz targets, stages, end to end, a part of the chaos
	@ops/local/install run test
	@ops/local/install fuzz || echo '  the fuzz targets will be skipped: the fuzzer could not be installed'
	@$(SUBMAKE) all units $(BENCHES)
	@$(SUBMAKE) all FAULTS=1
	@$(SUBMAKE) units SANITIZE=$(UNIT_SANITIZERS)
	@$(SUBMAKE) $(THREADED:%=build/thread/unit/%) SANITIZE=thread
	@! tests/fuzz/usable || $(SUBMAKE) fuzzers FUZZ=1
	@tests/run $(addprefix --units ,$(UNIT_FOLDERS)) --fuzz $(FUZZ_SECONDS) --processes $(PROCESSES) -- stage e2e chaos

check: ## units and one way through the pipeline, in under two minutes
	@ops/local/install run test
	@$(SUBMAKE) all units
	@tests/run --units build/unit -- -m slice stage e2e

fuzz: ## bytes that others wrote, made up (FUZZ_SECONDS=1200 FUZZ_TARGETS="dbn http")
	@ops/local/install run test fuzz
	@$(SUBMAKE) all
	@! tests/fuzz/usable || $(SUBMAKE) fuzzers FUZZ=1
	@build/venv/bin/python tests/fuzz/run --seconds $(FUZZ_SECONDS) $(FUZZ_TARGETS)

test-registry: ## the same records through a schema registry of another make (Apicurio, fetched from Maven Central)
	@ops/local/install run test
	@$(SUBMAKE) all
	@ops/local/install registry
	@tests/run -- e2e/test_other_registry.py

test-compose: ## the containers of compose/: built, started, a full ETL, scaled, killed, three brokers (needs a Docker engine)
	@ops/local/install test
	@cd tests && ../build/venv/bin/python -m pytest -s compose

chaos: ## workers killed, stopped, cut off, servers too: 300 faults (CHAOS="--seed 7 --faults 50", CHAOS=--list)
	@ops/local/install run test
	@$(SUBMAKE) all FAULTS=1
	@cd tests && ../build/venv/bin/python -m chaos $(CHAOS)

bench: ## the pipeline against direct COPY, whole and in parts, its latency, growth, memory (ONLY=whole,alone BENCH="--rounds 3")
	@ops/local/install run test
	@$(SUBMAKE) all $(BENCHES)
	@cd tests && ../build/venv/bin/python -m bench $(if $(ONLY),--only $(ONLY)) $(BENCH)

bench-looking: ## status, run show, lists and bars with 10^6 attempts, 10^7 dead letters, 10^8 bars (half an hour, 40 GB)
	@ops/local/install run test
	@$(SUBMAKE) all
	@build/venv/bin/python tests/bench/looking.py $(BENCH)

bench-peers: ## the loader alone against what people would use instead (BENCH="--rows 2000000 --only python")
	@ops/local/install run test
	@$(SUBMAKE) all
	@cd tests && ../build/venv/bin/python -m bench.peers $(BENCH)

bench-cost: ## instructions a record in each part of our own code, into the table that the tests compare with
	@ops/local/install run test
	@$(SUBMAKE) all
	@build/venv/bin/python tests/bench/cost.py

bench-decode: ## what reading the vendor's files into records costs, by type and encoding
	@ops/local/install run test
	@$(SUBMAKE) all $(B)/bin/bench-decode
	@build/venv/bin/python tests/bench/decode.py $(BENCH)

# --- style ----------------------------------------------------------------------------------------------------------
OWN_C := $(sort $(shell find common stages ops schemas tests -name '*.c'))
OWN_H := $(sort $(shell find common stages ops schemas tests -name '*.h'))

lint: ## clang's warnings, format, include order, banned functions
	@ops/local/install lint
	@$(SUBMAKE) $(GEN)/schemas.h
	@LINT_CFLAGS='$(BASE_CFLAGS)' tests/lint/run

headers: $(GEN)/schemas.h ## compile every header on its own
	@for header in $(OWN_H); do \
		echo "#include \"$$header\"" | $(CC) $(BASE_CFLAGS) -fsyntax-only -x c - || { echo "$$header"; exit 1; }; \
	done

format: ## format the sources
	clang-format -i $(OWN_C) $(OWN_H)

compile_commands.json: FORCE ## for editors and clang-tidy
	@{ separator='['; for source in $(OWN_C) $(GEN_C); do \
		printf '%s\n{"directory": "%s", "file": "%s", "command": "%s"}' "$$separator" '$(CURDIR)' "$$source" \
			"$(CC) $(BASE_CFLAGS) $(CFLAGS) -c $$source"; separator=','; \
	done; printf '\n]\n'; } >$@

clean: ## remove what was built; the tests' Python environment and var/ stay
	rm -rf $(filter-out build/venv,$(wildcard build/*)) compile_commands.json

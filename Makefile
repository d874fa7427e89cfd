# Sorteo. `make help` tells what a user needs; what else there is to make stands under .PHONY.
.DEFAULT_GOAL := all
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-builtin-rules
.SUFFIXES:

FLAVOUR ?= release
BUILD := build/$(FLAVOUR)
BIN := build/bin
CC ?= gcc
ifeq ($(origin CC),default)
CC := gcc
endif

# ---- what the programs are made of; every file stands here, in the order in which data flows ----
WIRE := check status pack bet csv batch digest seqset message schema item manifest \
    outbox
HOST := clock random log options stop socket address
BROKER_CORE := record draw roll stores barrier ledger flights dispatch results recovery \
    inner upkeep waits phases intake start known recover workers answer past requests broker
BROKER_SHELL := journal_sql journal_checksum journal journal_record journal_load archive \
    delivery loop command
WORKER_CORE := acks seals intake inventory sealing count forget worker worker_receive
WORKER_SHELL := lmdb_value lmdb_space lmdb_view lmdb_meta lmdb_folder store_lmdb_read \
    store_lmdb lock pool report loop command
AGENCY_CORE := states cuts window pace result agency asking replies
AGENCY_SHELL := output source scanner cutter payloads reader outgoing line winners \
    progress checking loop command
SORTEO := names rows sample
SUPPORT := sim/arena sim/machine sim/journal_memory unit/broker_bench sim/store_image \
    sim/store_memory unit/store_contract unit/worker_fixture
SIM := plan file network trace mistake garble garble_change garble_fate garbled_to_broker \
    garbled_from_broker broker_actor broker_post worker_actor agency_actor told \
    inside invariants mishaps stranger world choices states parts part_barrier part_ledger part_count
SIM_MAINS := main exhaust
BENCH := hot_path journal worker_store
SOCKET := socket socket_open delivery loop loop_batches agency broker worker
UNIT := status pack bet csv csv_faults batch digest seqset message item manifest outbox \
    clock log options stop address agency_command agency_digests agency_hello \
    agency_replies agency_result agency_sending archive arena barrier batch_faults \
    broker_command broker_digests broker_draw broker_forget broker_full broker_inventory broker_journal broker_notes \
    broker_over broker_races broker_recover broker_recover_draws broker_refusals \
    broker_reports broker_requests broker_seal broker_start broker_stores broker_trust \
    csv_pieces cuts cutter dispatch_model dispatch draw durable fingerprint \
    flights journal_checksum journal_load journal_values journal ledger_model ledger \
    lmdb_value lock options_text \
    outgoing output pace payloads pool progress protocol_vectors reader record recovery \
    report result results results_answers roll rows sample scanner schema source states \
    store_access store_damaged store_length store_lmdb store_memory stores window winners word \
    worker_acks worker_command worker_count worker_disk worker_failures worker_intake \
    worker_limits worker_parts worker_sealing worker
# Only in the fault flavour: where a program can be told to die (proto/host/crash.h).
HOST_POINTS := crash
BROKER_POINTS := journal_points
WORKER_POINTS := store_points
PROGRAMS := sorteo-broker sorteo sorteo-agency sorteo-worker

# ---- tools ----
PACKAGES := build-essential pkg-config libzmq3-dev libmsgpack-dev liblmdb-dev libsqlite3-dev \
    libssl-dev libcriterion-dev libcsv-dev python3-zmq python3-msgpack strace iproute2
CHECK_PACKAGES := clang clang-format clang-tidy cppcheck

PKG_NAMES := libzmq lmdb sqlite3 libcrypto
LIBS = $(shell pkg-config --libs $(PKG_NAMES)) -pthread
MSGPACK = $(shell pkg-config --libs msgpack-c 2>/dev/null || pkg-config --libs msgpack)
TEST_LIBS = $(shell pkg-config --libs criterion) $(MSGPACK) -lcsv

WARNINGS := -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wswitch-enum -Wstrict-prototypes \
    -Wmissing-prototypes -Wformat=2 -Wno-format-zero-length -Wundef -Wvla -Wcast-qual
ifdef CI
WARNINGS += -Werror
endif
CFLAGS_release := -O2 -g -D_FORTIFY_SOURCE=2 -fstack-protector-strong
CFLAGS_asan := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
CFLAGS_fault := $(CFLAGS_release) -DSORTEO_CRASH_POINTS
CFLAGS_tsan := -O1 -g -fno-omit-frame-pointer -fsanitize=thread
CFLAGS_coverage := -O0 -g --coverage
LDFLAGS_release := -Wl,-z,relro,-z,now
LDFLAGS_fault := $(LDFLAGS_release)
LDFLAGS_asan := -fsanitize=address,undefined
LDFLAGS_tsan := -fsanitize=thread
LDFLAGS_coverage := --coverage
CFLAGS += -std=c11 -D_GNU_SOURCE -I. $(WARNINGS) $(CFLAGS_$(FLAVOUR))
LDFLAGS += $(LDFLAGS_$(FLAVOUR))

ifeq ($(FLAVOUR),fault)
HOST += $(HOST_POINTS)
BROKER_SHELL += $(BROKER_POINTS)
WORKER_SHELL += $(WORKER_POINTS)
endif

# V=1 shows the commands.
Q := $(if $(V),,@)
say = @$(if $(V),:,printf '  %-5s%s\n' $(1) $(2))

objects = $(patsubst %,$(BUILD)/$(1)/%.o,$(2))
WIRE_O := $(call objects,proto/wire,$(WIRE))
HOST_O := $(call objects,proto/host,$(HOST))
BROKER_O := $(call objects,broker,$(BROKER_CORE) $(BROKER_SHELL))
WORKER_O := $(call objects,worker,$(WORKER_CORE) $(WORKER_SHELL))
AGENCY_O := $(call objects,agency,$(AGENCY_CORE) $(AGENCY_SHELL))
SORTEO_O := $(call objects,deploy/sorteo,$(SORTEO))
SUPPORT_O := $(call objects,tests,$(SUPPORT))
MAINS_O := $(call objects,broker worker agency deploy/sorteo,main)

all: $(PROGRAMS:%=$(BIN)/%)

$(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/libwire.a: $(WIRE_O)
$(BUILD)/libhost.a: $(HOST_O)
$(BUILD)/libbroker.a: $(BROKER_O)
$(BUILD)/libworker.a: $(WORKER_O)
$(BUILD)/libagency.a: $(AGENCY_O)
$(BUILD)/libsorteo.a: $(SORTEO_O)
$(BUILD)/libtests.a: $(SUPPORT_O)
$(BUILD)/lib%.a:
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(BUILD)/sorteo-broker: $(BUILD)/broker/main.o $(BUILD)/libbroker.a $(BUILD)/libhost.a $(BUILD)/libwire.a
$(BUILD)/sorteo-worker: $(BUILD)/worker/main.o $(BUILD)/libworker.a $(BUILD)/libhost.a $(BUILD)/libwire.a
$(BUILD)/sorteo-agency: $(BUILD)/agency/main.o $(BUILD)/libagency.a $(BUILD)/libhost.a $(BUILD)/libwire.a
$(BUILD)/sorteo: $(BUILD)/deploy/sorteo/main.o $(BUILD)/libsorteo.a $(BUILD)/libhost.a $(BUILD)/libwire.a
$(PROGRAMS:%=$(BUILD)/%):
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

$(BIN)/%: build/release/%
	@mkdir -p $(@D)
	ln -f $< $@

# Builds use every processor unless told otherwise; tests run one after the other.
JOBS = $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc))

# ---- what the README tells ----
help:
	@printf '%s\n' 'make          the programs, into build/bin' \
	    'make demo     a whole draw on this machine (WORKERS=2 AGENCIES=5 BETS=100000 PORT=5555)' \
	    'make check    installs what is missing, builds, and runs what has to pass, some minutes' \
	    'make unit socket sim system fault    tests, each of them alone' \
	    'make sim      worlds with faults (WORLDS=20000; SEED=7 shows one; FAULTS=cut,broker only)' \
	    'make sim-states    every order of events in small worlds, half a minute' \
	    'make sim-bugs      known bugs that worlds have to find, some minutes' \
	    'make chaos    kills, pauses and cuts at random (SECONDS=60 SEED=7)' \
	    'make clean    deletes build/'

# Packages that are missing; asks for root only when there are any.
deps:
	@deploy/deps $(PACKAGES)
check-deps: deps
	@deploy/deps $(CHECK_PACKAGES)

# A whole draw on this machine: make demo WORKERS=4 AGENCIES=8 BETS=1000000
WORKERS ?= 2
AGENCIES ?= 5
BETS ?= 100000
demo: deps
	@$(MAKE) --no-print-directory -s $(JOBS) all
	@deploy/demo $(BIN) $(WORKERS) $(AGENCIES) $(BETS)

check: deps
	@$(MAKE) --no-print-directory $(JOBS) all $(UNIT_BIN) $(SOCKET_BIN) $(BUILD)/sim
	@$(MAKE) --no-print-directory $(JOBS) fault-programs
	@$(MAKE) --no-print-directory lint unit socket sim-check system fault-fast
	@echo "make check: all passed"

# ---- tests ----
UNIT_BIN := $(UNIT:%=$(BUILD)/tests/unit/%_test)
SOCKET_BIN := $(SOCKET:%=$(BUILD)/tests/socket/%_test)
TEST_A := $(foreach l,tests broker worker agency sorteo host wire,$(BUILD)/lib$(l).a)

# Allocations of the cores fail where a test or a world wants it (tests/sim/machine.c).
MACHINE_WRAPS := malloc calloc realloc free hasher_create hasher_destroy
LDWRAPS := -Wl,-u,__wrap_malloc $(MACHINE_WRAPS:%=-Wl,--wrap=%)

$(BUILD)/tests/%_test: $(BUILD)/tests/%_test.o $(TEST_A)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) $(LDWRAPS) -o $@ $< -Wl,--start-group $(TEST_A) -Wl,--end-group $(TEST_LIBS) $(LIBS)

$(BUILD)/tests/bench/%: $(BUILD)/tests/bench/%.o $(TEST_A)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $< -Wl,--start-group $(TEST_A) -Wl,--end-group $(LIBS)

# What measures: see the head of each program for what it is given.
bench: $(BENCH:%=$(BUILD)/tests/bench/%)

unit: $(UNIT_BIN)
	@tests/unit/run $(UNIT_BIN)

socket: $(SOCKET_BIN)
	@tests/unit/run $(SOCKET_BIN)

# The cores joined in seeded worlds: make sim; make sim SEED=7 shows one world, FAULTS=cut,broker
# narrows what happens (tests/sim/README.md). What make check runs of it is sim-check.
WORLDS ?= 20000
FAULTS ?=
SIM_O := $(call objects,tests/sim,$(SIM))
$(BUILD)/sim: $(BUILD)/tests/sim/main.o $(SIM_O) $(TEST_A)
$(BUILD)/exhaust: $(BUILD)/tests/sim/exhaust.o $(SIM_O) $(TEST_A)
$(BUILD)/sim $(BUILD)/exhaust:
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) $(LDWRAPS) -o $@ $(filter %.o,$^) -Wl,--start-group $(TEST_A) -Wl,--end-group $(LIBS)

sim: $(BUILD)/sim
	@$(BUILD)/sim $(if $(SEED),'$(SEED)',0 '$(WORLDS)') $(if $(FAULTS),'$(FAULTS)')

sim-check: $(BUILD)/sim
	@tests/sim/check $(BUILD)/sim

# Every order of events in small worlds, with a fault or two at every place: FAULTS AGENCIES STORES.
# sim-states takes half a minute, sim-exhaustive also what takes longer.
sim-states: $(BUILD)/exhaust
	@tests/sim/explore $(BUILD)/exhaust parts '2 1 1' '1 2 2'

sim-exhaustive: sim-states
	@tests/sim/explore $(BUILD)/exhaust '2 2 2'

# Which branches of the cores no world takes, and who does.
sim-coverage:
	@$(MAKE) --no-print-directory -s FLAVOUR=coverage build/coverage/sim
	@tests/sim/coverage

# Each known bug of tests/sim/bugs in a copy of the tree: a world has to find it.
sim-bugs: $(BUILD)/sim
	@tests/sim/bugs/run

# The programs as processes on loopback; tests/system/run NAME runs those whose names hold NAME.
system: all
	@tests/system/run

# What becomes of the promises when anything dies; fault-fast is the part that check runs.
fault-programs:
	@$(MAKE) --no-print-directory FLAVOUR=fault $(PROGRAMS:%=build/fault/%)
fault: all fault-programs
	@tests/fault/run
fault-fast: all fault-programs
	@tests/fault/run --fast
# Draw after draw with random kills, pauses and cuts: make chaos SECONDS=600 SEED=7
SECONDS := 60
SEED :=
chaos: all
	@tests/fault/chaos $(SECONDS) $(SEED)

# Rules of the house that a machine can check, and that the checks can fail.
lint:
	@tests/lint/self_test
	@tests/lint/run
	@tests/lint/protocol

# For tests/lint/run: what each list says, one module a line.
print-lists:
	@printf 'core %s\n' $(WIRE:%=proto/wire/%) $(BROKER_CORE:%=broker/%) \
	    $(WORKER_CORE:%=worker/%) $(AGENCY_CORE:%=agency/%)
	@printf 'shell %s\n' $(HOST:%=proto/host/%) $(BROKER_SHELL:%=broker/%) \
	    $(WORKER_SHELL:%=worker/%) $(AGENCY_SHELL:%=agency/%) $(SORTEO:%=deploy/sorteo/%)
	@printf 'shell %s\n' $(HOST_POINTS:%=proto/host/%) $(BROKER_POINTS:%=broker/%) \
	    $(WORKER_POINTS:%=worker/%)
	@printf 'test %s\n' $(UNIT:%=tests/unit/%_test) $(SOCKET:%=tests/socket/%_test) \
	    $(SUPPORT:%=tests/%) $(SIM:%=tests/sim/%) $(SIM_MAINS:%=tests/sim/%) $(BENCH:%=tests/bench/%)

# ---- readers of code ----
SOURCES = $(shell git ls-files '*.c' '*.h')
# Criterion's macros are beyond these two; everything else is read.
READ = $(shell git ls-files '*.c' | grep -v '^tests/\(unit\|socket\)/')

format:
	clang-format -i $(SOURCES)
format-check:
	clang-format --dry-run -Werror $(SOURCES)
tidy:
	@printf '%s\n' $(READ) | xargs -P 2 -n 8 sh -c 'clang-tidy --quiet --warnings-as-errors="*" \
	    "$$@" -- -std=c11 -D_GNU_SOURCE -I. 2>/dev/null' tidy
cppcheck:
	cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr -I. -j2 \
	    --error-exitcode=1 --suppress=missingIncludeSystem -D_GNU_SOURCE $(READ)

clean:
	rm -rf build

-include $(shell find build/$(FLAVOUR) -name '*.d' 2>/dev/null)
.PHONY: all help format format-check tidy cppcheck deps check-deps demo check bench unit socket sim \
    sim-check sim-bugs sim-coverage sim-exhaustive sim-states system fault fault-fast fault-programs \
    chaos lint print-lists clean
.SECONDARY:

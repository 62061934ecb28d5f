# weir: build, test, install. `make help` lists the targets; V=1 shows the commands.
SHELL := /bin/bash
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:

SAN ?=
PROFILE ?=
BUILD := build/$(or $(SAN),$(if $(PROFILE),profiled,release))
PREFIX ?= /usr/local
CC := gcc
Q := $(if $(V),,@)
say = $(if $(V),,@echo "  $(1)")
VERSION := 0.1.0

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wformat=2 -Wvla -Wundef \
        -Wno-missing-field-initializers
ifdef CI
WARN += -Werror
endif
HARDEN := -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE -fno-strict-overflow
LDHARDEN := -pie -Wl,-z,relro,-z,now
# Link-time optimisation takes about 4 % off a request; objects stay usable without it, for the unit tests.
OPT := -O2 -g
LTO := -flto=2 -ffat-lto-objects
ifeq ($(SAN),asan)
LTO :=
OPT := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
HARDEN := -fPIE
else ifeq ($(SAN),tsan)
LTO :=
OPT := -O1 -g -fno-omit-frame-pointer -fsanitize=thread
HARDEN := -fPIE
else ifeq ($(SAN),coverage)
LTO :=
OPT := -O0 -g --coverage
HARDEN := -fPIE
endif

# Warnings are the plain build's business: counting code changes what the compiler can tell. What the counts do not speak
# of is compiled as without them, not for size.
ifeq ($(PROFILE),count)
OPT += -fprofile-generate -fprofile-update=atomic
else ifeq ($(PROFILE),use)
OPT += -fprofile-use -fprofile-partial-training -fprofile-correction -Wno-missing-profile
endif
ifneq ($(PROFILE),)
WARN := -w
endif

# llhttp: the system's library where there is one, else the C sources that Debian's node-llhttp installs.
ifeq ($(shell pkg-config --exists libllhttp 2>/dev/null && echo yes),yes)
LLHTTP_CFLAGS := $(shell pkg-config --cflags libllhttp)
LLHTTP_LIBS := $(shell pkg-config --libs libllhttp)
else
LLHTTP_CFLAGS := -I/usr/share/include/llhttp
LLHTTP_OBJECTS = $(BUILD)/llhttp/api.o $(BUILD)/llhttp/http.o $(BUILD)/llhttp/llhttp.o
endif

CPPFLAGS := -Iinclude -D_GNU_SOURCE -DWEIR_VERSION='"$(VERSION)"' -MMD -MP $(LLHTTP_CFLAGS)
CFLAGS := -std=gnu17 $(OPT) $(LTO) $(WARN) $(HARDEN) -pthread
LDFLAGS := $(LDHARDEN) -pthread $(filter -fsanitize=% --coverage,$(OPT))
LIBS := -levent_core -lssl -lcrypto -ljansson -lyaml -lhiredis -lz $(LLHTTP_LIBS) -lm

FOLDERS := $(shell sed -n 's/^\([a-z]*\):.*/\1/p' tools/layers)
layers_of = $(shell sed -n 's/^$(1)://p' tools/layers)
sources_of = $(wildcard src/$(1)/*.c)
objects_of = $(patsubst src/%.c,$(BUILD)/%.o,$(call sources_of,$(1)))
library_of = $(BUILD)/lib/$(1).a
LIBRARIES := $(foreach f,$(FOLDERS),$(call library_of,$(f)))
TESTS := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/*/test_*.c))
FUZZERS := $(patsubst tests/fuzz/fuzz_%.c,build/fuzz/fuzz_%,$(wildcard tests/fuzz/fuzz_*.c))

.PHONY: all help deps deps-test demo check replay e2e test bench bench-limits bench-telemetry lint format fuzz-smoke coverage install clean layers FORCE

all: $(BUILD)/weir  ## build the gateway (build/release/weir; SAN=asan|tsan builds beside it)

help:  ## this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /  \1\t/' | expand -t 16

deps:  ## install the system packages that building needs
	@tools/install-packages.sh build
deps-test: deps  ## … and those that tests need
	@tools/install-packages.sh test

demo: deps  ## install what is missing, build, run the gateway with its built-in mock provider
	@$(MAKE) --no-print-directory all
	@exec $(BUILD)/weir serve --demo

$(BUILD)/%.o: src/%.c
	@mkdir -p $(@D)
	$(call say,cc      $<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -c $< -o $@

$(BUILD)/llm/price_table.o: conf/prices.json
$(BUILD)/redis/script.o: $(wildcard lua/*.lua)

$(BUILD)/llhttp/%.o: /usr/share/llhttp/%.c
	@mkdir -p $(@D)
	$(call say,cc      $<)
	$(Q)$(CC) $(LLHTTP_CFLAGS) -std=gnu17 $(OPT) $(LTO) $(HARDEN) -w -c $< -o $@

define folder_rule
$(call library_of,$(1)): $(call objects_of,$(1))
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(Q)ar rcsD $$@ $$^
endef
$(foreach f,$(FOLDERS),$(eval $(call folder_rule,$(f))))

$(BUILD)/weir: $(LIBRARIES) $(LLHTTP_OBJECTS)
	$(call say,link    $@)
	$(Q)$(CC) $(LDFLAGS) $(OPT) $(LTO) -o $@ -Wl,--start-group $(LIBRARIES) -Wl,--end-group $(LLHTTP_OBJECTS) $(LIBS)

# The compiler is told which way branches mostly go by a binary that counted them under a bench's traffic: that takes
# a tenth off a request. Two whole builds, so it is for what is installed and what is measured.
ifeq ($(PROFILE),)
.PHONY: profiled
profiled: build/profiled/weir  ## build the gateway for speed, by what it does under load (build/profiled/weir)
build/profiled/weir: $(wildcard src/*/*.[ch] include/*/*.h lua/*.lua bench/*.py) conf/prices.json Makefile | $(BUILD)/loadgen
	@rm -rf build/profiled
	@$(MAKE) --no-print-directory PROFILE=count build/profiled/weir
	$(call say,train   build/profiled/weir)
	@bench/train.py --weir build/profiled/weir --loadgen $(BUILD)/loadgen
	@rm -rf build/profiled/weir build/profiled/lib; find build/profiled -name '*.o' -delete
	@$(MAKE) --no-print-directory PROFILE=use build/profiled/weir
endif

# A unit test links its own folder and the folders below it, nothing else: the layering is proved by the linker too.
define test_rule
$(BUILD)/unit/$(1)/%: tests/unit/$(1)/%.c $(call library_of,$(1)) $(foreach f,$(call layers_of,$(1)),$(call library_of,$(f))) $$(LLHTTP_OBJECTS)
	@mkdir -p $$(@D)
	$$(call say,test    $$<)
	$$(Q)$$(CC) $$(CPPFLAGS) -Isrc/$(1) -Itests/unit $$(filter-out $$(LTO),$$(CFLAGS)) -fno-lto $$(LDFLAGS) -MF $$@.d -o $$@ $$< -Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group $$(LLHTTP_OBJECTS) $$(LIBS) -lcmocka
endef
$(foreach f,$(FOLDERS),$(eval $(call test_rule,$(f))))

# A replay test links the whole pipeline; tests/replay/fakes.c, in front of the libraries, takes the place of the clock
# and the resolver.
REPLAYS := $(patsubst tests/replay/%.c,$(BUILD)/replay/%,$(wildcard tests/replay/test_*.c))
REPLAY_OBJECTS := $(patsubst tests/replay/%.c,$(BUILD)/replay/%.o,$(filter-out tests/replay/test_%,$(wildcard tests/replay/*.c)))
.SECONDARY: $(REPLAY_OBJECTS) $(REPLAYS:=.o)
SCENARIOS := $(wildcard tests/replay/scenarios/*.replay)
$(BUILD)/replay/%.o: tests/replay/%.c
	@mkdir -p $(@D)
	$(call say,test    $<)
	$(Q)$(CC) $(CPPFLAGS) $(filter-out $(LTO),$(CFLAGS)) -fno-lto -c $< -o $@
$(BUILD)/replay/test_random: LDFLAGS += -Wl,--wrap=exchange_new,--wrap=exchange_free
$(BUILD)/replay/test_%: $(BUILD)/replay/test_%.o $(REPLAY_OBJECTS) $(foreach f,$(call layers_of,pipeline) pipeline,$(call library_of,$(f))) $(LLHTTP_OBJECTS)
	$(Q)$(CC) $(LDFLAGS) $(OPT) -fno-lto -o $@ $(filter-out %.a,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LIBS) -lcmocka

unit-%: FORCE  ## unit-FOLDER: build and run one folder's unit tests
	@$(MAKE) --no-print-directory $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/$*/test_*.c))
	@tools/run-unit-tests.sh $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/$*/test_*.c))
FORCE:

check: $(TESTS) all  ## unit tests (cmocka)
	@tools/run-unit-tests.sh $(TESTS)

replay: $(REPLAYS)  ## scenarios of clients and providers against the pipeline, on a fake clock (SCENARIO=part of a name)
	@tools/run-replay.sh $(BUILD)/replay $(SCENARIOS)

e2e: all  ## end-to-end tests: the real binary, official SDKs, real sockets (pytest)
	@WEIR_BINARY=$(BUILD)/weir tools/run-e2e.sh $(E2E_ARGS)

test: deps-test  ## install what tests need, build, run all tests
	@$(MAKE) --no-print-directory check
	@$(MAKE) --no-print-directory replay
	@$(MAKE) --no-print-directory e2e

bench: deps-test  ## CPU per request and per event against nginx and HAProxy; prints a table, writes build/bench.json
	@$(MAKE) --no-print-directory profiled $(BUILD)/loadgen
	@bench/run.py --weir build/profiled/weir --loadgen $(BUILD)/loadgen --json build/bench.json $(BENCH_ARGS)
# The same gateway twice, without link-time optimisation so that functions can be replaced: as it is, and without its
# measuring (bench/bare.c comes first, and the first definition holds).
bench-telemetry: deps-test  ## what weir's own measuring costs: CPU with and without it, both at once, and instructions
	@$(MAKE) --no-print-directory $(BUILD)/weir-full $(BUILD)/weir-bare $(BUILD)/loadgen
	@bench/telemetry.py --weir $(BUILD)/weir-full --bare $(BUILD)/weir-bare --loadgen $(BUILD)/loadgen \
	  --json build/bench-telemetry.json $(BENCH_ARGS)
$(BUILD)/bare.o: bench/bare.c
	$(Q)$(CC) $(CPPFLAGS) $(filter-out $(LTO),$(CFLAGS)) -fno-lto -c $< -o $@
$(BUILD)/weir-full $(BUILD)/weir-bare: $(BUILD)/weir-%: $(BUILD)/bare.o $(LIBRARIES) $(LLHTTP_OBJECTS)
	$(Q)$(CC) $(LDFLAGS) $(OPT) -fno-lto -o $@ $(if $(filter bare,$*),-z muldefs $<) \
	  -Wl,--start-group $(LIBRARIES) -Wl,--end-group $(LLHTTP_OBJECTS) $(LIBS)
bench-limits: $(BUILD)/bench-limiter $(BUILD)/bench-limiter_shared  ## what a decision about limits costs, alone and in Redis
	@bench/limits.sh $(BUILD)
$(BUILD)/bench-%: bench/%.c $(LIBRARIES)
	$(call say,cc      $<)
	$(Q)$(CC) $(CPPFLAGS) -std=gnu17 -O2 -g $(WARN) $(LDFLAGS) -fPIE -pthread -MF $@.d -o $@ $< -Wl,--start-group $(foreach f,limit tenant redis net crypto conf facts telemetry base,$(call library_of,$(f))) -Wl,--end-group $(LIBS)
$(BUILD)/loadgen: bench/loadgen.c $(wildcard bench/*.h)
	@mkdir -p $(@D)
	$(call say,cc      $<)
	$(Q)$(CC) -std=gnu17 -O2 -g -D_GNU_SOURCE $(WARN) -o $@ $< -lssl -lcrypto -lm

.PHONY: bench-routing
bench-routing: deps-test  ## what being ready for retries and hedging costs a request that needs none
	@$(MAKE) --no-print-directory all $(BUILD)/loadgen
	@bench/routing.py --weir $(BUILD)/weir --loadgen $(BUILD)/loadgen --json build/bench-routing.json $(BENCH_ARGS)

lint: layers  ## clang-tidy, cppcheck, layer check
	@tools/lint.sh
layers:
	@tools/check-layers.sh
format:  ## clang-format over the tree
	@clang-format -i $$(git ls-files '*.c' '*.h')

build/fuzz/fuzz_%: tests/fuzz/fuzz_%.c $(LLHTTP_OBJECTS) FORCE
	@mkdir -p $(@D)
	@clang -std=gnu17 -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined $(filter-out -MMD -MP,$(CPPFLAGS)) \
	  -o $@ $< $$(tools/fuzz-sources.sh $<) -pthread $(LLHTTP_OBJECTS) $(LIBS)
fuzz-smoke: $(FUZZERS)  ## every fuzz target for 20 s on its corpus
	@tools/run-fuzzers.sh $(FUZZERS)

coverage:  ## line coverage of all tests (build/coverage/report.html)
	@$(MAKE) --no-print-directory SAN=coverage check replay e2e
	@gcovr -r . -f 'src/' -f 'include/' --html build/coverage/report.html --print-summary build/coverage

install: profiled  ## build for speed, install the binary and an example configuration under PREFIX
	install -D -m 0755 build/profiled/weir $(DESTDIR)$(PREFIX)/bin/weir
	install -D -m 0644 conf/weir.yaml $(DESTDIR)$(PREFIX)/share/weir/weir.yaml

clean:  ## remove build/
	rm -rf build

-include $(foreach f,$(FOLDERS),$(patsubst %.o,%.d,$(call objects_of,$(f)))) $(TESTS:=.d)
-include $(REPLAY_OBJECTS:.o=.d) $(REPLAYS:=.d)

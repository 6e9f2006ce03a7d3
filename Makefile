# Builds, tests, checks and installs lua-veo. GNU make 4.3 or newer (3.81 will do for `make` and `make install`).
#
#   make                 build veo.core for LUA_VERSION (5.1 5.2 5.3 5.4 jit; 5.4 unless told) into build/<version>/
#   make demo            install what is missing, build, extend a video against the simulator, save ./demo.mp4
#   make test            the specs, but for the slowest, some files at a time: two minutes on two cores, as any user;
#                        SPECS=… for some of them, BUSTED_ARGS=…, PROCESSES=… for how many at a time
#   make test-full       all of them, one after the other, with PostgreSQL, nginx and ffmpeg (VEO_PAIRS=thin for a part
#                        of the pairs of exchanges, which take half of the time)
#   make test-all        all of them under every Lua (VERSIONS=… for some)
#   make test-long       the three longest of them, which take half of the time; test-rest: the others
#   make test-jit        under LuaJIT those that are more than Lua 5.1 to it
#   make test-some       the specs of what may differ from one Lua to the next
#   make test-busy       the specs, or SPECS=…, while their processes stand still for up to 2 s again and again
#   make test-portable   those of what may differ on the poller of systems without epoll
#   make test-h2         the specs that talk to a simulator, through nginx with TLS and HTTP/2 (H2_SPECS=… for some)
#   make test-gnutls     the core's specs on libcurl's GnuTLS flavour (GNUTLS_SPECS=… for some)
#   make test-hosts      the examples in LÖVE, mpv, Neovim and darktable, headless; and LÖVE's frame times
#   make lint            luacheck, the 5.1 parser, clang-format, clang-tidy, cppcheck
#   make check-memory    MEMORY_SPECS under ASAN + UBSAN, then VALGRIND_SPECS under valgrind
#   make check-threads   THREAD_SPECS under ThreadSanitizer
#   make check-collector COLLECTOR_SPECS with a collector that never rests, then with the generational one of 5.4
#   make bench           spec/bench (BENCH_ARGS='--runs 3 --only status')
#   make pictures        the README's pictures, from real runs (tmux, LÖVE, Xvfb, ffmpeg)
#   make crash           spec/crash: hundreds of kills over the ledger, on SQLite and PostgreSQL (some ten minutes)
#   make model           spec/model: random histories of the money, checked after each step (MODEL_ARGS)
#   make man             the command's manual page, into build/<version>/veo.1
#   make install         PREFIX=/usr/local LUA_VERSION=5.4 DESTDIR=      (make uninstall takes the same)
#   make release-check   whether version, changelog, rockspec and tag agree, and what the packed rock holds
#   make check-package   the same for what is no release yet; make rockspec: write that of the version in src/defaults.h
#   make deps            only install what make test needs; make full-deps: what make test-full needs
#   make format          rewrite src/ with clang-format; make clean
#   make help            this list

LUA_VERSION ?= 5.4
VERSIONS ?= 5.1 5.2 5.3 5.4 jit
# As the interpreters are called, too: luajit, lua5.4.
override LUA_VERSION := $(patsubst lua%,%,$(LUA_VERSION))
override VERSIONS := $(patsubst lua%,%,$(VERSIONS))
KNOWN_VERSIONS := 5.1 5.2 5.3 5.4 5.5 jit
$(foreach version,$(LUA_VERSION) $(VERSIONS),$(if $(filter $(KNOWN_VERSIONS),$(version)),,\
	$(error Lua "$(version)" is not known here: choose from $(KNOWN_VERSIONS))))
PREFIX ?= /usr/local
INSTALL ?= install
JOBS ?= $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
PKG_CONFIG ?= pkg-config

# What depends on the version: the interpreter, the folder modules live in, the names a .pc file may have.
ifeq ($(LUA_VERSION),jit)
LUA ?= luajit
LUA_ABI := 5.1
LUA_PC := luajit
else
LUA ?= lua$(LUA_VERSION)
LUA_ABI := $(LUA_VERSION)
LUA_PC := lua$(LUA_VERSION) lua-$(LUA_VERSION) lua$(subst .,,$(LUA_VERSION))
endif

BUILD ?= build/$(LUA_VERSION)
CORE := $(BUILD)/veo/core.so

# ---- compiling -------------------------------------------------------------------------------------------------------

UNAME := $(shell uname -s)
SOURCES := $(wildcard src/*.c)
HEADERS := $(wildcard src/*.h)
OBJECTS := $(SOURCES:src/%.c=$(BUILD)/obj/%.o)

# The first .pc name that exists; silent where pkg-config is missing, then the folders below are tried.
found = $(firstword $(foreach name,$(1),$(shell $(PKG_CONFIG) --exists $(name) 2>/dev/null && echo $(name))))
LUA_INCDIRS := /usr/include/luajit-2.1 /usr/local/include/luajit-2.1 /opt/homebrew/include/luajit-2.1
ifneq ($(LUA_VERSION),jit)
LUA_INCDIRS := $(foreach dir,/usr/include /usr/local/include /opt/homebrew/include,$(dir)/lua$(LUA_VERSION) $(dir))
endif

# LuaRocks names the folders itself: LUA_INCDIR, CURL_INCDIR, CURL_LIBDIR, ZLIB_INCDIR, ZLIB_LIBDIR.
ifdef LUA_INCDIR
LUA_CFLAGS := -I$(LUA_INCDIR)
else ifneq ($(call found,$(LUA_PC)),)
LUA_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(call found,$(LUA_PC)))
else
LUA_CFLAGS := $(patsubst %/lua.h,-I%,$(firstword $(wildcard $(addsuffix /lua.h,$(LUA_INCDIRS)))))
endif
# $(call library_cflags,CURL,libcurl), $(call library_libs,CURL,libcurl,curl): by those folders, else by pkg-config.
named = $($(1)_INCDIR)$($(1)_LIBDIR)
library_cflags = $(if $(named),$(addprefix -I,$($(1)_INCDIR)),$(if $(call found,$(2)),$(shell \
	$(PKG_CONFIG) --cflags $(2))))
library_libs = $(if $(named),$(addprefix -L,$($(1)_LIBDIR)) -l$(3),$(if $(call found,$(2)),$(shell \
	$(PKG_CONFIG) --libs $(2)),-l$(3)))
CURL_CFLAGS := $(call library_cflags,CURL,libcurl)
CURL_LIBS := $(call library_libs,CURL,libcurl,curl)
ZLIB_CFLAGS := $(call library_cflags,ZLIB,zlib)
ZLIB_LIBS := $(call library_libs,ZLIB,zlib,z)

CFLAGS ?= -O2 -g
# On BSD and macOS a standard that is named hides what is none of its own (flock, dladdr); elsewhere nothing but C is
# to be had without one. 64 bits for places in files where off_t would have 32.
POSIX := $(if $(filter Darwin %BSD DragonFly,$(UNAME)),,-D_POSIX_C_SOURCE=200809L)
STANDARD := -std=c99 $(POSIX) -D_FILE_OFFSET_BITS=64
WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion $(if $(filter 1,$(WERROR)),-Werror)
# The guards that the compiler has; no _FORTIFY_SOURCE where the builder names one, and
# none under a sanitizer, which does not see through the checked functions.
takes = $(shell $(CC) $(CPPFLAGS) $(CFLAGS) -Werror $(1) -include stdio.h -x c -c -o /dev/null /dev/null 2>/dev/null \
	&& echo '$(1)')
GUARDS := $(if $(findstring -fsanitize,$(CFLAGS)),,$(foreach flag,\
	-fstack-protector-strong -fstack-clash-protection -D_FORTIFY_SOURCE=2,$(call takes,$(flag))))
# In front of CFLAGS, so that the flags of whoever builds win; headers of others as system headers, so that
# -Wconversion speaks of our code alone.
COMPILE = $(CC) $(STANDARD) $(WARNINGS) -fPIC -fvisibility=hidden -pthread $(GUARDS) $(CPPFLAGS) $(CFLAGS) \
	$(patsubst -I%,-isystem %,$(filter-out -I/usr/include,$(LUA_CFLAGS) $(CURL_CFLAGS) $(ZLIB_CFLAGS)))

ifeq ($(UNAME),Darwin)
LIBFLAG ?= -bundle -undefined dynamic_lookup
else
LIBFLAG ?= -shared
# nodelete: libcurl's resolver thread may outlive lua_close, and its code must not be unmapped under it.
HARDENING := -Wl,-z,nodelete -Wl,-z,relro -Wl,-z,now
endif
LINK = $(CC) -pthread $(CFLAGS) $(LDFLAGS) $(LIBFLAG) $(HARDENING)

# $(call has,header,what): the compiler finds it. If not: what is missing, its package on each system, and how to name a
# folder of one's own.
what_C := a C compiler is missing|gcc libc6-dev|gcc|build-base|base-devel|gcc|CC=…
what_CURL := libcurl is missing|libcurl4-openssl-dev|libcurl-devel|curl-dev|curl|curl|CURL_INCDIR=… CURL_LIBDIR=…
what_ZLIB := zlib is missing|zlib1g-dev|zlib-devel|zlib-dev|zlib|zlib|ZLIB_INCDIR=… ZLIB_LIBDIR=…
what_LUA_5.1 := liblua5.1-0-dev|compat-lua-devel|lua5.1-dev|lua51|none
what_LUA_5.2 := liblua5.2-dev|none|lua5.2-dev|lua52|none
what_LUA_5.3 := liblua5.3-dev|none|lua5.3-dev|lua53|lua@5.3
what_LUA_5.4 := liblua5.4-dev|lua-devel|lua5.4-dev|lua or lua54|lua@5.4
what_LUA_5.5 := none|none|none|lua|lua
what_LUA_jit := libluajit-5.1-dev|luajit-devel|luajit-dev|luajit|luajit
what_LUA := $(LUA) is missing|$(what_LUA_$(LUA_VERSION))|LUA_INCDIR=…
has = echo '\#include <$(1)>' | $(COMPILE) -x c -E -o /dev/null - 2>/dev/null || { \
	echo '$(what_$(2))' | tr '|' '\n' | { read -r what; echo "$(1) is not found: $$what, or its headers. The package:"; \
	  for system in Debian Fedora Alpine Arch Homebrew; do read -r name; printf '  %-10s%s\n' "$$system" "$$name"; done; \
	  read -r folder; echo "Elsewhere: make $$folder"; } >&2; exit 1; }

# One word for a command unless V=1.
say = $(if $(V),,@echo '  $(1)'; )$(2)

.PHONY: build
build: $(CORE)

$(CORE): $(OBJECTS)
	@mkdir -p $(@D)
	$(call say,$@,$(LINK) -o $@ $(OBJECTS) $(CURL_LIBS) $(ZLIB_LIBS))

$(BUILD)/obj/%.o: src/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,$<,$(COMPILE) -MMD -MP -c -o $@ $<)

# What specs need of C; never installed. -fvisibility=hidden would hide its only function too.
$(BUILD)/native.so: spec/support/native.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,$<,$(COMPILE) -fvisibility=default $(LDFLAGS) $(LIBFLAG) -o $@ $<)

# A libcurl that fails on command; a spec preloads it into a child process.
$(BUILD)/curl_faults.so: spec/support/curl_faults.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,$<,$(COMPILE) -fvisibility=default $(LDFLAGS) $(LIBFLAG) -o $@ $< $(CURL_LIBS) -ldl)

# A wall clock that is off or jumps, and a death at a set instant; preloaded into a child process as well.
$(BUILD)/wall_clock.so: spec/support/wall_clock.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,$<,$(COMPILE) -fvisibility=default $(LDFLAGS) $(LIBFLAG) -o $@ $< -lm)

# A file system without locks and syncs, for a child process.
$(BUILD)/weak_files.so: spec/support/weak_files.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,$<,$(COMPILE) -fvisibility=default $(LDFLAGS) $(LIBFLAG) -o $@ $<)

# Names that begin to resolve; preloaded into a child process as well.
$(BUILD)/names.so: spec/support/names.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,$<,$(COMPILE) -fvisibility=default $(LDFLAGS) $(LIBFLAG) -o $@ $< -ldl)

# A newer core, whose userdata are laid out otherwise; a spec loads it beside the first.
$(BUILD)/newer/veo/core.so: $(SOURCES) $(HEADERS) $(BUILD)/flags
	@rm -rf $(BUILD)/newer && mkdir -p $(BUILD)/newer/src && cp $(SOURCES) $(HEADERS) $(BUILD)/newer/src
	@cd $(BUILD)/newer/src && sed -i 's/^typedef struct [a-z_ ]*{$$/&\n  long newer[4];/' client_state.h transfer.h && \
	  sed -i 's/^  veo_sink \*sink;/  long newer[4];\n&/' sink.c
	@$(MAKE) --no-print-directory -C $(BUILD)/newer -f $(CURDIR)/Makefile build BUILD=. CFLAGS=-O0 \
	  CPPFLAGS="$(CPPFLAGS) -DVEO_VERSION='\"9.9.9\"'"

# Changes only when the compiler's command does, so that WERROR=1 or another LUA_INCDIR rebuilds and nothing else. What
# the compiler lacks is told once, here, and not by each file; it is looked for again until it is there.
$(BUILD)/flags: always
	@mkdir -p $(@D)
	@[ -s $@ ] || { $(call has,stdio.h,C); $(call has,lua.h,LUA); \
	  $(call has,curl/curl.h,CURL); $(call has,zlib.h,ZLIB); }
	@echo '$(subst ','\'',$(COMPILE) $(LINK))' | cmp -s - $@ || echo '$(subst ','\'',$(COMPILE) $(LINK))' > $@
.PHONY: always

-include $(OBJECTS:.o=.d)

# ---- packages --------------------------------------------------------------------------------------------------------

LUA_PACKAGES_5.1 := lua5.1 liblua5.1-0-dev
LUA_PACKAGES_5.2 := lua5.2 liblua5.2-dev
LUA_PACKAGES_5.3 := lua5.3 liblua5.3-dev
LUA_PACKAGES_5.4 := lua5.4 liblua5.4-dev
# OpenResty's LuaJIT, which the Lua of nginx needs, and the original exclude each other: whoever has the original keeps
# it, and does without the spec of nginx.
ORIGINAL_LUAJIT := $(wildcard /usr/share/doc/libluajit-5.1-2)
LUA_PACKAGES_jit := $(if $(ORIGINAL_LUAJIT),luajit libluajit-5.1-dev,luajit2 libluajit2-5.1-dev)

# Any libcurl that pkg-config knows will do; Debian's flavours of its headers exclude each other.
BUILD_DEPS := gcc libc6-dev pkg-config $(if $(call found,libcurl),,libcurl4-openssl-dev) zlib1g-dev \
	$(LUA_PACKAGES_$(LUA_VERSION))
RUN_DEPS := ca-certificates lua-cjson lua-cqueues lua-luaossl
TEST_DEPS := curl lua-busted lua-argparse lua-socket lua-copas lua-luv sqlite3 lua-dbi-sqlite3 lua-dbi-postgresql openssl \
	lua-filesystem lua-zlib
FULL_DEPS := $(TEST_DEPS) git postgresql nginx $(if $(ORIGINAL_LUAJIT),,libnginx-mod-http-lua) nghttp2-server ffmpeg luarocks
LINT_DEPS := lua5.1 lua-check clang-format clang-tidy cppcheck
MEMORY_DEPS := valgrind
GNUTLS_DEPS := libcurl3-gnutls
HOST_DEPS := love mpv neovim darktable xvfb xauth
HOST_VERSIONS := 5.2 5.4 jit
BENCH_DEPS := nginx-light openssl curl nghttp2-client valgrind lua-http

# $(call need,packages): quick when nothing is missing. What is installed is said before; whoever is not root is told what
# to type. Package lists are fetched only when apt cannot do without.
define need
	@[ -z '$(NODEPS)' ] || exit 0; \
	command -v dpkg-query >/dev/null && command -v apt-get >/dev/null || { \
	  echo "No Debian here, so nothing was installed. Bring what Debian calls"; echo "  $(strip $(1))"; \
	  echo "and run make again with NODEPS=1."; exit 1; } >&2; \
	here=$$(dpkg-query -W -f '$${db:Status-Status} $${Package}\n' $(1) 2>/dev/null | sed -n 's/^installed //p'); \
	missing=; for name in $(1); do \
	  printf '%s\n' "$$here" | grep -qxF "$$name" || missing="$$missing $$name"; done; \
	[ -n "$$missing" ] || exit 0; \
	[ "$$(id -u)" = 0 ] || { echo "First: sudo apt-get install --no-install-recommends$$missing" >&2; exit 1; }; \
	echo "installing with apt-get:$$missing"; \
	export DEBIAN_FRONTEND=noninteractive; apt="apt-get -qq -o DPkg::Lock::Timeout=600"; \
	get="$$apt install -y --no-install-recommends$$missing"; \
	apt-get -s -q install$$missing >/dev/null 2>&1 || $$apt update; \
	$$get </dev/null >/dev/null || { $$apt update && $$get </dev/null >/dev/null; }
endef

.PHONY: deps full-deps demo-deps lint-deps memory-deps gnutls-deps bench-deps hosts-deps test-all-deps
deps:
	$(call need,$(BUILD_DEPS) $(RUN_DEPS) $(TEST_DEPS))
full-deps:
	$(call need,$(BUILD_DEPS) $(RUN_DEPS) $(FULL_DEPS))
demo-deps:
	$(call need,$(BUILD_DEPS) $(RUN_DEPS))
lint-deps:
	$(call need,$(BUILD_DEPS) $(LINT_DEPS))
memory-deps:
	$(call need,$(BUILD_DEPS) $(RUN_DEPS) $(FULL_DEPS) $(MEMORY_DEPS))
gnutls-deps:
	$(call need,$(BUILD_DEPS) $(RUN_DEPS) $(FULL_DEPS) $(GNUTLS_DEPS))
bench-deps:
	$(call need,$(BUILD_DEPS) $(RUN_DEPS) $(BENCH_DEPS))
hosts-deps:
	$(call need,$(sort $(BUILD_DEPS) $(foreach v,$(HOST_VERSIONS),$(LUA_PACKAGES_$(v)))) $(RUN_DEPS) $(FULL_DEPS) $(HOST_DEPS))
test-all-deps:
	$(call need,$(sort $(BUILD_DEPS) $(foreach v,$(VERSIONS),$(LUA_PACKAGES_$(v)))) $(RUN_DEPS) $(FULL_DEPS))

# ---- running ---------------------------------------------------------------------------------------------------------

# What a Lua started here, and every process it starts, finds: this checkout first, then what the system has.
# LUA_PATH_5_x would win over LUA_PATH.
RUN = env -u LUA_PATH_5_2 -u LUA_PATH_5_3 -u LUA_PATH_5_4 -u LUA_CPATH_5_2 -u LUA_CPATH_5_3 -u LUA_CPATH_5_4 \
	LUA_PATH='$(CURDIR)/lua/?.lua;$(CURDIR)/lua/?/init.lua;;' LUA_CPATH='$(CURDIR)/$(BUILD)/?.so;;' \
	VEO_BUILD='$(CURDIR)/$(BUILD)' VEO_SIMULATOR_LUA='$(LUA)'
BUSTED ?= /usr/bin/busted
BUSTED_ARGS ?=
# $(call specs,core% errors): specs by their names, whatever folder they stand in.
ALL_SPECS := $(sort $(shell find spec -name '*_spec.lua' 2>/dev/null))
specs = $(strip $(foreach spec,$(ALL_SPECS),$(if $(filter $(addsuffix _spec.lua,$(1)),$(notdir $(spec))),$(spec))))

.PHONY: help
help:
	@sed -n 's/^#   //p' $(firstword $(MAKEFILE_LIST))

# The sub-make: what pkg-config says is read when make starts, so after the packages are there.
.PHONY: demo test test-full test-all test-hosts
demo: demo-deps
	@$(MAKE) --no-print-directory build
	@$(RUN) VEO_SIMULATE=1 $(LUA) examples/extend.lua demo.mp4

# More than half of the time for a quarter of the files: left to test-full, as is what asserts seconds (tag #timing). Many
# exchanges, many rows, every family of a thing, failing allocations, sandboxes, builds. What pays, saves and does not
# stall is in all the others.
SLOW_SPECS := $(call specs,pairs% status_record admission growth memory ca systems package sandbox preview descriptors \
	close identity model host_stopped held_back frame_budget ledger_fleet ledger_pg ledger_pages ledger_prune ledger_turns \
	readme upgrade_families core_connections core_ends dead_connections printed host_away migration \
	named review ids attempts ledger_together ledger_commits many_downloads crash cli_ledger cli_signals)
QUICK_SPECS = $(filter-out $(SLOW_SPECS),$(ALL_SPECS))
# Specs mostly wait, so more of them than there are cores.
PROCESSES ?= $(shell expr 3 '*' $(JOBS))
SPEC_LIBRARIES := $(addprefix $(BUILD)/,native.so curl_faults.so wall_clock.so weak_files.so names.so newer/veo/core.so)
test: deps
	@$(MAKE) --no-print-directory $(if $(V),,-s) -j $(JOBS) build $(SPEC_LIBRARIES)
ifdef SPECS
	@echo "busted under $(LUA): $(SPECS)"
	@$(RUN) $(UNDER) $(LUA) $(BUSTED) $(BUSTED_ARGS) $(SPECS)
else
	@echo "busted under $(LUA): $(words $(QUICK_SPECS)) spec files, $(PROCESSES) at a time (all of it: make test-full)"
	@VEO_PAIRS=thin $(RUN) sh spec/support/side_by_side.sh $(PROCESSES) \
	  "$(LUA) $(BUSTED) --exclude-tags=timing $(BUSTED_ARGS)" $(QUICK_SPECS)
endif

test-full: full-deps
	@VEO_FULL=1 $(MAKE) --no-print-directory test NODEPS=1 SPECS='$(or $(SPECS),spec)'

# CI runs the longest ones beside all others, and those in two halves (HALF=1, HALF=2).
LONG_SPECS := $(call specs,pairs pairs_libcurl model)
half = $(if $(HALF),$(shell printf '%s\n' $(1) | awk 'NR % 2 == $(HALF) % 2'),$(1))
.PHONY: test-long test-rest test-jit libraries
test-long:
	@$(MAKE) --no-print-directory test-full SPECS='$(LONG_SPECS)'

test-rest:
	@$(MAKE) --no-print-directory test-full SPECS='$(call half,$(filter-out $(LONG_SPECS),$(ALL_SPECS)))'

# What the specs of one Lua need, so that two rows do not build it at the same time.
libraries: build $(SPEC_LIBRARIES)

# LuaJIT is a Lua 5.1 with hooks, finalizers and a collector of its own, and it compiles. So what is about rows of SQL (but
# for the drivers' finalizers), screens, files of whole processes, texts, the simulator itself or libcurl alone is left to
# 5.1. Signals are not: LuaJIT raises what they bring wherever it is.
JIT_SPECS := $(filter-out $(call specs,ledger_backup ledger_file ledger_fleet ledger_pages ledger_prune ledger_turns \
	migration crash file_systems floors layout meta model pairs_libcurl readme simulator simulator_service \
	upgrade_families) $(filter-out %/cli_spec.lua %/cli_signals_spec.lua,$(filter spec/cli/%,$(ALL_SPECS))),$(ALL_SPECS))
test-jit:
	@$(MAKE) --no-print-directory test-full LUA_VERSION=jit SPECS='$(JIT_SPECS)'

# No load of the machine may fail a spec (spec/layout_spec.lua refuses the plainest kind of those that it would).
.PHONY: test-busy
test-busy:
	@$(MAKE) --no-print-directory test SPECS='$(or $(SPECS),spec)' UNDER=spec/support/busy.sh

# What may differ from one Lua to the next: the core's values, and how calls wait.
SOME_SPECS := $(call specs,client closed_within coding core core_review duplicate errors query inputs job layout \
	ledger admission batch misuse numbers options status_record sandbox scheduler settle submit wait webhook \
	extend_and_save wire wire_codes wire_status)
# What may differ on curl_multi_poll, without a descriptor for foreign loops, as macOS and BSD have it.
PORTABLE_SPECS := $(call specs,client close coding core core_connections core_ends core_faults core_review \
	dead_connections download download_ranges download_stream h2 host host_away job admission loops batch outage \
	receiver status_record scheduler upload wait extend_and_save)
.PHONY: test-some test-portable
test-some: full-deps
	@$(MAKE) --no-print-directory test SPECS='$(SOME_SPECS)'

test-portable: full-deps
	@$(MAKE) --no-print-directory test BUILD=build/portable CPPFLAGS='$(CPPFLAGS) -DVEO_PORTABLE_POLLER' \
	  SPECS='$(PORTABLE_SPECS)'

# The transport of production, for every spec that starts a simulator but those about the simulator itself. What is
# about the bytes of HTTP/1.1 has servers of its own (spec/support/fault.lua) and needs no tag. What is about a database
# meets no other transport than ledger_spec does.
H2_SPECS ?= $(filter-out $(call specs,simulator% model% migration% bare_libcurl% outage%) \
	$(call specs,meta cli_default_ledger $(addprefix ledger_,backup file pages pg prune together turns)),$(shell grep -rlE --include='*_spec.lua' '(simulators?|h2)\.start\b|support\.both' spec | sort))
.PHONY: test-h2 test-gnutls
test-h2: full-deps
	@$(MAKE) --no-print-directory build $(BUILD)/native.so $(BUILD)/wall_clock.so $(BUILD)/weak_files.so $(BUILD)/names.so
	@echo "busted under $(LUA), HTTP/2: $(H2_SPECS)"
	@$(RUN) sh spec/support/h2.sh $(LUA) $(BUSTED) --run h2 $(BUSTED_ARGS) $(H2_SPECS)

# Linked as whoever has another libcurl does it. It shares its headers with the OpenSSL flavour.
GNUTLS := build/gnutls
GNUTLS_SPECS ?= $(call specs,core% client download download_stream h2 status_record secrets ca upload)
test-gnutls: gnutls-deps
	@mkdir -p $(GNUTLS)/lib
	@ln -sf "$$($(CC) -print-file-name=libcurl-gnutls.so.4)" $(GNUTLS)/lib/libcurl.so
	@$(MAKE) --no-print-directory build BUILD=$(GNUTLS) CURL_LIBDIR=$(CURDIR)/$(GNUTLS)/lib
	@ldd $(GNUTLS)/veo/core.so | grep -F libcurl-gnutls.so || { echo "the core has another libcurl"; exit 1; }
	@$(MAKE) --no-print-directory test NODEPS=1 BUILD=$(GNUTLS) CURL_LIBDIR=$(CURDIR)/$(GNUTLS)/lib \
	  SPECS='$(GNUTLS_SPECS)' BUSTED_ARGS='--exclude-tags=openssl $(BUSTED_ARGS)'

test-all: test-all-deps
	@failed=; for version in $(VERSIONS); do echo "== Lua $$version"; \
	  $(MAKE) --no-print-directory test-full LUA_VERSION=$$version || failed="$$failed $$version"; done; \
	[ -z "$$failed" ] || { echo "failed under:$$failed"; exit 1; }

.PHONY: crash
crash: full-deps
	@$(MAKE) --no-print-directory build
	@$(RUN) LUA_PATH='$(CURDIR)/lua/?.lua;$(CURDIR)/lua/?/init.lua;$(CURDIR)/?.lua;;' $(LUA) spec/crash/run.lua $(CRASH_ARGS)

# The model of the money: MODEL_ARGS='--histories 10000 --ledger postgresql --seed 1', or '--history FILE' for one again.
.PHONY: model
model: full-deps
	@$(MAKE) --no-print-directory build $(BUILD)/wall_clock.so
	@$(RUN) LUA_PATH='$(CURDIR)/lua/?.lua;$(CURDIR)/lua/?/init.lua;$(CURDIR)/?.lua;;' $(LUA) spec/model/run.lua $(MODEL_ARGS)

test-hosts: hosts-deps
	@for version in $(HOST_VERSIONS); do $(MAKE) --no-print-directory build LUA_VERSION=$$version || exit 1; done
	@echo "busted under $(LUA): spec/hosts/hosts.lua"
	@$(RUN) $(LUA) $(BUSTED) $(BUSTED_ARGS) spec/hosts/hosts.lua

.PHONY: bench
bench: bench-deps
	@$(MAKE) --no-print-directory build $(BUILD)/native.so
	@if [ -x spec/bench/run ]; then $(RUN) spec/bench/run $(BENCH_ARGS); else echo "spec/bench/run is not here yet"; exit 1; fi

# The README's pictures, from real runs.
.PHONY: pictures
pictures:
	@$(MAKE) --no-print-directory build
	@$(MAKE) --no-print-directory build LUA_VERSION=jit
	@$(RUN) sh spec/pictures/run

# ---- checking --------------------------------------------------------------------------------------------------------

LUA_DIRS := $(wildcard lua spec examples)
# The specs' helpers are held to the same rules; benchmarks and fuzzers only to the layout.
LINTED := $(SOURCES) $(wildcard spec/support/*.c)
C_FILES := $(SOURCES) $(HEADERS) $(shell find spec -name '*.[ch]' 2>/dev/null)
EACH = printf '%s\n' $(1) | xargs -r -n 1 -P $(JOBS)

.PHONY: lint lint-lua lint-format lint-tidy lint-cppcheck format
lint: lint-deps
	@$(MAKE) --no-print-directory -k lint-lua $(if $(LINTED),lint-format lint-tidy lint-cppcheck)

lint-lua:
	luacheck --quiet --no-color $(LUA_DIRS) $(wildcard rockspec/*.rockspec)
	@# luacheck reads every Lua's syntax; what we ship must also parse in the oldest.
	find lua -name '*.lua' | xargs -r luac5.1 -p

lint-format:
	clang-format --dry-run -Werror $(C_FILES)

# Only what has changed since it last passed. Nine tenths of the time is clang's analyzer: with its own bound of 225,000
# nodes a function a run over all takes 40 s on two cores, with this one a third; CI gives it all.
LINT_NODES ?= 50000
ANALYZER = -Xclang -analyzer-config -Xclang max-nodes=$(LINT_NODES)
TIDIED := $(LINTED:%=build/lint/%.tidy)
lint-tidy:
	@$(MAKE) --no-print-directory -s -k -j $(JOBS) $(TIDIED)

$(TIDIED): build/lint/%.tidy: % $(filter %.h,$(C_FILES)) .clang-tidy
	@# Its stderr only counts the warnings it does not show.
	@echo "clang-tidy $<"; clang-tidy --quiet $< -- $(COMPILE_FOR_LINT) $(ANALYZER) 2>/dev/null \
	  || { echo "clang-tidy failed on $<"; exit 1; }
	@mkdir -p $(@D); touch $@

lint-cppcheck:
	cppcheck $(CPPCHECK) $(LINTED)

# Lua's headers do not say that these never return; without it the analyzer walks on past every raised error.
RAISES := $(foreach name,lua_error luaL_error luaL_argerror,\
	"-D$(name)(...)=($(name)(__VA_ARGS__),__builtin_unreachable(),0)")
# glibc's checked functions are inline, and what the specs put in their place is not.
COMPILE_FOR_LINT = $(filter-out -D_FORTIFY_SOURCE=2,$(wordlist 2,$(words $(COMPILE)),$(COMPILE))) $(RAISES)
# Suppressed: the system's headers are not ours to judge; a callback's parameters have libcurl's types (clang-tidy's
# readability-non-const-parameter sees the other functions); shadowing is gcc's, cppcheck 2.10 takes `close(*fds[i])`
# for a declaration; locals stand at the top of a function, as in curl.
CPPCHECK := --quiet --std=c99 --language=c --error-exitcode=1 --inline-suppr -j $(JOBS) \
	--enable=warning,style,performance,portability --suppress=missingIncludeSystem --suppress=constParameter \
	--suppress=constParameterCallback --suppress=shadowVariable --suppress=variableScope

format: lint-deps
	clang-format -i $(C_FILES)

# For spec/core/systems_spec.lua, which says UNAME=Darwin.
.PHONY: check-syntax
check-syntax:
	@$(COMPILE) -fsyntax-only $(SOURCES)

# One symbol leaves the module; everything else is ours alone.
.PHONY: check-exports check-guards
check-exports: build
	@names="$$(nm -D --defined-only $(CORE) | awk '{ print $$3 }')"; [ "$$names" = luaopen_veo_core ] || { \
	  echo "exported, but only luaopen_veo_core may be:" $$names; exit 1; }
	@$(MAKE) --no-print-directory check-guards

# What GUARDS left in a module as it was built, whoever built it (CORE=…); a large frame is probed page by page.
check-guards:
	@nm -D --undefined-only '$(CORE)' | grep -q __stack_chk_fail || { echo "$(CORE): no stack protector"; exit 1; }
	@nm -D --undefined-only '$(CORE)' | grep -q '_chk@' || { echo "$(CORE): no _FORTIFY_SOURCE"; exit 1; }
	@[ "$$(uname -m)" != x86_64 ] || objdump -d --no-show-raw-insn '$(CORE)' | grep -q 'or[bwlq]* *$$0x0,.*(%rsp)' || { \
	  echo "$(CORE): no stack clash protection"; exit 1; }

# Pure Lua has no memory of ours to check; what asserts seconds (tag #timing) would fail at a thirtieth of the speed.
# Nor has what only starts other processes, which are not checked: the simulator's own specs, the example's, those of a
# host's end. Stories about money and names go through the same C as many others.
PURE_SPECS := $(call specs,wire% ledger% simulator% errors retry limiter heap options layout floors examples cli preview \
	readme budget chain crash duplicate reload resume sandbox settle pairs_libcurl model migration systems file_systems \
	outage bare_libcurl identity ids keys named jobs_api jobs_orders upgrade_families upgrades generate contract links \
	looks printed nginx folders part_names http1 meta package ca close console host_stopped preload)
MEMORY_SPECS ?= $(filter-out $(PURE_SPECS) spec/cli/%,$(ALL_SPECS))
MEMORY_ARGS ?= --exclude-tags=timing
# Valgrind takes three times as long, and sees what was never written to; so it runs what goes through most of the C.
VALGRIND_SPECS ?= $(call specs,core% client coding dead_connections download download_encoding download_resume \
	download_stream h2 held_back memory misuse pairs pairs_client status_record secrets upload)
# Every so manieth pair of spec/core/pairs_spec.lua: 10,000 of them would take hours.
MEMORY_PAIRS ?= 97
SANITIZE := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined,float-cast-overflow \
	-fno-sanitize-recover=undefined,float-cast-overflow
VALGRIND ?= valgrind --quiet --leak-check=full --errors-for-leak-kinds=definite --show-leak-kinds=definite \
	--keep-debuginfo=yes --num-callers=30 --error-exitcode=99 --suppressions=spec/support/valgrind.supp
.PHONY: check-memory check-asan check-valgrind
check-memory: memory-deps
	@$(MAKE) --no-print-directory -k check-asan check-valgrind

# .busted puts VEO_BUILD in front, so the specs' own process runs the checked core and what they start the ordinary one.
check-asan: build
	@$(MAKE) --no-print-directory build build/asan/native.so build/asan/preload.so BUILD=build/asan CFLAGS='$(SANITIZE)'
	@echo "busted under $(LUA), ASAN and UBSAN: $(MEMORY_SPECS)"
	@$(RUN) VEO_BUILD='$(CURDIR)/build/asan' VEO_PAIRS=$(MEMORY_PAIRS) \
	  LD_PRELOAD="$$($(CC) -print-file-name=libasan.so) $(CURDIR)/build/asan/preload.so" \
	  ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 UBSAN_OPTIONS=print_stacktrace=1 \
	  LSAN_OPTIONS=suppressions=$(CURDIR)/spec/support/lsan.supp:print_suppressions=0 \
	  $(LUA) $(BUSTED) $(MEMORY_ARGS) $(MEMORY_SPECS)

# What works on threads: saves and digests, libcurl's resolver, states in threads of their own. Lua is not instrumented, so
# the runtime is preloaded; setarch, because gcc 12's maps fixed addresses, which a random layout may have taken. Nothing
# is suppressed: libcurl and OpenSSL gave no reason to. It takes 95 s of CPU.
THREAD_SPECS ?= $(call specs,core core_ends core_review download_resume memory)
THREAD_ARGS ?= --exclude-tags=timing
.PHONY: check-threads check-collector
check-threads: build
	@$(MAKE) --no-print-directory build build/tsan/native.so build/tsan/preload.so BUILD=build/tsan \
	  CFLAGS='-O1 -g -fno-omit-frame-pointer -fsanitize=thread'
	@echo "busted under $(LUA), TSAN: $(THREAD_SPECS)"
	@$(RUN) VEO_BUILD='$(CURDIR)/build/tsan' setarch "$$(uname -m)" -R \
	  env LD_PRELOAD="$$($(CC) -print-file-name=libtsan.so) $(CURDIR)/build/tsan/preload.so" \
	  $(LUA) $(BUSTED) $(THREAD_ARGS) $(THREAD_SPECS)

# A collector that begins its next cycle where the last one ended finalizes what anybody forgot to keep; the generational
# one of 5.4 visits old objects rarely.
COLLECTOR_SPECS ?= $(filter spec/client/% spec/task/% spec/scenario/%,$(ALL_SPECS))
COLLECTOR_ARGS ?= --exclude-tags=timing
COLLECTORS ?= eager generational
check-collector: build $(BUILD)/native.so $(BUILD)/wall_clock.so $(BUILD)/weak_files.so $(BUILD)/names.so \
  $(BUILD)/newer/veo/core.so
	@for collector in $(COLLECTORS); do \
	  echo "busted under $(LUA), $$collector collector: $(COLLECTOR_SPECS)"; \
	  $(RUN) VEO_COLLECTOR=$$collector $(LUA) $(BUSTED) $(COLLECTOR_ARGS) $(COLLECTOR_SPECS) || exit 1; done

build/asan/preload.so build/tsan/preload.so: spec/support/preload.c
	@mkdir -p $(@D)
	$(call say,$<,$(CC) -std=gnu99 -shared -fPIC -o $@ $<)

check-valgrind: build $(BUILD)/native.so
	@echo "busted under $(LUA) and valgrind: $(VALGRIND_SPECS)"
	@$(RUN) VEO_PAIRS=$(MEMORY_PAIRS) $(VALGRIND) $(LUA) $(BUSTED) $(MEMORY_ARGS) $(VALGRIND_SPECS)

# ---- installing ------------------------------------------------------------------------------------------------------

# `bin/veo` finds its modules by itself where Lua would not look (LuaRocks' own wrapper does not with --deps-mode=none).
# The version is asked of the Lua that runs it, because LuaRocks does not tell us which it builds for.
# make takes a blank in a path for the end of it.
blank := $(subst |,,| |)
whole = $(subst |,$(blank),$(abspath $(subst $(blank),|,$(1))))
define SCRIPT
#!$(if $(findstring /,$(LUA)),$(LUA),/usr/bin/env $(LUA))
$(if $(filter /usr /usr/local,$(call whole,$(PREFIX))),,$(SCRIPT_PATHS)
)require "veo.main"
endef
define SCRIPT_PATHS
local here, version = "$(call whole,$(PREFIX))", _VERSION:match("%d+%.%d+")
local modules = here .. "/share/lua/" .. version
package.path = modules .. "/?.lua;" .. modules .. "/?/init.lua;" .. package.path
package.cpath = here .. "/lib/lua/" .. version .. "/?.so;" .. package.cpath
endef
export SCRIPT
LUADIR ?= $(PREFIX)/share/lua/$(LUA_ABI)
LIBDIR ?= $(PREFIX)/lib/lua/$(LUA_ABI)
BINDIR ?= $(PREFIX)/bin
COMMAND = $(DESTDIR)$(BINDIR)/veo
# Which Lua an installed command runs, if that is there and is not this one: it stays with it.
OTHER_LUA = other=$$(sed -n '1s|^\#! *\(/usr/bin/env \)* *||p' "$(COMMAND)" 2>/dev/null); \
	[ "$${other\#\#*/}" != "$(notdir $(LUA))" ] && command -v "$$other" >/dev/null || other=
# Where Lua looks by itself nothing needs to be said; nor to LuaRocks, which names the folders.
define EXPORTS
$(if $(or $(filter /usr /usr/local,$(call whole,$(PREFIX))),$(DESTDIR),$(filter-out file,$(origin LUADIR))),,$(EXPORT_LINES))
endef
define EXPORT_LINES
To have it found from everywhere:
  export LUA_PATH='$(call whole,$(LUADIR))/?.lua;$(call whole,$(LUADIR))/?/init.lua;'"$${LUA_PATH:-;}"
  export LUA_CPATH='$(call whole,$(LIBDIR))/?.so;'"$${LUA_CPATH:-;}"
  export PATH='$(call whole,$(BINDIR))':"$$PATH"

endef
export EXPORTS
SHARED_FILES := $(patsubst lua/%,%,$(shell find lua -type f ! -name '*.part' ! -name '.*' 2>/dev/null))
MAIN := $(wildcard lua/veo/main.lua)

.PHONY: install uninstall clean
install: build
	@for file in $(SHARED_FILES); do mkdir -p "$(DESTDIR)$(LUADIR)/$${file%/*}" && \
	  $(INSTALL) -m 644 "lua/$$file" "$(DESTDIR)$(LUADIR)/$$file" || exit 1; done
	@mkdir -p "$(DESTDIR)$(LIBDIR)/veo"
	$(INSTALL) -m 755 $(CORE) "$(DESTDIR)$(LIBDIR)/veo/core.so"
ifneq ($(MAIN),)
	@mkdir -p "$(DESTDIR)$(BINDIR)"
	@$(OTHER_LUA); if [ "$$other" ]; then \
	  echo "$(BINDIR)/veo goes on with $$other. For $(LUA): remove it and install again."; \
	else printf '%s\n' "$$SCRIPT" > "$(COMMAND)" && chmod 755 "$(COMMAND)"; fi
endif
	@printf '%s' "$$EXPORTS"

uninstall:
	@for file in $(SHARED_FILES); do rm -f "$(DESTDIR)$(LUADIR)/$$file"; done
	@[ ! -d "$(DESTDIR)$(LUADIR)/veo" ] || find "$(DESTDIR)$(LUADIR)/veo" -depth -type d -exec rmdir {} \; 2>/dev/null || :
	rm -f "$(DESTDIR)$(LIBDIR)/veo/core.so"
	@$(OTHER_LUA); [ "$$other" ] || rm -f "$(COMMAND)"
	@[ ! -d "$(DESTDIR)$(LIBDIR)/veo" ] || rmdir "$(DESTDIR)$(LIBDIR)/veo" 2>/dev/null || :

# ---- the manual page -------------------------------------------------------------------------------------------------

# Made of what the parser knows. LuaRocks has no place for one.
MANDIR ?= $(if $(filter %luarocks,$(BUILD)),,$(PREFIX)/share/man/man1)
PAGE := $(BUILD)/veo.1
.PHONY: man install-man uninstall-man
man: build
	@$(RUN) $(LUA) -e 'require("veo.cli.man").write()' > $(PAGE).new && mv $(PAGE).new $(PAGE)
	$(if $(V),,@echo '  $(PAGE)')

install: install-man
install-man: build
ifneq ($(MANDIR),)
	@if $(RUN) $(LUA) -e 'require "argparse"' 2>/dev/null; then \
	  $(MAKE) --no-print-directory -s man && mkdir -p "$(DESTDIR)$(MANDIR)" && \
	  $(INSTALL) -m 644 $(PAGE) "$(DESTDIR)$(MANDIR)/veo.1"; \
	else echo "no manual page: argparse is missing for $(LUA)"; fi
endif

uninstall: uninstall-man
uninstall-man:
	$(if $(MANDIR),@rm -f "$(DESTDIR)$(MANDIR)/veo.1")

# ---- releasing -------------------------------------------------------------------------------------------------------

# The version stands in src/defaults.h and nowhere else; the rockspec of a release is scm's with it.
VERSION := $(shell sed -n 's/^\#define VEO_VERSION "\(.*\)"$$/\1/p' src/defaults.h)
.PHONY: rockspec print-rockspec check-package release-check
print-rockspec:
	@sed -e 's/^version = .*/version = "$(VERSION)-1"/' -e 's/^  url = .*/&\n  tag = "v$(VERSION)",/' \
	  rockspec/lua-veo-scm-1.rockspec

rockspec:
	@rm -f rockspec/lua-veo-[0-9]*.rockspec
	@$(MAKE) -s print-rockspec > rockspec/lua-veo-$(VERSION)-1.rockspec

check-package:
	@.ci/check-package

release-check:
	@.ci/check-package --release

clean:
	rm -rf build demo.mp4 demo.mp4.part*

# Builds, tests, checks and installs lua-veo. GNU make 4.3 or newer (3.81 will do for `make` and `make install`).
#
#   make                 build veo.core for LUA_VERSION (5.1 5.2 5.3 5.4 jit; 5.4 unless told) into build/<version>/
#   make demo            install what is missing, build, extend a video against the simulator, save ./demo.mp4
#   make test            install what is missing, build, run the specs (SPECS=… for some of them, BUSTED_ARGS=…)
#   make test-all        the specs under every Lua (VERSIONS=… for some of them)
#   make test-hosts      the examples in LÖVE, mpv, Neovim and darktable, headless; and LÖVE's frame times
#   make lint            luacheck, the 5.1 parser, clang-format, clang-tidy, cppcheck
#   make check-memory    MEMORY_SPECS under ASAN + UBSAN, then under valgrind
#   make bench           spec/bench (BENCH_ARGS='--runs 3 --only status')
#   make crash           spec/crash: hundreds of kills over the ledger, on SQLite and PostgreSQL (some ten minutes)
#   make install         PREFIX=/usr/local LUA_VERSION=5.4 DESTDIR=      (make uninstall takes the same)
#   make deps            only install what is missing; make format: rewrite src/ with clang-format; make clean

LUA_VERSION ?= 5.4
VERSIONS ?= 5.1 5.2 5.3 5.4 jit
PREFIX ?= /usr/local
INSTALL ?= install
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

# LuaRocks names the folders itself: LUA_INCDIR, CURL_INCDIR, CURL_LIBDIR.
ifdef LUA_INCDIR
LUA_CFLAGS := -I$(LUA_INCDIR)
else ifneq ($(call found,$(LUA_PC)),)
LUA_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(call found,$(LUA_PC)))
else
LUA_CFLAGS := $(patsubst %/lua.h,-I%,$(firstword $(wildcard $(addsuffix /lua.h,$(LUA_INCDIRS)))))
endif
ifneq ($(CURL_INCDIR)$(CURL_LIBDIR),)
CURL_CFLAGS := $(addprefix -I,$(CURL_INCDIR))
CURL_LIBS := $(addprefix -L,$(CURL_LIBDIR)) -lcurl
else ifneq ($(call found,libcurl),)
CURL_CFLAGS := $(shell $(PKG_CONFIG) --cflags libcurl)
CURL_LIBS := $(shell $(PKG_CONFIG) --libs libcurl)
else
CURL_CFLAGS :=
CURL_LIBS := -lcurl
endif

CFLAGS ?= -O2 -g
# 64 bits for places in files where off_t would have 32.
STANDARD := -std=c99 -D_POSIX_C_SOURCE=200809L -D_FILE_OFFSET_BITS=64
WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion $(if $(filter 1,$(WERROR)),-Werror)
# In front of CFLAGS, so that whoever builds has the last word; headers of others as system headers, so that
# -Wconversion speaks of our code alone.
COMPILE = $(CC) $(STANDARD) $(WARNINGS) -fPIC -fvisibility=hidden -pthread $(CPPFLAGS) $(CFLAGS) \
	$(patsubst -I%,-isystem %,$(filter-out -I/usr/include,$(LUA_CFLAGS) $(CURL_CFLAGS)))

ifeq ($(UNAME),Darwin)
LIBFLAG ?= -bundle -undefined dynamic_lookup
else
LIBFLAG ?= -shared
# nodelete: libcurl's resolver thread may outlive lua_close, and its code must not be unmapped under it.
HARDENING := -Wl,-z,nodelete -Wl,-z,relro -Wl,-z,now
endif
LINK = $(CC) -pthread $(CFLAGS) $(LDFLAGS) $(LIBFLAG) $(HARDENING)

# One word for a command unless V=1.
say = $(if $(V),,@echo '  $(1)'; )$(2)

.PHONY: build
build: $(CORE)

$(CORE): $(OBJECTS)
	@mkdir -p $(@D)
	$(call say,$@,$(LINK) -o $@ $(OBJECTS) $(CURL_LIBS))

$(BUILD)/obj/%.o: src/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,$<,$(COMPILE) -MMD -MP -c -o $@ $<)

# What specs need of C; never installed. -fvisibility=hidden would hide its only function too.
$(BUILD)/native.so: spec/support/native.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,$<,$(COMPILE) -fvisibility=default $(LDFLAGS) $(LIBFLAG) -o $@ $<)

# Changes only when the compiler's command does, so that WERROR=1 or another LUA_INCDIR rebuilds and nothing else.
$(BUILD)/flags: always
	@mkdir -p $(@D)
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
BUILD_DEPS := gcc libc6-dev pkg-config $(if $(call found,libcurl),,libcurl4-openssl-dev) $(LUA_PACKAGES_$(LUA_VERSION))
RUN_DEPS := ca-certificates lua-cjson lua-cqueues lua-luaossl
TEST_DEPS := curl lua-busted lua-argparse lua-socket lua-copas lua-luv luarocks lua-dbi-sqlite3 lua-dbi-postgresql \
	nginx $(if $(ORIGINAL_LUAJIT),,libnginx-mod-http-lua) ffmpeg openssl lua-filesystem \
	postgresql
LINT_DEPS := lua5.1 lua-check clang-format clang-tidy cppcheck
MEMORY_DEPS := valgrind
HOST_DEPS := love mpv neovim darktable xvfb xauth
HOST_VERSIONS := 5.2 5.4 jit
BENCH_DEPS := nginx-light valgrind lua-http lua-socket

# $(call need,packages): quick when nothing is missing; package lists are fetched only when apt cannot do without.
define need
	@[ -z '$(NODEPS)' ] || exit 0; \
	command -v dpkg-query >/dev/null && command -v apt-get >/dev/null || { \
	  echo "No Debian here, so nothing was installed. Bring what Debian calls"; echo "  $(strip $(1))"; \
	  echo "and run make again with NODEPS=1."; exit 1; } >&2; \
	here=$$(dpkg-query -W -f '$${db:Status-Status} $${Package}\n' $(1) 2>/dev/null | sed -n 's/^installed //p'); \
	missing=; for name in $(1); do \
	  printf '%s\n' "$$here" | grep -qxF "$$name" || missing="$$missing $$name"; done; \
	[ -n "$$missing" ] || exit 0; \
	if [ "$$(id -u)" = 0 ]; then root=; elif command -v sudo >/dev/null; then root=sudo; \
	else echo "Neither root nor sudo here. As root: apt-get install$$missing" >&2; exit 1; fi; \
	echo "installing:$$missing"; \
	apt="$$root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600"; \
	get="$$apt install -y --no-install-recommends$$missing"; \
	apt-get -s -q install$$missing >/dev/null 2>&1 || $$apt update; \
	$$get </dev/null >/dev/null || { $$apt update && $$get </dev/null >/dev/null; }
endef

.PHONY: deps demo-deps lint-deps memory-deps bench-deps hosts-deps test-all-deps
deps:
	$(call need,$(BUILD_DEPS) $(RUN_DEPS) $(TEST_DEPS))
demo-deps:
	$(call need,$(BUILD_DEPS) $(RUN_DEPS))
lint-deps:
	$(call need,$(BUILD_DEPS) $(LINT_DEPS))
memory-deps:
	$(call need,$(BUILD_DEPS) $(RUN_DEPS) $(TEST_DEPS) $(MEMORY_DEPS))
bench-deps:
	$(call need,$(BUILD_DEPS) $(RUN_DEPS) $(BENCH_DEPS))
hosts-deps:
	$(call need,$(sort $(BUILD_DEPS) $(foreach v,$(HOST_VERSIONS),$(LUA_PACKAGES_$(v)))) $(RUN_DEPS) $(TEST_DEPS) $(HOST_DEPS))
test-all-deps:
	$(call need,$(sort $(BUILD_DEPS) $(foreach v,$(VERSIONS),$(LUA_PACKAGES_$(v)))) $(RUN_DEPS) $(TEST_DEPS))

# ---- running ---------------------------------------------------------------------------------------------------------

# What a Lua started here, and every process it starts, finds: this checkout first, then what the system has.
# LUA_PATH_5_x would win over LUA_PATH.
RUN = env -u LUA_PATH_5_2 -u LUA_PATH_5_3 -u LUA_PATH_5_4 -u LUA_CPATH_5_2 -u LUA_CPATH_5_3 -u LUA_CPATH_5_4 \
	LUA_PATH='$(CURDIR)/lua/?.lua;$(CURDIR)/lua/?/init.lua;;' LUA_CPATH='$(CURDIR)/$(BUILD)/?.so;;' \
	VEO_BUILD='$(CURDIR)/$(BUILD)' VEO_SIMULATOR_LUA='$(LUA)'
BUSTED ?= /usr/bin/busted
BUSTED_ARGS ?=
SPECS ?= spec

# The sub-make: what pkg-config says is read when make starts, so after the packages are there.
.PHONY: demo test test-all test-hosts
demo: demo-deps
	@$(MAKE) --no-print-directory build
	@$(RUN) VEO_SIMULATE=1 $(LUA) examples/extend.lua demo.mp4

test: deps
	@$(MAKE) --no-print-directory build $(BUILD)/native.so
	@echo "busted under $(LUA): $(SPECS)"
	@$(RUN) $(LUA) $(BUSTED) $(BUSTED_ARGS) $(SPECS)

test-all: test-all-deps
	@failed=; for version in $(VERSIONS); do echo "== Lua $$version"; \
	  $(MAKE) --no-print-directory test LUA_VERSION=$$version || failed="$$failed $$version"; done; \
	[ -z "$$failed" ] || { echo "failed under:$$failed"; exit 1; }

.PHONY: crash
crash: deps
	@$(MAKE) --no-print-directory build
	@$(RUN) LUA_PATH='$(CURDIR)/lua/?.lua;$(CURDIR)/lua/?/init.lua;$(CURDIR)/?.lua;;' $(LUA) spec/crash/run.lua $(CRASH_ARGS)

test-hosts: hosts-deps
	@for version in $(HOST_VERSIONS); do $(MAKE) --no-print-directory build LUA_VERSION=$$version || exit 1; done
	@echo "busted under $(LUA): spec/hosts/hosts.lua"
	@$(RUN) $(LUA) $(BUSTED) $(BUSTED_ARGS) spec/hosts/hosts.lua

.PHONY: bench
bench: bench-deps
	@$(MAKE) --no-print-directory build $(BUILD)/native.so
	@if [ -x spec/bench/run ]; then $(RUN) spec/bench/run $(BENCH_ARGS); else echo "spec/bench/run is not here yet"; exit 1; fi

# ---- checking --------------------------------------------------------------------------------------------------------

JOBS ?= $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
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

lint-tidy:
	@# Its stderr only counts the warnings it does not show.
	@echo clang-tidy $(LINTED); $(call EACH,$(LINTED)) sh -c 'clang-tidy --quiet "$$0" -- $(COMPILE_FOR_LINT) \
	  2>/dev/null || { echo "clang-tidy failed on $$0"; exit 1; }'

lint-cppcheck:
	cppcheck $(CPPCHECK) $(LINTED)

# Lua's headers do not say that these never return; without it the analyzer walks on past every raised error.
RAISES := $(foreach name,lua_error luaL_error luaL_argerror,\
	"-D$(name)(...)=($(name)(__VA_ARGS__),__builtin_unreachable(),0)")
COMPILE_FOR_LINT = $(wordlist 2,$(words $(COMPILE)),$(COMPILE)) $(RAISES)
# Suppressed: the system's headers are not ours to judge; a callback's parameters have libcurl's types (clang-tidy's
# readability-non-const-parameter sees the other functions); shadowing is gcc's, cppcheck 2.10 takes `close(*fds[i])`
# for a declaration; locals stand at the top of a function, as in curl.
CPPCHECK := --quiet --std=c99 --language=c --error-exitcode=1 --inline-suppr -j $(JOBS) \
	--enable=warning,style,performance,portability --suppress=missingIncludeSystem --suppress=constParameter \
	--suppress=constParameterCallback --suppress=shadowVariable --suppress=variableScope

format: lint-deps
	clang-format -i $(C_FILES)

# One symbol leaves the module; everything else is ours alone.
.PHONY: check-exports
check-exports: build
	@names="$$(nm -D --defined-only $(CORE) | awk '{ print $$3 }')"; [ "$$names" = luaopen_veo_core ] || { \
	  echo "exported, but only luaopen_veo_core may be:" $$names; exit 1; }

# Pure Lua has no memory of ours to check; what asserts seconds (tag #timing) would fail at a thirtieth of the speed.
# Nor has what only starts other processes: the simulator's own specs, the example's.
PURE_SPECS := spec/wire%.lua spec/ledger%.lua spec/simulator%.lua $(patsubst %,spec/%_spec.lua,errors retry limiter \
	timers options layout examples cli budget chain crash duplicates resume settle)
MEMORY_SPECS ?= $(filter-out $(PURE_SPECS),$(wildcard spec/*_spec.lua spec/*/*_spec.lua))
MEMORY_ARGS ?= --exclude-tags=timing
SANITIZE := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
VALGRIND ?= valgrind --quiet --leak-check=full --errors-for-leak-kinds=definite --show-leak-kinds=definite \
	--keep-debuginfo=yes --num-callers=30 --error-exitcode=99 --suppressions=spec/support/valgrind.supp
.PHONY: check-memory check-asan check-valgrind
check-memory: memory-deps
	@$(MAKE) --no-print-directory -k check-asan check-valgrind

# .busted puts VEO_BUILD in front, so the specs' own process runs the checked core and what they start the ordinary one.
check-asan: build
	@$(MAKE) --no-print-directory build build/asan/native.so build/asan/preload.so BUILD=build/asan CFLAGS='$(SANITIZE)'
	@echo "busted under $(LUA), ASAN and UBSAN: $(MEMORY_SPECS)"
	@$(RUN) VEO_BUILD='$(CURDIR)/build/asan' \
	  LD_PRELOAD="$$($(CC) -print-file-name=libasan.so) $(CURDIR)/build/asan/preload.so" \
	  ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 UBSAN_OPTIONS=print_stacktrace=1 \
	  LSAN_OPTIONS=suppressions=$(CURDIR)/spec/support/lsan.supp:print_suppressions=0 \
	  $(LUA) $(BUSTED) $(MEMORY_ARGS) $(MEMORY_SPECS)

build/asan/preload.so: spec/support/preload.c
	@mkdir -p $(@D)
	$(call say,$<,$(CC) -std=gnu99 -shared -fPIC -o $@ $<)

check-valgrind: build $(BUILD)/native.so
	@echo "busted under $(LUA) and valgrind: $(MEMORY_SPECS)"
	@$(RUN) $(VALGRIND) $(LUA) $(BUSTED) $(MEMORY_ARGS) $(MEMORY_SPECS)

# ---- installing ------------------------------------------------------------------------------------------------------

# `bin/veo` finds its modules by itself where Lua would not look (LuaRocks' own wrapper does not with --deps-mode=none).
# The version is asked of the Lua that runs it, because LuaRocks does not tell us which it builds for.
define SCRIPT
#!$(if $(findstring /,$(LUA)),$(LUA),/usr/bin/env $(LUA))
$(if $(filter /usr /usr/local,$(abspath $(PREFIX))),,$(SCRIPT_PATHS)
)require "veo.main"
endef
define SCRIPT_PATHS
local here, version = "$(abspath $(PREFIX))", _VERSION:match("%d+%.%d+")
local modules = here .. "/share/lua/" .. version
package.path = modules .. "/?.lua;" .. modules .. "/?/init.lua;" .. package.path
package.cpath = here .. "/lib/lua/" .. version .. "/?.so;" .. package.cpath
endef
export SCRIPT
LUADIR ?= $(PREFIX)/share/lua/$(LUA_ABI)
LIBDIR ?= $(PREFIX)/lib/lua/$(LUA_ABI)
BINDIR ?= $(PREFIX)/bin
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
	@printf '%s\n' "$$SCRIPT" > "$(DESTDIR)$(BINDIR)/veo"
	@chmod 755 "$(DESTDIR)$(BINDIR)/veo"
endif

uninstall:
	@for file in $(SHARED_FILES); do rm -f "$(DESTDIR)$(LUADIR)/$$file"; done
	@[ ! -d "$(DESTDIR)$(LUADIR)/veo" ] || find "$(DESTDIR)$(LUADIR)/veo" -depth -type d -exec rmdir {} \; 2>/dev/null || :
	rm -f "$(DESTDIR)$(LIBDIR)/veo/core.so" "$(DESTDIR)$(BINDIR)/veo"
	@[ ! -d "$(DESTDIR)$(LIBDIR)/veo" ] || rmdir "$(DESTDIR)$(LIBDIR)/veo" 2>/dev/null || :

clean:
	rm -rf build demo.mp4 demo.mp4.part*

# Pogoline. `make` builds, `make demo` shows, `make test` proves, `make deps` installs what is missing.
# SAN=1 builds with address and undefined-behaviour sanitizers under build/san.

CC       ?= cc
PREFIX   ?= /usr/local
SAN      ?=
BUILD    ?= build$(if $(SAN),/san)
V        ?=
Q        := $(if $(V),,@)

CFLAGS   ?= -O2 -g
std      := -std=c11 -D_GNU_SOURCE
warn     := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla -Wformat=2
# gcc counts every snprintf into a fixed field as a mistake; cutting there is meant.
warn     += $(shell $(CC) --version 2>/dev/null | grep -qi clang || echo -Wno-format-truncation)
harden   := -fstack-protector-strong -fPIE -fno-common -U_FORTIFY_SOURCE $(if $(SAN),,-D_FORTIFY_SOURCE=2)
comma    := ,
san      := $(if $(SAN),-fsanitize=address$(comma)undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
includes := -I. -I$(BUILD)/gen $(shell pkg-config --cflags libusb-1.0 2>/dev/null || echo -I/usr/include/libusb-1.0)
defines  := -DPOGO_DATADIR='"$(PREFIX)/share/pogoline"'
all_cflags  = $(std) $(warn) $(harden) $(san) $(includes) $(defines) -pthread $(CFLAGS) $(CPPFLAGS)
all_ldflags = -pie -Wl,-z,relro,-z,now $(san) -pthread $(LDFLAGS)

# A folder is a room: every .c in it belongs to its library, but for the file with main().
hex_main     := hextools/pogo_hex.c
db_main      := db/pogo_yield.c
station_main := station/pogo_station.c
bench_main   := fixtures/bench/pogo_bench.c
# Three libraries are worth having and not worth failing for: without them pogo-hex says so when asked.
have_elf     := $(shell pkg-config --exists libelf 2>/dev/null && echo yes)
have_jansson := $(shell pkg-config --exists jansson 2>/dev/null && echo yes)
# Debian's package has its pkg-config file, others only the header.
have_simavr  := $(shell pkg-config --exists simavr 2>/dev/null && echo yes || test ! -e /usr/include/simavr/sim_avr.h || echo yes)
hex_skip     := $(hex_main) $(if $(have_simavr),,hextools/boot.c) $(if $(have_elf),,hextools/elf.c) $(if $(have_jansson),,hextools/qmk.c hextools/qmk_json.c)
hex_src      := $(filter-out $(hex_skip),$(wildcard hextools/*.c)) \
		$(if $(have_simavr),,hextools/without/boot.c) $(if $(have_elf),,hextools/without/elf.c) $(if $(have_jansson),,hextools/without/qmk.c)
hex_libs     := -lconfig $(if $(have_simavr),-lsimavr -lelf) $(if $(have_elf),-lelf) $(if $(have_jansson),-ljansson)
db_src       := $(filter-out $(db_main),$(wildcard db/*.c))
station_src  := $(filter-out $(station_main),$(wildcard station/*.c station/*/*.c))
# The core of the bench's STM32 is Unicorn's; without it such a board cannot be set.
have_unicorn := $(shell pkg-config --exists unicorn 2>/dev/null && echo yes)
bench_src    := $(filter-out $(bench_main) $(if $(have_unicorn),,fixtures/bench/stm32_core.c),$(wildcard fixtures/bench/*.c)) \
		$(if $(have_unicorn),,fixtures/bench/without/stm32_core.c)
bench_libs   := $(if $(have_unicorn),-lunicorn)
schema       := $(sort $(wildcard db/[0-9][0-9][0-9][0-9]_*.sql))

obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
libhex     := $(BUILD)/libpogohex.a
libdb      := $(BUILD)/libpogodb.a
libstation := $(BUILD)/libpogostation.a
libbench   := $(BUILD)/libpogobench.a

programs := $(BUILD)/pogo-hex $(BUILD)/pogo-yield $(BUILD)/pogo-station $(BUILD)/pogo-bench

.PHONY: all clean demo test check perf lint deps deps-build deps-test deps-lint install format
.DELETE_ON_ERROR:
all: $(programs)

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(if $(Q),@echo "  CC    $<")
	$(Q)$(CC) $(all_cflags) -MMD -MP -c -o $@ $<

$(libhex): $(call obj,$(hex_src))
$(libdb): $(call obj,$(db_src))
$(libstation): $(call obj,$(station_src))
$(libbench): $(call obj,$(bench_src))
$(libhex) $(libdb) $(libstation) $(libbench):
	@rm -f $@
	$(if $(Q),@echo "  AR    $@")
	$(Q)ar rcs $@ $^

# The schema steps, compiled in: one string per numbered file.
$(BUILD)/gen/schema_steps.h: $(schema)
	@mkdir -p $(@D)
	@for f in $^; do n=$$(basename $$f .sql); \
	  printf '{ %d, "%s",\n' "$$(echo $$n | sed 's/^0*\([0-9]*\)_.*/\1/')" "$$n"; \
	  sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/\t"/' -e 's/$$/\\n"/' $$f; echo '},'; done > $@
$(call obj,$(db_src)): $(BUILD)/gen/schema_steps.h

$(BUILD)/pogo-hex: $(call obj,$(hex_main)) $(libhex)
$(BUILD)/pogo-hex: libs = $(hex_libs)
$(BUILD)/pogo-yield: $(call obj,$(db_main)) $(libdb)
$(BUILD)/pogo-yield: libs = -lsqlite3 -lm
$(BUILD)/pogo-station: $(call obj,$(station_main)) $(libstation) $(libdb) $(libhex)
$(BUILD)/pogo-station: libs = -lusb-1.0 -lsqlite3 -lconfig -lncursesw -lm
$(BUILD)/pogo-bench: $(call obj,$(bench_main)) $(libbench) $(libhex)
$(BUILD)/pogo-bench: libs = -lconfig $(bench_libs) -lm
$(programs):
	$(if $(Q),@echo "  LD    $@")
	$(Q)$(CC) $(all_ldflags) -o $@ $^ $(libs)

# ---- tests -------------------------------------------------------------------------------------------
# tests/unit/test_X.c is one cmocka program, linked with every room.
unit_tests := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/test_*.c))
$(BUILD)/tests/unit/%: $(BUILD)/obj/tests/unit/%.o $(libbench) $(libstation) $(libdb) $(libhex)
	@mkdir -p $(@D)
	$(if $(Q),@echo "  LD    $@")
	$(Q)$(CC) $(all_ldflags) -o $@ $^ -lcmocka $(bench_libs) -lusb-1.0 -lsqlite3 -lncursesw $(hex_libs) -lm

# A judge that shares nothing with the bench but the format of its state file.
$(BUILD)/tests/bench/judge: $(BUILD)/obj/tests/bench/judge.o $(libhex)
	@mkdir -p $(@D)
	$(if $(Q),@echo "  LD    $@")
	$(Q)$(CC) $(all_ldflags) -o $@ $^ -lconfig -lelf -ljansson

# Other people's firmware under simavr, with the bench's chips on its pins.
$(BUILD)/tests/peers/arduinoisp: $(BUILD)/obj/tests/peers/arduinoisp.o $(libbench) $(libhex)
	@mkdir -p $(@D)
	$(if $(Q),@echo "  LD    $@")
	$(Q)$(CC) $(all_ldflags) -o $@ $^ $(bench_libs) $(hex_libs) -lm

# The library alone, beside what it is measured against.
$(BUILD)/tests/perf/speed: $(BUILD)/obj/tests/perf/speed.o $(libhex)
	@mkdir -p $(@D)
	$(if $(Q),@echo "  LD    $@")
	$(Q)$(CC) $(all_ldflags) -o $@ $^ -lconfig -lelf -ljansson

test_programs := $(unit_tests) $(BUILD)/tests/bench/judge $(BUILD)/tests/perf/speed $(if $(have_simavr),$(BUILD)/tests/peers/arduinoisp)

# Each target first sees to the packages it needs; the script does nothing when all are there.
deps:
	@tests/deps.sh build test lint
deps-build:
	@tests/deps.sh build
deps-test:
	@tests/deps.sh build test
deps-lint:
	@tests/deps.sh build test lint

demo: deps-build
	@$(MAKE) --no-print-directory all
	@BUILD=$(BUILD) fixtures/demo.sh

# Everything: unit, bench, packaging, the emulated machine with its real USB stack, other people's clients.
test: deps-test
	@$(MAKE) --no-print-directory -j2 all $(test_programs)
	@BUILD=$(BUILD) tests/run.sh unit bench packaging usb peers

# The quick part.
check: deps-test
	@$(MAKE) --no-print-directory -j2 all $(test_programs)
	@BUILD=$(BUILD) tests/run.sh unit smoke

perf: deps-test
	@$(MAKE) --no-print-directory -j2 all $(test_programs)
	@BUILD=$(BUILD) tests/run.sh perf

lint: deps-lint $(BUILD)/gen/schema_steps.h
	@FLAGS='$(std) $(filter-out -Wno-format-truncation,$(warn)) $(includes) -DPOGO_DATADIR=""' tests/lint.sh

format:
	clang-format -i $$(git ls-files '*.c' '*.h')

clean:
	rm -rf build

.SECONDARY:
-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)

# ---- install and package -----------------------------------------------------------------------------
# PREFIX says where, DESTDIR goes in front of it when a package is made. Set them already when compiling:
# the programs look for their configs under PREFIX.
BINDIR   ?= $(PREFIX)/bin
DATADIR  ?= $(PREFIX)/share
LIBDIR   ?= $(PREFIX)/lib
UDEVDIR  ?= /lib/udev
BASHDIR  ?= $(DATADIR)/bash-completion/completions
ZSHDIR   ?= $(DATADIR)/zsh/site-functions

version   := $(shell sed -n 's/^.define POGO_VERSION "\(.*\)"/\1/p' hextools/version.h)
man1      := hextools/pogo-hex.1 station/pogo-station.1 db/pogo-yield.1 fixtures/bench/pogo-bench.1
man5      := $(wildcard configs/*.5)
conf_dirs := $(filter-out udev completion deb,$(notdir $(patsubst %/,%,$(wildcard configs/*/))))
bash_cmds := $(notdir $(programs))

# The library for others: all of hextools but its commands (and what only they need: the simulator). The words of a command line are read by
# options.c, which releases use for numbers; its header is nobody else's business.
lib_src  := $(filter-out hextools/cmd_%.c hextools/commands.c hextools/boot.c hextools/without/boot.c,$(hex_src))
lib_hdr  := $(filter-out hextools/cmd_%.h hextools/commands.h hextools/boot.h hextools/options.h,$(wildcard hextools/*.h))
lib_file := $(BUILD)/lib/libpogohex.a
lib_pc   := $(BUILD)/lib/pogohex.pc
lib_requires := libconfig $(if $(shell grep -l '<libelf' $(lib_src)),libelf) \
  $(if $(shell grep -l '<jansson' $(lib_src)),jansson)

.PHONY: install-programs install-library uninstall deb library
library: $(lib_file) $(lib_pc)
$(lib_file): $(call obj,$(lib_src)) Makefile
	@mkdir -p $(@D)
	@rm -f $@
	$(if $(Q),@echo "  AR    $@")
	$(Q)ar rcsD $@ $(filter %.o,$^)

# Remembers the PREFIX, and is newer than what was compiled when that changes.
$(BUILD)/gen/prefix: FORCE
	@mkdir -p $(@D)
	@echo '$(PREFIX) $(LIBDIR)' | cmp -s - $@ || echo '$(PREFIX) $(LIBDIR)' >$@
$(call obj,hextools/conf.c): $(BUILD)/gen/prefix
FORCE:

$(lib_pc): hextools/pogohex.pc.in hextools/version.h Makefile $(BUILD)/gen/prefix
	@mkdir -p $(@D)
	$(Q)sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(patsubst $(PREFIX)/%,$${prefix}/%,$(LIBDIR))|' \
	  -e 's|@VERSION@|$(version)|' -e 's|@REQUIRES@|$(strip $(lib_requires))|' $< >$@

install: install-programs install-library

install-programs: all
	install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(DATADIR)/man/man1 $(DESTDIR)$(DATADIR)/man/man5 \
	  $(DESTDIR)$(BASHDIR) $(DESTDIR)$(ZSHDIR) $(DESTDIR)$(UDEVDIR)/rules.d
	install $(programs) $(DESTDIR)$(BINDIR)
	install -m 644 $(man1) $(DESTDIR)$(DATADIR)/man/man1
	install -m 644 $(man5) $(DESTDIR)$(DATADIR)/man/man5
	set -e; for dir in $(conf_dirs); do \
	  install -d $(DESTDIR)$(PREFIX)/share/pogoline/configs/$$dir; \
	  install -m 644 configs/$$dir/* $(DESTDIR)$(PREFIX)/share/pogoline/configs/$$dir; done
	install -m 644 configs/completion/pogoline.bash $(DESTDIR)$(BASHDIR)/pogo-hex
	set -e; for name in $(filter-out pogo-hex,$(bash_cmds)); do \
	  ln -sf pogo-hex $(DESTDIR)$(BASHDIR)/$$name; done
	install -m 644 configs/completion/_pogoline $(DESTDIR)$(ZSHDIR)/
	install -m 644 configs/udev/60-pogoline.rules $(DESTDIR)$(UDEVDIR)/rules.d/

install-library: library
	install -d $(DESTDIR)$(PREFIX)/include/pogoline/hextools $(DESTDIR)$(LIBDIR)/pkgconfig
	install -m 644 $(lib_hdr) $(DESTDIR)$(PREFIX)/include/pogoline/hextools
	install -m 644 $(lib_file) $(DESTDIR)$(LIBDIR)
	install -m 644 $(lib_pc) $(DESTDIR)$(LIBDIR)/pkgconfig

# Takes away what install put there, and the two folders that are Pogoline's own.
uninstall:
	rm -f $(addprefix $(DESTDIR)$(BINDIR)/,$(bash_cmds)) \
	  $(addprefix $(DESTDIR)$(DATADIR)/man/man1/,$(notdir $(man1))) \
	  $(addprefix $(DESTDIR)$(DATADIR)/man/man5/,$(notdir $(man5))) \
	  $(addprefix $(DESTDIR)$(BASHDIR)/,$(bash_cmds)) $(DESTDIR)$(ZSHDIR)/_pogoline \
	  $(DESTDIR)$(UDEVDIR)/rules.d/60-pogoline.rules \
	  $(DESTDIR)$(LIBDIR)/libpogohex.a $(DESTDIR)$(LIBDIR)/pkgconfig/pogohex.pc
	rm -rf $(DESTDIR)$(PREFIX)/share/pogoline $(DESTDIR)$(PREFIX)/include/pogoline

# pogoline_VERSION_ARCH.deb and libpogohex-dev_VERSION_ARCH.deb in $(BUILD), compiled for /usr by themselves.
deb: deps-build
	@MAKE='$(MAKE)' OUT=$(BUILD) VERSION=$(version) REQUIRES='$(strip $(lib_requires))' configs/deb/build.sh

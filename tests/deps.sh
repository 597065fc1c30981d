#!/usr/bin/env bash
# deps.sh GROUP…: sees to the packages of these groups (build, test, lint). Says what is missing and
# why, installs it with apt (sudo when not root), does nothing when all is there.
set -euo pipefail

# Not here: packages that a test only downloads and unpacks, a kernel (tests/usb/machine.sh) and the Arduino IDE with
# its sketches (tests/peers/test_arduinoisp.sh).
#
# group, probe, Debian/Ubuntu package, why. A probe is cmd:PROGRAM, pc:PKG-CONFIG-NAME or file:PATH.
table='
build cmd:cc            gcc               compiles everything
build cmd:pkg-config    pkg-config        finds libraries
build pc:libusb-1.0     libusb-1.0-0-dev  talks to USB programmers
build pc:sqlite3        libsqlite3-dev    the production log
build pc:libconfig      libconfig-dev     parts, recipes, station files
build pc:ncursesw       libncurses-dev    the terminal view
build pc:libelf         libelf-dev        reads ELF files
build pc:jansson        libjansson-dev    reads QMK keyboard files
build file:/usr/include/simavr/sim_avr.h libsimavr-dev  runs images on a simulated chip
build pc:unicorn         libunicorn-dev    the core of the virtual STM32 boards
test  pc:cmocka         libcmocka-dev     unit tests
test  cmd:jq            jq                tests read JSON
test  cmd:xxd           xxd               tests turn hex digits into bytes
test  cmd:sqlite3       sqlite3           tests look into the log
test  cmd:tmux          tmux              tests look at the terminal view
test  cmd:avrdude       avrdude           another client, against the same bench
test  cmd:st-flash      stlink-tools      another client, on the virtual ST-Link
test  cmd:openocd       openocd           another client, on the virtual ST-Link
test  cmd:usbip         usbip|linux-tools-generic  attaches the bench to a real kernel
test  cmd:qemu-system-x86_64 qemu-system-x86  the emulated machine with a USB stack
test  cmd:busybox       busybox-static    starts the emulated machine
test  cmd:modprobe      kmod              orders its kernel modules
test  file:/lib/systemd/systemd-udevd udev  applies the udev rules in it
test  cmd:ip            iproute2          its loopback network
test  cmd:setpriv       util-linux        runs the station there as a plain user
test  cmd:xz            xz-utils          unpacks kernel modules
test  cmd:mandoc        mandoc            checks the man pages
test  cmd:man           man-db            checks them as groff sees them
test  cmd:groff         groff-base        (with it)
test  cmd:zsh           zsh               tests its completion
test  cmd:lintian       lintian           judges the Debian packages
test  cmd:dpkg-shlibdeps dpkg-dev         finds what the packages depend on
test  cmd:srec_cat      srecord           another tool, on the same images
test  cmd:objcopy       binutils          another tool, on the same images
test  file:/usr/lib/python3/dist-packages/intelhex/__init__.py python3-intelhex  another tool, on the same images
test  cmd:avr-gcc       gcc-avr           makes applications for real bootloaders
test  file:/usr/lib/avr/include/avr/io.h avr-libc  (with it)
test  cmd:avr-objcopy   binutils-avr      (with it)
test  file:/usr/share/arduino/hardware/arduino/avr/bootloaders/atmega/ATmegaBOOT_168_atmega328.hex arduino-core-avr  real bootloaders
test  cmd:arm-none-eabi-as binutils-arm-none-eabi  builds the loader of the STM32 again
test  cmd:arm-none-eabi-gcc gcc-arm-none-eabi  makes a bootloader and an application for an STM32
lint  cmd:clang         clang             the second compiler
lint  cmd:clang-tidy    clang-tidy        static analysis
lint  cmd:cppcheck      cppcheck          static analysis
'

PATH=$PATH:/usr/sbin:/sbin

present() {
  case $1 in
  cmd:*) command -v "${1#cmd:}" >/dev/null 2>&1 ;;
  pc:*) command -v pkg-config >/dev/null 2>&1 && pkg-config --exists "${1#pc:}" ;;
  file:*) [ -e "${1#file:}" ] ;;
  esac
}

missing=()
report=""
while read -r group probe package why; do
  [[ " $* " == *" $group "* ]] || continue
  present "$probe" && continue
  missing+=("$package")
  report+=$(printf '  %-28s %s' "${package%%|*}" "$why")$'\n'
done < <(sed '/^$/d' <<<"$table")

[ ${#missing[@]} -eq 0 ] && exit 0

echo "Pogoline needs these packages:" >&2
printf '%s' "$report" >&2
if ! command -v apt-get >/dev/null 2>&1; then
  echo "This system has no apt: install what your distribution calls them, then run the same command again." >&2
  exit 3
fi
root=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null 2>&1 || { echo "Neither root nor sudo: ask your administrator to install them." >&2; exit 3; }
  root=(sudo)
fi
export DEBIAN_FRONTEND=noninteractive
"${root[@]}" apt-get update -qq >&2
wanted=()
for names in "${missing[@]}"; do # "a|b": the first name that this distribution can install
  IFS='|' read -ra candidates <<<"$names"
  for name in "${candidates[@]}"; do
    if [ "$(apt-cache policy "$name" 2>/dev/null | sed -n 's/^ *Candidate: //p')" != "(none)" ] &&
      [ -n "$(apt-cache policy "$name" 2>/dev/null)" ]; then
      wanted+=("$name")
      break
    fi
  done
done
"${root[@]}" apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null ||
  { echo "apt-get could not install: ${wanted[*]}" >&2; exit 3; }
echo "Installed: ${wanted[*]}" >&2

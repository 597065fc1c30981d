#!/bin/sh
# stm32f1_loader.sh: assembles stm32f1_loader.S and prints stm32f1_loader.inc. Needs binutils-arm-none-eabi.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
arm-none-eabi-as -o "$work/loader.o" stm32f1_loader.S
arm-none-eabi-objcopy -O binary -j .text "$work/loader.o" "$work/loader.bin"
echo "/* Made by stm32f1_loader.sh from stm32f1_loader.S. */"
arm-none-eabi-nm "$work/loader.o" | sed -n 's/^0*\([0-9a-f]*\) t \(program\|crc\)$/enum { LOADER_\U\2\E = 0x\1 };/p' | sort -r |
  sed 's/= 0x }/= 0x0 }/'
echo "static const uint8_t loader[] = {"
od -An -v -tx1 -w16 "$work/loader.bin" | sed 's/ \([0-9a-f][0-9a-f]\)/0x\1, /g; s/ $//; s/^/\t/'
echo "};"

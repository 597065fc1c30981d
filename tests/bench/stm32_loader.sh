#!/usr/bin/env bash
# The loader that runs in an STM32's SRAM: what is checked in is what its source gives.
cd "$(dirname "$0")/../.." || exit 2
source tests/lib/line.sh

made=$(station/chip/stm32f1_loader.sh) || made="it cannot be built"
check_eq "the loader's bytes are those of its source" "$made" "$(cat station/chip/stm32f1_loader.inc)"
finish

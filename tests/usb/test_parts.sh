#!/usr/bin/env bash
# Every USB programmer x every AVR part through a real Linux USB stack, in an emulated machine.
cd "$(dirname "$0")/../.." && MACHINE_SECONDS=1200 exec tests/usb/machine.sh run tests/usb/guest_parts.sh

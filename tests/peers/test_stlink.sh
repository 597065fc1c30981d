#!/usr/bin/env bash
# Debian's st-info, st-flash and OpenOCD on virtual ST-Links, through a real kernel, and the station beside them.
cd "$(dirname "$0")/../.." && MACHINE_SECONDS=600 exec tests/usb/machine.sh run tests/peers/guest_stlink.sh

#!/usr/bin/env bash
# Debian's avrdude against the same virtual USBtiny, through a real kernel.
cd "$(dirname "$0")/../.." && MACHINE_SECONDS=900 exec tests/usb/machine.sh run tests/peers/guest_usbtiny.sh

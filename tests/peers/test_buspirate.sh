#!/usr/bin/env bash
# Debian's avrdude on a virtual Bus Pirate: on the bench's own terminal, and through a real kernel's ftdi_sio.
cd "$(dirname "$0")/../.." && bash tests/peers/guest_buspirate.sh pty
status=$?
MACHINE_SECONDS=600 tests/usb/machine.sh run tests/peers/guest_buspirate.sh ftdi && exit $status

#!/usr/bin/env bash
# pogo-station on the ttys of a real kernel (cdc-acm, ftdi_sio), as a plain user with the project's udev rules.
cd "$(dirname "$0")/../.." && MACHINE_SECONDS=900 exec tests/usb/machine.sh run tests/usb/guest_serial.sh

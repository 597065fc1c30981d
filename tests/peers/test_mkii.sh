#!/usr/bin/env bash
# Debian's avrdude on virtual AVRISP mkII programmers, through a real kernel.
cd "$(dirname "$0")/../.." && MACHINE_SECONDS=900 exec tests/usb/machine.sh run tests/peers/guest_mkii.sh

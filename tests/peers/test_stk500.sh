#!/usr/bin/env bash
# Debian's avrdude on virtual boards with the ArduinoISP sketch, through a real kernel's cdc_acm.
cd "$(dirname "$0")/../.." && MACHINE_SECONDS=900 exec tests/usb/machine.sh run tests/peers/guest_stk500.sh

#!/usr/bin/env bash
# pogo-station through libusb, usbfs and a real kernel, as a plain user with the project's udev rules.
cd "$(dirname "$0")/../.." && exec tests/usb/machine.sh run tests/usb/guest_station.sh

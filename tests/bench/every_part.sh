#!/usr/bin/env bash
# One board of every AVR in configs/parts on a USBasp, with its factory fuses and three quarters of its flash full.
cd "$(dirname "$0")/../.." && . tests/lib/line.sh && . tests/lib/parts.sh
every_part usbasp
finish

# floor.awk: the least time in which a programmer's firmware lets one board be done: erase, all bytes written, all bytes
# read back, fuses; with the arithmetic. Input, one a line: "MODEL ARGUMENTS"; variables: bytes, page, flash_us, erase_us,
# fuse_us (of the part). Output: the terms, indented, then "FLOOR ms".
#
#   usbasp HZ FUSES ENTRIES    firmware 2011-05-28, a hardware SCK
#   usbtiny PERIOD FUSES ENTRIES   firmware 1.06
#   mkii HZ FUSES ENTRIES
#   sketch HZ FUSES ENTRIES BAUD   ArduinoISP 1.18; BAUD 0 = native USB, whose bytes cost nothing beside SPI
#   pirate HZ FUSES ENTRIES        Bus Pirate v3 at 115200 baud
#
# FUSES = fuse bytes that must be written, ENTRIES = entries to programming mode, each 20 ms by the data sheets.
#
# Low speed. Times of the firmware as measured cycle by cycle on the shipped binaries ("S" there: the shortest pause after
# which the next packet is not NAKed), host with N = 3 transactions at the start of each 1 ms frame, as avrdude on a Linux
# kernel was measured with. A packet of 8 bytes with its handshake takes 115 us; each look that comes too early is NAKed
# and takes 45 us (IN; hardware SPI goes on meanwhile) or 110 us (OUT) from the work. So packets cost whole frames. SETUP
# and status share frames with data, so the number of transfers does not count. The rule gives the measured pages of 128
# bytes at N = 3: 1.5 MHz 21.4 / 15.9 ms (write / read), 375 kHz 36.7 / 32.0, USBtiny at period 1 32.3 / 31.8.
#
# Full speed (mkii). Per byte four SPI bytes with 1.5 us between them, per message 30 us and 1 us per byte, per packet 13
# bytes of protocol at 12 Mbit/s. The gaps are estimates: no mkII was measured.
#
# Serial. A byte takes ten bit times, one way after the other. The sketch reads a block whole, then works: a page takes its
# instructions and 30 ms behind the commit, an entry 70.1 ms. While it works the 63 bytes of its receive buffer may fill with
# the next block; so on a UART a page a block costs least. Reading, its SPI goes on behind the line. The Bus Pirate has no such
# buffer: a frame of five bytes, the page's instructions and the commit, then its SPI, then one byte back; the page's own time
# passes behind the next frame. It reads in runs of up to 4096 bytes, a byte as fast as the slower of line and SPI.

function frames(work, stolen, wait,    time, n) {
  time = 115 + work + 2 * stolen
  for (n = 1; time + wait > 1000 * n; n++)
    if (time > 1000 * n) time += 3 * stolen
  return n
}

function whole(x) { return int(x) + (int(x) < x) }

function term(text, ms) {
  printf "  %-96s %8.1f ms\n", text, ms
  total += ms
}

function fixed(command_ms, commands) {
  term(sprintf("enter %d x %.1f ms, erase %.1f ms, fuses %d x %.1f ms", entries, enter_ms, erase_us / 1000, fuses, fuse_us / 1000),
    entries * enter_ms + erase_us / 1000 + fuses * fuse_us / 1000)
  commands = 1 + 3 + 3 + 2 * fuses + 2 * entries # erase, signature, fuses read, fuses written and read, entries
  term(sprintf("%d single commands x %.1f ms", commands, command_ms), commands * command_ms)
}

{
  model = $1; fuses = $3; entries = $4; total = 0; enter_ms = 20
  pages = bytes / page; packets = page / 8
}

model == "usbasp" {
  hz = $2; bits = 256e6 / hz # of the 8 instructions that 8 bytes need
  load = frames(285 + bits, 110, 0)
  last = frames(285 + bits, 110, flash_us + 32e6 / hz)
  get = frames(310 + bits, 45 * 310 / (310 + bits), 0)
  term(sprintf("write: %d pages x (%d packets x %d frames + %d frames for the last one and the page's %.1f ms)", pages,
    packets - 1, load, last, flash_us / 1000), pages * ((packets - 1) * load + last))
  term(sprintf("read: %d packets x %d frames", bytes / 8, get), bytes / 8 * get)
  fixed(1)
}

model == "usbtiny" {
  bit = $2 + 1.83
  load = frames(115 + 256 * bit, 110, 0)
  get = frames(140 + 256 * bit, 45, 0)
  # The page's time runs from the end of the commit instruction, early in its frame.
  wait = whole((408 + 40 + 32 * bit + flash_us - 413) / 1000)
  term(sprintf("write: %d pages x (%d packets x %d frames + %d frames from commit to the next SETUP)", pages, packets, load,
    wait), pages * (packets * load + wait))
  term(sprintf("read: %d packets x %d frames", bytes / 8, get), bytes / 8 * get)
  fixed(1)
}

model == "mkii" {
  hz = $2; byte = 32e6 / hz + 6
  head = 30 + (13 + 64) * 2 / 3
  out = 30 + (page + 10) + (page + 10 + 13 * whole((page + 10) / 64)) * 2 / 3
  term(sprintf("write: %d pages x (%d bytes x %.0f us + message %.0f us + commit and its %.1f ms)", pages, page, byte, out,
    flash_us / 1000), pages * (page * byte + out + byte + flash_us) / 1000)
  answer = 34 + (259 + 13 * 5 + 13 + 4) * 2 / 3
  term(sprintf("read: %d messages x (256 bytes x %.0f us + message %.0f us)", bytes / 256, byte, answer),
    bytes / 256 * (256 * byte + answer) / 1000)
  fixed((byte + 2 * head) / 1000)
}

model == "sketch" {
  byte = $2 ? 32e3 / $2 : 0; line = $5 ? 10e3 / $5 : 0; enter_ms = 70.1
  ahead = line ? page + 9 - 63 : 0
  term(sprintf("write: %d pages x (%d bytes x %.3f ms on the line + %d instructions x %.3f ms + 30 ms)", pages, ahead, line,
    page + 1, byte), pages * (ahead * line + (page + 1) * byte + 30))
  get = 258 * line > 256 * byte ? 258 * line : 256 * byte
  term(sprintf("read: %d blocks of 256 bytes x %.1f ms, the slower of line and SPI", bytes / 256, get), bytes / 256 * get)
  fixed(9 * line + byte)
}

model == "pirate" {
  byte = 32e3 / $2; line = 10e3 / 115200
  term(sprintf("write: %d pages x (%d bytes x %.4f ms on the line + %d instructions x %.3f ms)", pages, 4 * page + 10, line,
    page + 1, byte), pages * ((4 * page + 10) * line + (page + 1) * byte))
  get = byte > line ? byte : line
  term(sprintf("read: %d bytes x %.4f ms, the slower of line and SPI", bytes, get), bytes * get)
  fixed(10 * line + byte)
}

{ printf "FLOOR %.0f\n", total }

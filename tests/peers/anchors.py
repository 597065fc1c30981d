#!/usr/bin/env python3
"""Hard inputs, what is right for each, and what the tools make of them.

anchors.py check HEX FOLDER    runs pogo-hex on every case and says "ok CASE" or "FAIL CASE: why"
anchors.py matrix HEX FOLDER   prints the table of pogo-hex and its peers (hextools/peers.md)
"""
import os
import subprocess
import sys

HERE = bytes(range(0x10, 0x50))  # 64 bytes that are easy to know again


def rec(kind, addr, data=b"", length=None):
    body = bytes([len(data) if length is None else length, addr >> 8 & 255, addr & 255, kind]) + data
    return ":" + (body + bytes([-sum(body) & 255])).hex().upper()


def data(addr, raw=HERE, width=16):
    return [rec(0, (addr + i) & 0xFFFF, raw[i:i + width]) for i in range(0, len(raw), width)]


def ela(upper):
    return rec(4, 0, upper.to_bytes(2, "big"))


def seg(base):
    return rec(2, 0, base.to_bytes(2, "big"))


END = rec(1, 0)


def text(lines, end="\n"):
    return (end.join(lines) + end).encode()


def at(addr, raw=HERE):
    return {addr + i: b for i, b in enumerate(raw)}


def sum_off(line):
    return line[:-1] + ("0" if line[-1] != "0" else "1")


P = data(0)
PLAIN = at(0)
J = PLAIN | at(0x100)
# name, input, right (a accept, w warn, r reject: the best first), image, words that a refusal or warning must have
ONE = [
    ("plain-lf", text(P + [END]), "a", PLAIN, ()),
    ("crlf", text(P + [END], "\r\n"), "a", PLAIN, ()),
    ("lower-case", text(P + [END]).lower(), "a", PLAIN, ()),
    ("no-final-newline", text(P + [END])[:-1], "a", PLAIN, ()),
    ("rec32", text(data(0, width=32) + [END]), "a", PLAIN, ()),
    ("rec255", text(data(0, bytes(255), 255) + [END]), "a", at(0, bytes(255)), ()),
    ("unsorted", text(P[::-1] + [END]), "aw", PLAIN, ()),
    ("seg-base-zero", text([seg(0)] + P + [END]), "a", PLAIN, ()),
    ("ela-zero", text([ela(0)] + P + [END]), "a", PLAIN, ()),
    ("seg-1000-high-flash", text([seg(0x1000)] + data(0xE000) + [END]), "a", at(0x1E000), ()),
    ("seg-unaligned", text([seg(0x123)] + data(4) + [END]), "a", at(0x1234), ()),
    ("ela-top-of-4g", text([ela(0xFFFF)] + data(0xFFC0) + [END]), "a", at(0xFFFFFFC0), ()),
    ("avr-eeprom-space", text(P + [ela(0x81)] + P + [END]), "a", PLAIN | at(0x810000), ()),
    ("start05-at-end", text(P + [rec(5, 0, bytes(4))] + [END]), "a", PLAIN, ()),
    ("start05-middle", text(P[:2] + [rec(5, 0, b"\0\0\1\0")] + P[2:] + [END]), "a", PLAIN, ()),
    ("start03-only", text(P + [rec(3, 0, b"\x10\0\x23\x45")] + [END]), "a", PLAIN, ()),
    ("ela-cross64k", text([ela(1)] + data(0xFFF8, HERE[:16]) + [END]), "aw", at(0x1FFF8, HERE[:16]), ()),
    ("end-exactly-64k", text(data(0xFFC0) + [END]), "a", at(0xFFC0), ()),
    ("all-ff", text(data(0, b"\xFF" * 64) + [END]), "a", at(0, b"\xFF" * 64), ()),
    ("zero-length-data", text(P + [rec(0, 0x40)] + [END]), "aw", PLAIN, ()),
    ("gap-4g", text(P + [ela(0xFFFF)] + data(0xFF00) + [END]), "aw", PLAIN | at(0xFFFFFF00), ()),
    ("seg-then-zeroed-then-ela", text([seg(0x1000)] + P + [seg(0), ela(2)] + P + [END]), "aw", at(0x10000) | at(0x20000), ()),
    ("seg-then-ela", text([seg(0x2000)] + P + [ela(1)] + data(0x100) + [END]), "wr", at(0x20000) | at(0x10100), (":6:", "mixed")),
    ("seg-wrap-64k", text([seg(0x1000)] + data(0xFFF8, HERE[:16]) + [END]), "wr", at(0x1FFF8, HERE[:8]) | at(0x10000, HERE[8:16]), (":2:", "64 KiB segment")),
    ("nobase-cross64k", text(data(0xFFF8, HERE[:16]) + [END]), "rw", None, (":1:", "crosses 64 KiB without a base")),
    ("wrap-4g", text([ela(0xFFFF)] + data(0xFFF8, HERE[:16]) + [END]), "rw", None, (":2:", "past 4 GiB")),
    ("missing-eof", text(P), "rw", PLAIN, ("no end record", "cut off")),
    ("empty", b"", "r", None, ("empty",)),
    ("only-eof", text([END]), "wr", {}, ("no data",)),
    ("data-after-eof", text(P[:2] + [END] + P[2:]), "r", None, (":4:", "data after the end record")),
    ("concatenated", text(P + [END]) + text(data(0x100) + [END]), "r", None, (":6:", "data after the end record")),
    ("two-eof", text(P + [END, END]), "wr", PLAIN, (":6", "second end record")),
    ("eof-with-address", text(P + [rec(1, 0x1234)]), "wr", PLAIN, (":5", "1234")),
    ("eof-with-data", text(P + [rec(1, 0, b"\x55")]), "r", None, (":5:", "end record")),
    ("truncated-record", text(P + [END])[:60], "r", None, (":2:",)),
    ("cr-only", text(P + [END], "\r"), "aw", PLAIN, ()),
    ("blank-lines", b"\n" + text([x for p in P for x in (p, "")] + [END]), "aw", PLAIN, ()),
    ("trailing-space", text([p + "  " for p in P] + [END]), "wa", PLAIN, (":1",)),
    ("leading-space", text([" " + p for p in P] + [END]), "wr", PLAIN, (":1",)),
    ("bom-utf8", b"\xEF\xBB\xBF" + text(P + [END]), "wr", PLAIN, ("byte order mark",)),
    ("utf16", b"\xFF\xFE" + text(P + [END]).decode().encode("utf-16-le"), "r", None, ("UTF-16",)),
    ("nul-between", text(P[:1]) + b"\0\0" + text(P[1:] + [END]), "r", None, (":2:1",)),
    ("nul-padded-tail", text(P + [END]) + bytes(40), "wr", PLAIN, ("end record",)),
    ("ctrl-z-tail", text(P + [END]) + b"\x1A", "aw", PLAIN, ()),
    ("comment-hash", text(["# made by hand"] + P + [END]), "wr", PLAIN, (":1",)),
    ("comment-avrdude", text([p + " // " + p[9:13] for p in P] + [END]), "war", PLAIN, (":1",)),
    ("garbage-middle", text(P[:2] + ["what is this"] + P[2:] + [END]), "r", None, (":3:1",)),
    ("mark-corrupted", text([P[0], ";" + P[1][1:]] + P[2:] + [END]), "r", None, (":2:1",)),
    ("digit-g", text([P[0], P[1][:12] + "G" + P[1][13:]] + P[2:] + [END]), "r", None, (":2:13", "G")),
    ("digit-odd", text([P[0], P[1][:-1]] + P[2:] + [END]), "r", None, (":2:",)),
    ("strtoul-plus", text([P[0], P[1][:9] + "+F" + P[1][11:]] + P[2:] + [END]), "r", None, (":2:10", "+")),
    ("inner-space", text([P[0], P[1][:3] + " " + P[1][3:]] + P[2:] + [END]), "r", None, (":2:",)),
    ("two-on-a-line", text([P[0] + P[1]] + P[2:] + [END]), "rw", None, (":1:",)),
    ("split-record", text([P[0][:21], P[0][21:]] + P[1:] + [END]), "r", None, (":1:",)),
    ("long-line-64k", text(P + [":" + "0" * 65536] + [END]), "r", None, (":5:",)),
    ("bad-sum", text([P[0], sum_off(P[1])] + P[2:] + [END]), "r", None, (":2:", "checksum")),
    ("len-too-big", text([P[0], rec(0, 16, HERE[16:32], 17)] + P[2:] + [END]), "r", None, (":2:",)),
    ("len-too-small", text([P[0], rec(0, 16, HERE[16:32]) + "AA"] + P[2:] + [END]), "r", None, (":2:",)),
    ("type-06", text(P + [rec(6, 0, b"\1\2"), END]), "r", None, (":5:", "06")),
    ("ela-len1", text([rec(4, 0, b"\1")] + P + [END]), "r", None, (":1:", "length 01")),
    ("start05-len2", text([rec(5, 0, b"\1\2")] + P + [END]), "r", None, (":1:", "length 02")),
    ("ela-with-address", text([rec(4, 0x1234, b"\0\1")] + P + [END]), "rw", None, (":1:", "1234")),
    ("dup-identical", text(P[:2] + P + [END]), "wa", PLAIN, ()),
    ("dup-conflict", text(P + data(0, HERE[::-1][:16]) + [END]), "r", None, ("0x00000", "line 1", ":5:")),
    ("dup-conflict-one-byte", text(P + data(0x10, HERE[16:31] + b"\xEE") + [END]), "r", None, ("0x0001F", "EE", "line 2", ":5:")),
    ("dup-conflict-base-alias", text([seg(0x1000)] + P + [seg(0), ela(1)] + data(0x20, b"\1" * 16) + [END]), "r", None, ("0x10020", "line 4", ":8:")),
    ("dup-conflict-ff", text(P + data(0, b"\xFF" * 16) + [END]), "r", None, ("0x00000", "FF", "line 1")),
    ("start05-twice-different", text(P + [rec(5, 0, b"\0\0\1\0"), rec(5, 0, b"\0\0\2\0"), END]), "rw", PLAIN, ("00000100", "00000200")),
    ("start03-and-05", text(P + [rec(3, 0, b"\x10\0\0\0"), rec(5, 0, b"\0\0\2\0"), END]), "war", PLAIN, (":6",)),
]
APP, BOOT = text(data(0) + [END]), text(data(0x7000) + [END])
BOTH = at(0) | at(0x7000)
# name, application, bootloader, right, image, words; further words of the command line
TWO = [
    ("disjoint", APP, BOOT, "a", BOTH, (), ()),
    ("touching", text(data(0x6FC0) + [END]), BOOT, "a", at(0x6FC0) | at(0x7000), (), ()),
    ("identical-overlap", text(data(0) + data(0x7000) + [END]), BOOT, "wa", BOTH, (), ("--overlap", "same")),
    ("identical-overlap-unasked", text(data(0) + data(0x7000) + [END]), BOOT, "r", None, ("0x07000", "A.hex", "B.hex"), ()),
    ("conflict-one-byte", text(data(0) + data(0x7000, HERE[:16] + b"\xEE" + HERE[17:]) + [END]), BOOT, "r", None, ("0x07010", "EE", "20", "A.hex", "B.hex"), ("--overlap", "same")),
    ("app-padded-ff", text(data(0, HERE + b"\xFF" * 0x7100) + [END]), BOOT, "r", None, ("0x07000", "A.hex", "B.hex"), ()),
    ("base-leak", text(data(0) + [ela(0x81)] + data(0) + [END]), BOOT, "a", BOTH | at(0x810000), (), ()),
    ("start-differs", text(data(0) + [rec(5, 0, bytes(4)), END]), text(data(0x7000) + [rec(5, 0, b"\0\0\x70\0"), END]), "r", None, ("start",), ()),
    ("boot-only-eof", APP, text([END]), "r", None, ("B.hex", "no data"), ()),
    ("boot-empty-file", APP, b"", "r", None, ("B.hex", "empty"), ()),
    ("normalise", text(data(0, width=8)[::-1] + [END], "\r\n").lower(), BOOT, "a", BOTH, (), ()),
    ("beyond-flash", text(data(0) + data(0x8000) + [END]), BOOT, "r", None, ("0x08000",), ("--part", "atmega32u4")),
]


def run(words, folder):
    done = subprocess.run(words, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    return done.returncode, done.stdout, done.stderr.decode(errors="replace") + ("" if words[0] != "objcopy" else "")


def image_of(raw):
    """By the specification, for texts that our tools and the peers write; None when it is none."""
    image, base = {}, 0
    try:
        for line in raw.decode().split():
            body = bytes.fromhex(line[1:])
            if line[0] != ":" or sum(body) & 255:
                return None
            addr, kind, payload = body[1] << 8 | body[2], body[3], body[4:-1]
            if kind == 0:
                for i, byte in enumerate(payload):
                    if image.get(base + addr + i, byte) != byte:
                        return None
                    image[base + addr + i] = byte
            elif kind in (2, 4):
                base = int.from_bytes(payload, "big") << (4 if kind == 2 else 16)
    except ValueError:
        return None
    return image


def outcome(status, out, err, image):
    """a accept, w warn, r reject, L wrong data and exit 0, A taken although it should not be"""
    if status != 0:
        return "r"
    got = image_of(out)
    if image is None:
        return "A"
    if got != image:
        return "L"
    return "w" if err.strip() else "a"


def ours(tool, folder, name, words, right, image, say):
    status, out, err = run([tool] + words, folder)
    got = outcome(status, out, err, image)
    missing = [w for w in say if w not in err]
    why = None
    if got in "rw" and missing:
        why = f"says not {missing}: {err.strip()[:200]}"
    elif got == "r" and status not in (1, 2):
        why = f"exit {status}"
    elif got == "r" and out:
        why = "rejected, and wrote something"
    elif got not in right and not (got == "r" and lenient(tool, folder, words, image) in right + "w"):
        why = f"{got}, right is one of {right}: {err.strip()[:200]}"
    return got, why


def lenient(tool, folder, words, image):
    return outcome(*run([tool] + words + ["--lenient"], folder), image)


def put(folder, name, raw):
    with open(os.path.join(folder, name), "wb") as out:
        out.write(raw)


def peers_one(folder, image):
    cells = []
    for words in (["srec_cat", "A.hex", "-intel", "-o", "-", "-intel"],
                  ["/usr/bin/python3", "-c", "import sys; from intelhex import IntelHex; i = IntelHex('A.hex'); i.write_hex_file(sys.stdout)"],
                  ["objcopy", "-I", "ihex", "-O", "ihex", "A.hex", "out.hex"]):
        status, out, err = run(words, folder)
        if words[0] == "objcopy" and status == 0:
            with open(os.path.join(folder, "out.hex"), "rb") as done:
                out = done.read()
        cells.append(outcome(status, out, err, image))
    return cells


def peers_two(folder, image):
    merge = ("import sys; from intelhex import IntelHex; a = IntelHex('A.hex'); a.merge(IntelHex('B.hex'), overlap='error');"
             " a.write_hex_file(sys.stdout)")
    shell = "sed '/:00000001FF/Id' A.hex; cat B.hex"
    return [outcome(*run(words, folder), image) for words in
            (["srec_cat", "A.hex", "-intel", "B.hex", "-intel", "-o", "-", "-intel"], ["/usr/bin/python3", "-c", merge], ["sh", "-c", shell])]


def cases(folder):
    for name, raw, right, image, say in ONE:
        put(folder, "A.hex", raw)
        yield name, ["convert", "--to", "ihex", "-o", "-", "A.hex"], right, image, say, peers_one
    for name, app, boot, right, image, say, more in TWO:
        put(folder, "A.hex", app)
        put(folder, "B.hex", boot)
        yield name, ["merge", "-o", "-"] + list(more) + ["A.hex", "B.hex"], right, image, say, peers_two


WORDS = {"a": "=", "w": "w", "r": "x", "L": "**L**", "A": "A"}


def main():
    mode, tool, folder = sys.argv[1], os.path.realpath(sys.argv[2]), sys.argv[3]
    failed = 0
    for name, words, right, image, say, peers in cases(folder):
        got, why = ours(tool, folder, name, words, right, image, say)
        if mode == "check":
            print(f"ok   {name}" if why is None else f"FAIL {name}: {why}")
            failed += why is not None
            continue
        cell = WORDS[got]
        if got == "r" and image is not None and lenient(tool, folder, words, image) == "w":
            cell = "x, w with --lenient"
        row = [name, "/".join({"a": "accept", "w": "warn", "r": "reject"}[r] for r in right), cell]
        print("| " + " | ".join(row + [WORDS[c] for c in peers(folder, image)]) + " |")
    if mode == "check":
        print(f"{len(ONE) + len(TWO) - failed} passed, {failed} failed")
    return failed != 0


sys.exit(main())

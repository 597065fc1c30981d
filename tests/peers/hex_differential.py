"""hex_differential.py POGO_HEX DIR FIRST COUNT: puts the pairs of files that hex_random wrote into DIR through
pogo-hex, srec_cat, objcopy and the intelhex library, and compares what each makes of them with the truth.

Prints one line a difference ("FAIL image N: …") and at the end lines "REASON text: count" for what the tools are
known to do in another way, and "COUNT images comparisons". Output of one tool is read back by others."""
import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

from intelhex import AddressOverlapError, IntelHex

POGO, DIR, FIRST, COUNT = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
SLICE = 100  # images that one call of `pogo-hex info` reads back, two or three files each
SPAN = 0x20000  # raw binary only up to here


def run(*words):
    """Exit status of a command; its messages are of no interest here."""
    return subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode


class Truth:
    def __init__(self, path):
        self.srec = self.conflict = False
        self.start = None
        self.runs = []
        for line in open(path, encoding="ascii"):
            word = line.split()
            if word[0] == "srec":
                self.srec = True
            elif word[0] == "conflict":
                self.conflict = True
            elif word[0] == "start":
                self.start = (int(word[1]), int(word[2], 16))
            else:
                self.runs.append((int(word[1], 16), bytes.fromhex(word[2])))
        self.runs.sort()

    def joined(self):
        out = []
        for addr, data in self.runs:
            if out and out[-1][0] + len(out[-1][1]) == addr:
                out[-1] = (out[-1][0], out[-1][1] + data)
            else:
                out.append((addr, data))
        return out

    def bytes(self):
        return {addr + i: byte for addr, data in self.runs for i, byte in enumerate(data)}

    def span(self):
        return self.runs[0][0], self.runs[-1][0] + len(self.runs[-1][1])

    def binary(self):
        first, end = self.span()
        out = bytearray(b"\xff" * (end - first))
        for addr, data in self.runs:
            out[addr - first:addr - first + len(data)] = data
        return bytes(out)

    def text(self, start):
        """The canonical Intel HEX of this image, from its description alone."""
        def record(kind, offset, data):
            body = bytes([len(data), offset >> 8, offset & 0xFF, kind]) + data
            return ":%s%02X\n" % (body.hex().upper(), -sum(body) & 0xFF)

        out, upper = [], 0
        for addr, data in self.joined():
            while data:
                if addr >> 16 != upper:
                    upper = addr >> 16
                    out.append(record(4, 0, upper.to_bytes(2, "big")))
                size = min(16, len(data), 0x10000 - (addr & 0xFFFF))
                out.append(record(0, addr & 0xFFFF, data[:size]))
                addr, data = addr + size, data[size:]
        if start is not None:
            out.append(record(start[0], 0, start[1].to_bytes(4, "big")))
        out.append(record(1, 0, b""))
        return "".join(out)

    def explain(self, digest):
        """Why a tool's file with this digest is right: "" for the very image, a reason if only the start record
        is another one, as such tools make it; None if nothing explains it."""
        starts = [("", self.start)]
        if self.start is not None:
            kind, value = self.start
            linear = (((value >> 16) << 4) + (value & 0xFFFF)) & 0xFFFFFFFF if kind == 3 else value
            starts += [("the start address is left out", None), ("CS:IP becomes a linear address", (5, linear)),
                       ("the start below 1 MiB becomes CS:IP", (3, (linear >> 4 & 0xF000) << 16 | linear & 0xFFFF)),
                       ("the start address is cut to 24 bits", (5, linear & 0xFFFFFF)),
                       ("the start address is cut to 16 bits", (5, linear & 0xFFFF))]
        starts.append(("no start address becomes 0", (5, 0)))
        for reason, start in starts:
            if hashlib.sha256(self.text(start).encode()).hexdigest() == digest:
                return reason
        return None


class Slice:
    """Some images, one after another; the files that others wrote are read back by one pogo-hex."""

    def __init__(self):
        self.fails, self.reasons, self.compared = [], Counter(), 0
        self.back = []  # (number, truth, tool, path)

    def same(self, number, what, equal):
        self.compared += 1
        if not equal:
            self.fails.append(f"image {number}: {what}")

    def conflict(self, number, a, b, truth, out):
        self.same(number, "pogo-hex merges bytes that conflict", run(POGO, "merge", "-o", out, a, b) == 2 and not os.path.exists(out))
        kind = "-motorola" if truth.srec else "-intel"
        self.same(number, "srec_cat merges bytes that conflict", run("srec_cat", a, kind, b, "-intel", "-o", out, "-intel") != 0)
        if truth.srec:
            return
        try:
            one = IntelHex(a)
            one.merge(IntelHex(b))
            self.same(number, "intelhex merges bytes that conflict", False)
        except AddressOverlapError:
            self.compared += 1

    def merged(self, number, base, truth):
        """pogo-hex's merge against the truth, byte by byte; intelhex's, by its own reading and by ours."""
        a, b, p, i = base + "a", base + "b", base + "p.hex", base + "i.hex"
        done = run(POGO, "merge", "-o", p, a, b)
        self.same(number, "pogo-hex merge refuses", done == 0)
        if done != 0:
            return False
        self.same(number, "pogo-hex merge writes other text", open(p, encoding="ascii").read() == truth.text(truth.start))
        wanted, seen = truth.bytes(), IntelHex(p)
        self.same(number, "intelhex reads other bytes in pogo-hex's file", seen.todict() == self.with_start(wanted, seen))
        if truth.srec:
            self.reasons["intelhex reads no S-records"] += 1
            ours = seen
        else:
            ours = IntelHex(a)
            ours.merge(IntelHex(b))
            self.same(number, "intelhex merges other bytes", ours.todict() == self.with_start(wanted, ours))
        ours.write_hex_file(i)
        self.back.append((number, truth, "intelhex", i))
        return True

    @staticmethod
    def with_start(wanted, image):
        return wanted if image.start_addr is None else {**wanted, "start_addr": image.start_addr}

    def converted(self, number, base, truth):
        """pogo-hex's conversions, read by objcopy and srec_cat; theirs, read by pogo-hex."""
        p, first, end = base + "p.hex", *truth.span()
        merged = base + ("s.srec" if number % 3 == 2 else "s.hex")
        kind = "-motorola" if number % 3 == 2 else "-intel"
        done = run("srec_cat", base + "a", "-motorola" if truth.srec else "-intel", base + "b", "-intel", "-o", merged, kind)
        self.same(number, "srec_cat refuses", done == 0)
        self.back.append((number, truth, "srec_cat", merged))
        if number % 2 == 0:
            srec = base + "p.srec"
            self.same(number, "pogo-hex refuses to write S-records", run(POGO, "convert", "-o", srec, p) == 0)
            self.same(number, "objcopy refuses pogo-hex's S-records", run("objcopy", "-I", "srec", "-O", "ihex", srec, base + "o.hex") == 0)
            self.back.append((number, truth, "objcopy", base + "o.hex"))
            if number % 8 == 0:
                back = base + "sp.hex"
                self.same(number, "srec_cat refuses pogo-hex's S-records", run("srec_cat", srec, "-motorola", "-o", back, "-intel") == 0)
                self.back.append((number, truth, "srec_cat", back))
        elif end - first <= SPAN:
            ours, theirs = base + "p.bin", base + "o.bin"
            self.same(number, "pogo-hex refuses to write binary", run(POGO, "convert", "-o", ours, p) == 0)
            self.same(number, "objcopy refuses to write binary", run("objcopy", "-I", "ihex", "-O", "binary", "--gap-fill=0xFF", p, theirs) == 0)
            wanted = truth.binary()
            self.same(number, "pogo-hex's binary differs", open(ours, "rb").read() == wanted)
            self.same(number, "objcopy's binary of pogo-hex's file differs", open(theirs, "rb").read() == wanted)
            self.same(number, "pogo-hex refuses to read binary", run(POGO, "convert", "-o", base + "pb.hex", f"{ours}@{first}") == 0)
            self.same(number, "a binary comes back with other bytes", IntelHex(base + "pb.hex").tobinstr(start=first, end=end - 1) == wanted)
        else:
            theirs = base + "o.srec"
            self.same(number, "objcopy refuses pogo-hex's file", run("objcopy", "-I", "ihex", "-O", "srec", p, theirs) == 0)
            self.back.append((number, truth, "objcopy", theirs))

    def read_back(self, entries):
        """All these files of others by one pogo-hex: their digests. If it refuses one, each for itself."""
        done = subprocess.run([POGO, "info", "--json", *(entry[3] for entry in entries)], stdin=subprocess.DEVNULL, capture_output=True)
        if done.returncode != 0 and len(entries) > 1:
            for entry in entries:
                self.read_back([entry])
            return
        if done.returncode != 0:
            number, _, tool, path = entries[0]
            # A record of 2 or 3 address bytes that begins below the end of what they reach and goes on behind it.
            known = tool == "srec_cat" and path.endswith("srec") and b"record runs past its addresses" in done.stderr
            self.same(number, f"pogo-hex refuses {tool}'s {path}: {done.stderr.decode()[:300]}", known)
            if known:
                self.reasons["srec_cat, S-records: one runs past its addresses, refused"] += 1
            return
        for (number, truth, tool, path), seen in zip(entries, json.loads(done.stdout)["images"]):
            reason = truth.explain(seen["digest"])
            self.same(number, f"{tool}'s {path} has other bytes or another start", reason is not None)
            if reason:
                kind = "S-records" if path.endswith("srec") else "Intel HEX"
                self.reasons[f"{tool}, {kind}: {reason}"] += 1

    def run(self, first, count):
        for number in range(first, first + count):
            base = f"{DIR}/{number}."
            truth = Truth(base + "truth")
            if truth.conflict:
                self.conflict(number, base + "a", base + "b", truth, base + "none.hex")
            elif self.merged(number, base, truth):
                self.converted(number, base, truth)
        if self.back:
            self.read_back(self.back)
        for number in range(first, first + count):
            for extension in ("p.hex", "i.hex", "s.hex", "s.srec", "p.srec", "o.hex", "sp.hex", "p.bin", "o.bin", "pb.hex", "o.srec", "none.hex"):
                try:
                    if not any(f"image {number}:" in fail for fail in self.fails):
                        os.unlink(f"{DIR}/{number}.{extension}")
                except FileNotFoundError:
                    pass
        return self.fails, self.reasons, self.compared


def one_slice(first):
    return Slice().run(first, min(SLICE, FIRST + COUNT - first))


def main():
    fails, reasons, compared = [], Counter(), 0
    with ProcessPoolExecutor(2) as pool:
        for part in pool.map(one_slice, range(FIRST, FIRST + COUNT, SLICE)):
            fails += part[0]
            reasons += part[1]
            compared += part[2]
    for fail in fails:
        print("FAIL", fail)
    for reason, count in sorted(reasons.items()):
        print(f"REASON {reason}: {count}")
    print("COUNT", COUNT, compared)
    return 1 if fails else 0


sys.exit(main())

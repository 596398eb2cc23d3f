# SPDX-License-Identifier: GPL-2.0
"""An ACPI table that lets a PC's port, with what is behind it, be switched off: QEMU has no such ports.

The port gets a power resource, so that Linux brings it into D3cold when all behind it sleep. Its _OFF clears the header of
function 0 on a bus, which is what a device forgets that is without power. ACPI 6.5, chapter 20 has the encoding.
"""

import struct

# Where QEMU's q35 has the configuration space of bus 0; 1 MiB for each bus.
ECAM = 0xB0000000


def length(content: bytes) -> bytes:
    """What stands before a package: its length, itself included."""
    for extra in range(4):
        total = len(content) + 1 + extra
        if extra == 0 and total < 64:
            return bytes([total]) + content
        if extra and total < 1 << (4 + 8 * extra):
            rest = bytes(total >> (4 + 8 * i) & 255 for i in range(extra))
            return bytes([extra << 6 | total & 15]) + rest + content
    raise ValueError("too long")


def named(name: str, value: bytes) -> bytes:
    return b"\x08" + name.encode() + value


def method(name: str, *body: bytes) -> bytes:
    return b"\x14" + length(name.encode() + b"\0" + b"".join(body))


def store(value: bytes, name: str) -> bytes:
    return b"\x70" + value + name.encode()


def power_port(devfn: int, bus: int) -> bytes:
    """For the port at `devfn` of the first bus, with the device at `bus`."""
    zero, one = b"\0", b"\1"
    # Command and BARs, each a field of 32 bits.
    registers = {"CMDR": 0x04, **{f"BAR{i}": 0x10 + 4 * i for i in range(6)}}
    fields, at = b"", 0
    for name, offset in registers.items():
        if offset > at:
            gap = (offset - at) * 8
            fields += zero + (bytes([gap]) if gap < 64 else bytes([0x40 | gap & 15, gap >> 4]))
        fields += name.encode() + bytes([32])
        at = offset + 4
    resource = b"\x5b\x84" + length(
        b"PWR0" + zero + b"\0\0"
        + named("STAT", one)
        # A region in system memory, read and written by 32 bits.
        + b"\x5b\x80HEAD\0" + b"\x0c" + struct.pack("<I", ECAM + (bus << 20)) + b"\x0a\x40"
        + b"\x5b\x81" + length(b"HEAD\3" + fields)
        + method("_STA", b"\xa4STAT")
        + method("_ON_", store(one, "STAT"))
        + method("_OFF", store(zero, "STAT"), *(store(zero, name) for name in registers))
    )
    package = b"\x12" + length(b"\1PWR0")
    path = b"\\\x2f\3" + b"_SB_" + b"PCI0" + f"S{devfn:02X}_".encode()
    body = b"\x10" + length(path + resource + named("_PR0", package) + named("_PR3", package))
    head = struct.pack("<4sIBB6s8sI4sI", b"SSDT", 36 + len(body), 2, 0, b"VFIORS", b"POWERED ", 1, b"TEST", 1)
    table = bytearray(head + body)
    table[9] = -sum(table) & 255
    return bytes(table)

# SPDX-License-Identifier: GPL-2.0
"""What a device tree says of the processors, beside what QEMU says of them.

The format is that of the Devicetree Specification, chapter 5.
"""

import struct

HEADER = ">10I"
BEGIN_NODE, PROPERTY, END = 1, 3, 9


def aligned(position: int) -> int:
    return (position + 3) & ~3


def with_property(blob: bytes, node: str, name: str, value: bytes) -> bytes:
    """The tree with one more property in each node whose name begins with `node`."""
    magic, _, off_struct, off_strings, off_map, version, oldest, boot, size_strings, size_struct = struct.unpack_from(HEADER, blob)
    old = blob[off_struct : off_struct + size_struct]
    strings = blob[off_strings : off_strings + size_strings] + name.encode() + b"\0"
    added = struct.pack(">III", PROPERTY, len(value), size_strings) + value.ljust(aligned(len(value)), b"\0")
    new, position, token = b"", 0, 0
    while token != END:
        start = position
        (token,) = struct.unpack_from(">I", old, position)
        position += 4
        wanted = False
        if token == BEGIN_NODE:
            wanted = old.startswith(node.encode(), position)
            position = aligned(old.index(b"\0", position) + 1)
        elif token == PROPERTY:
            (length,) = struct.unpack_from(">I", old, position)
            position = aligned(position + 8 + length)
        new += old[start:position] + (added if wanted else b"")
    if len(new) == position:
        raise ValueError(f"the device tree has no node {node}")
    # The map of reserved memory ends with a pair of zeros.
    reserved, end = b"", b"\0" * 16
    while not reserved.endswith(end):
        reserved += blob[off_map + len(reserved) :][:16]
    start = struct.calcsize(HEADER)
    offsets = (start + len(reserved), start + len(reserved) + len(new), start)
    size = offsets[1] + len(strings)
    header = struct.pack(HEADER, magic, size, *offsets, version, oldest, boot, len(strings), len(new))
    return header + reserved + new + strings

#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Print what modules say of themselves, for a comparison by lines.

usage: modinfo.py MODULE...

Reads the .modinfo section of each file (.ko or .ko.xz), as modprobe and udev do: aliases, softdep, parameters with
their types, version, licence, namespaces and so on. The order of the entries of a module does not matter. Of
srcversion, which is a hash of the source, only the presence is compared.
"""

import lzma
import struct
import sys
from pathlib import Path


def section(elf: bytes, wanted: str) -> bytes:
    """The contents of a section of a 64-bit little-endian ELF file."""
    if elf[:6] != b"\x7fELF\x02\x01":
        raise ValueError("no 64-bit little-endian ELF file")
    (offset,) = struct.unpack_from("<Q", elf, 0x28)
    size, count, names = struct.unpack_from("<HHH", elf, 0x3A)
    # sh_name, sh_type, sh_flags, sh_addr, sh_offset, sh_size
    headers = [struct.unpack_from("<IIQQQQ", elf, offset + i * size) for i in range(count)]
    strings = headers[names][4]
    for name, _type, _flags, _address, start, length in headers:
        if elf[strings + name :].split(b"\0", 1)[0].decode() == wanted:
            return elf[start : start + length]
    raise ValueError(f"no section {wanted}")


def main():
    """Print `module: entry` for each module and entry."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for path in map(Path, sys.argv[1:]):
        data = path.read_bytes()
        info = section(lzma.decompress(data) if path.suffix == ".xz" else data, ".modinfo")
        for entry in sorted(filter(None, info.decode().split("\0"))):
            key, _, value = entry.partition("=")
            print(f"{path.name.split('.')[0]}: {key}={'...' if key == 'srcversion' else value}")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Check that the layouts that Rust asserts are all there are, and are those of the C compiler.

usage: check_layouts.py PAHOLE BINDINGS

PAHOLE is what `pahole -F dwarf -I` says of layouts.o, which the C compiler made of the headers. BINDINGS are
bindgen's: for each structure it asserts size and offsets, so the build fails if Rust lays one out in another way than
libclang does. Here each structure of the headers has to be among these, each member has to be asserted, and the
numbers have to be those of the C compiler. Offsets of bit fields and of members without a name cannot be asserted; the
size is, and what is inside of the latter. Prints KTAP.
"""

import re
import sys
from pathlib import Path

HEADERS = (
    "include/linux/vfio.h",
    "include/linux/vfio_pci_core.h",
    "include/uapi/linux/vfio.h",
    "drivers/vfio/vfio.h",
)

PLACE = re.compile(r"^/\* <[0-9a-f]+> (\S+):\d+ \*/$")
BEGIN = re.compile(r"^(?:struct|union) (\w+) \{$")
SIZE = re.compile(r"^\t/\* size: (\d+),")
# What is declared, its offset, the bit that a bit field starts with; the size is not of interest.
MEMBER = re.compile(r"^(\t+)(.*?);?\s*/\*\s+(\d+)(?::\s*(\d+))?\s+\d+ \*/$")


def declared(text: str) -> str:
    """The name in a declaration, "" if it has none."""
    text = re.sub(r"__attribute__\(\(.*\)\)", "", text).strip()
    pointer = re.search(r"\(\*+\s*(\w+)\)", text)
    if pointer:
        return pointer[1]
    text = re.sub(r"(\[\w*\])+$|:\d+$", "", text).strip()
    if text in ("}", "};"):
        return ""
    return re.search(r"(\w+)$", text)[1]


class CStruct:
    """A structure as the C compiler has it. `inner` are the members of what is declared inside of it."""

    def __init__(self, name: str):
        self.name = name
        self.size = 0
        self.members: dict[str, int] = {}
        self.anonymous: list[int] = []
        self.inner: list[tuple[str, int]] = []


def c_structs(path: Path):
    """The structures that the headers define."""
    place, struct = "", None
    for line in path.read_text().splitlines():
        if match := PLACE.match(line):
            place = match[1]
        elif match := BEGIN.match(line):
            struct = CStruct(match[1]) if place.endswith(HEADERS) else None
        elif not struct:
            continue
        elif line.startswith("}"):
            yield struct
            struct = None
        elif match := SIZE.match(line):
            struct.size = int(match[1])
        elif match := MEMBER.match(line):
            tabs, text, offset, bit = match.groups()
            if bit is not None:
                continue
            if len(tabs) > 1:
                struct.inner.append((declared(text), int(offset)))
            elif name := declared(text):
                struct.members[name] = int(offset)
            else:
                struct.anonymous.append(int(offset))
        elif re.match(r"^\t+[^\s/}]", line) and not line.endswith("{"):
            raise SystemExit(f"{struct.name}: cannot read: {line}")


def asserted(path: Path):
    """What bindgen asserts: sizes by structure, offsets by structure and field."""
    text = path.read_text()
    sizes = {n: int(s) for n, s in re.findall(r'\["Size of (\w+)"\]\s*\[[^\]]*? - (\d+)usize\]', text)}
    fields = re.findall(r'\["Offset of field: (\w+)::(\w+)"\]\s*\[[^\]]*? - (\d+)usize\]', text)
    return sizes, {(s, f): int(o) for s, f, o in fields}


def problems(struct: CStruct, sizes, offsets) -> list[str]:
    """What is wrong with one structure."""
    if struct.name not in sizes:
        return [f"{struct.name} has no layout test"]
    wrong = []
    if sizes[struct.name] != struct.size:
        wrong.append(f"{struct.name}: {sizes[struct.name]} bytes in Rust, {struct.size} in C")
    for name, offset in struct.members.items():
        # What is a keyword in Rust gets an underscore.
        have = offsets.get((struct.name, name), offsets.get((struct.name, name + "_")))
        if have != offset:
            wrong.append(f"{struct.name}.{name}: at {have} in Rust, {offset} in C")
    starts = {*struct.anonymous, *struct.members.values()}
    for name, offset in struct.inner:
        if not name:
            continue
        have = [o for (s, f), o in offsets.items() if s.startswith(f"{struct.name}__bindgen_ty_") and f == name]
        if not any(start + o == offset for start in starts for o in have):
            wrong.append(f"{struct.name}.{name}: inside at {have} in Rust, {offset} in all in C")
    return wrong


def main():
    """Print KTAP; exit with 1 if anything is missing or differs."""
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    structs = list(c_structs(Path(sys.argv[1])))
    if len(structs) < 50:
        sys.exit(f"only {len(structs)} structures found: is {sys.argv[1]} what pahole said?")
    sizes, offsets = asserted(Path(sys.argv[2]))
    wrong = [line for struct in structs for line in problems(struct, sizes, offsets)]
    print("KTAP version 1\n1..1")
    for line in wrong:
        print(f"# {line}")
    members = sum(len(s.members) + len(s.inner) for s in structs)
    print(f"{'not ok' if wrong else 'ok'} 1 layouts of {len(structs)} structures, {members} members")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()

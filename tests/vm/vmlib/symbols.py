# SPDX-License-Identifier: GPL-2.0
"""Makes the stacks of a report readable: names of Rust as they are written, and files and lines where a module has them."""

import re
import subprocess
from pathlib import Path

# A function of a module in a stack; what it returned to is behind the call.
FRAME = re.compile(r"(?P<function>[\w.$]+)\+(?P<offset>0x[0-9a-f]+)/0x[0-9a-f]+ \[(?P<module>\w+)\]")

# Where sources are: ours, the kernel's, Rust's own.
FOLDERS = re.compile(r"^.*/(?:drivers/vfio|linux-[^/]+|src/rust/library)/")
# What tells crates of the same name from each other, behind their names.
CRATE = re.compile(r"(?<=\w)\[[0-9a-f]{12,16}\]")


def run(command: list[str], text: str) -> list[str]:
    """What a tool makes of the text, line by line; nothing if it is not there."""
    try:
        done = subprocess.run(command, input=text, text=True, capture_output=True, errors="replace", check=True)
    except (OSError, subprocess.CalledProcessError):
        return []
    return done.stdout.splitlines()


def symbols(module: Path) -> dict[str, tuple[str, int]]:
    """Section and address in it of each function of a module."""
    sections = {}
    for line in run(["readelf", "-SW", str(module)], ""):
        if match := re.match(r"\s*\[ *(\d+)\] (\S+)", line):
            sections[match[1]] = match[2]
    found = {}
    for line in run(["readelf", "-sW", str(module)], ""):
        fields = line.split()
        if len(fields) == 8 and fields[3] == "FUNC" and fields[6] in sections:
            found[fields[7]] = (sections[fields[6]], int(fields[1], 16))
    return found


def places(module: Path, frames: list[tuple[str, int]]) -> dict[tuple[str, int], str]:
    """The file and line of each (function, offset), innermost first where something was inlined."""
    known = symbols(module)
    by_section: dict[str, list[tuple[str, int]]] = {}
    for frame in frames:
        if frame[0] in known:
            by_section.setdefault(known[frame[0]][0], []).append(frame)
    found = {}
    for section, wanted in by_section.items():
        # The call is before what is returned to.
        addresses = [hex(known[name][1] + max(offset - 1, 0)) for name, offset in wanted]
        lines = run(["addr2line", "-i", "-a", "-j", section, "-e", str(module), *addresses], "")
        answers: list[list[str]] = []
        for line in lines:
            if line.startswith("0x"):
                answers.append([])
            elif answers and "??" not in line:
                answers[-1].append(FOLDERS.sub("", re.sub(r" \(discriminator \d+\)$", "", line)))
        for frame, answer in zip(wanted, answers):
            if answer:
                found[frame] = " < ".join(answer)
    return found


def readable(lines: list[str], modules: dict[str, Path]) -> list[str]:
    """The lines with what can be said of the functions in them. `modules` are ours."""
    wanted: dict[str, list[tuple[str, int]]] = {}
    for line in lines:
        for match in FRAME.finditer(line):
            wanted.setdefault(match["module"], []).append((match["function"], int(match["offset"], 16)))
    where = {}
    for name, path in modules.items():
        name = name.replace("-", "_")
        if name in wanted:
            where |= {(name, *frame): place for frame, place in places(path, sorted(set(wanted[name]))).items()}

    def placed(line: str) -> str:
        found = [where.get((m["module"], m["function"], int(m["offset"], 16))) for m in FRAME.finditer(line)]
        return line + "".join(f"  ({place})" for place in found if place)

    text = [placed(line) for line in lines]
    named = run(["c++filt"], "\n".join(text) + "\n") if any("_R" in line for line in text) else []
    return [CRATE.sub("", line) for line in named] if len(named) == len(text) else text

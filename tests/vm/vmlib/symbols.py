# SPDX-License-Identifier: GPL-2.0
"""Makes the stacks of a report readable: names of Rust as they are written, and files and lines where a module has them."""

import re
import subprocess
from pathlib import Path

# A function of a module in a stack; what it returned to is behind the call.
FRAME = re.compile(r"(?P<function>[\w.$]+)\+(?P<offset>0x[0-9a-f]+)/(?P<size>0x[0-9a-f]+) \[(?P<module>\w+)\]")
# The kernel takes a function to go on to the next one, which begins so many bytes later at most.
PADDING = 64

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


def symbols(module: Path) -> dict[str, tuple[str, int, int]]:
    """Section, address in it and size of each function of a module."""
    sections = {}
    for line in run(["readelf", "-SW", str(module)], ""):
        if match := re.match(r"\s*\[ *(\d+)\] (\S+)", line):
            sections[match[1]] = match[2]
    found = {}
    for line in run(["readelf", "-sW", str(module)], ""):
        fields = line.split()
        if len(fields) == 8 and fields[3] == "FUNC" and fields[6] in sections:
            found[fields[7]] = (sections[fields[6]], int(fields[1], 16), int(fields[2], 0))
    return found


Frame = tuple[str, int, int]  # function, offset, size of the function


def frame(match: re.Match[str]) -> Frame:
    return match["function"], int(match["offset"], 16), int(match["size"], 16)


def places(module: Path, frames: list[Frame]) -> dict[Frame, str]:
    """The file and line of each, innermost first where something was inlined. A function of the same name in the C module of this name,
    which may have been loaded, has another size."""
    known = symbols(module)
    by_section: dict[str, list[Frame]] = {}
    for one in frames:
        if one[0] in known and 0 <= one[2] - known[one[0]][2] < PADDING:
            by_section.setdefault(known[one[0]][0], []).append(one)
    found = {}
    for section, wanted in by_section.items():
        # The call is before what is returned to.
        addresses = [hex(known[name][1] + max(offset - 1, 0)) for name, offset, _ in wanted]
        lines = run(["addr2line", "-i", "-a", "-j", section, "-e", str(module), *addresses], "")
        answers: list[list[str]] = []
        for line in lines:
            if line.startswith("0x"):
                answers.append([])
            elif answers and "??" not in line:
                answers[-1].append(FOLDERS.sub("", re.sub(r" \(discriminator \d+\)$", "", line)))
        for one, answer in zip(wanted, answers):
            if answer:
                found[one] = " < ".join(answer)
    return found


def readable(lines: list[str], modules: dict[str, Path]) -> list[str]:
    """The lines with what can be said of the functions in them. `modules` are ours."""
    wanted: dict[str, list[Frame]] = {}
    for line in lines:
        for match in FRAME.finditer(line):
            wanted.setdefault(match["module"], []).append(frame(match))
    where = {}
    for name, path in modules.items():
        name = name.replace("-", "_")
        if name in wanted:
            where |= {(name, *one): place for one, place in places(path, sorted(set(wanted[name]))).items()}

    def placed(line: str) -> str:
        found = [where.get((m["module"], *frame(m))) for m in FRAME.finditer(line)]
        return line + "".join(f"  ({place})" for place in found if place)

    text = [placed(line) for line in lines]
    named = run(["c++filt"], "\n".join(text) + "\n") if any("_R" in line for line in text) else []
    return [CRATE.sub("", line) for line in named] if len(named) == len(text) else text

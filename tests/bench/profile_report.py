# SPDX-License-Identifier: GPL-2.0
"""Instructions by function, from what the plugin profile.c counted."""

import base64
import bisect
import gzip
import re
import subprocess
from collections import Counter, defaultdict
from pathlib import Path

USER = 1 << 47
SHOWN = 60


def symbols(output: str) -> dict[str, list[tuple[int, str]]]:
    """The functions of the kernel by address, for each set of modules."""
    found = {}
    for match in re.finditer(r"^symbols (\S+)\n(.*?)^symbols end$", output, re.S | re.M):
        table = []
        for line in gzip.decompress(base64.b64decode(match[2])).decode().splitlines():
            address, _, *name = line.split()
            table.append((int(address, 16), " ".join(name)))
        found[match[1]] = sorted(table)
    return found


def demangle(text: str) -> str:
    return subprocess.run(["c++filt"], input=text, capture_output=True, text=True, check=True).stdout


def write(output: str, counted: Path, out: Path) -> None:
    """Writes the functions that each operation spends most instructions in."""
    tables = symbols(output)
    names = {}
    for match in re.finditer(r"^announce (\d+) (\S+) (\S+) ?(\S*)$", output, re.M):
        names[int(match[1])] = (match[2], (match[3], match[4]))
    # Of several rounds the last, as for the results.
    last = {key: number for number, key in sorted(names.items())}
    repetitions = {}
    for match in re.finditer(r"^result (\S+) (\S+) \d+ \d+ \d+ (\d+)$", output, re.M):
        # Those that warm up are counted by the plugin as well.
        number = int(match[3])
        repetitions[match[1], match[2]] = number + (5 if number > 20 else 1 if number > 1 else 0)
    total: dict[tuple[str, str], Counter] = defaultdict(Counter)
    for line in counted.read_text().splitlines():
        number, which, address, instructions = line.split()
        modules, pair = names[int(number)]
        if last[modules, pair] != int(number):
            continue
        at = int(address, 16)
        table = tables[modules]
        name = "(user)" if at < USER else table[bisect.bisect_right(table, (at, "~")) - 1][1]
        total[modules, pair[int(which)]][name] += int(instructions)
    lines = []
    for (modules, name), functions in total.items():
        per = repetitions.get((modules, name), 1)
        lines.append(f"\n{name}, {modules}: {sum(functions.values()) / per:.0f} instructions")
        lines += [f"{count / per:14.1f} {function}" for function, count in functions.most_common(SHOWN)]
    out.write_text(demangle("\n".join(lines) + "\n"))

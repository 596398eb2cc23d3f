#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Check that the kernel's drivers that sit on VFIO find in our modules all that they link against.

usage: check_consumers.py OUR_SYMVERS STOCK_SYMVERS MODULE...

The modules are built from the kernel's source: variant drivers of vfio-pci, and mdev samples. Each symbol that one
takes from VFIO has to be exported by ours, with the mark and the namespace that it has in the stock kernel, by the
module of that name. Prints KTAP.
"""

import re
import subprocess
import sys
from pathlib import Path

OURS = re.compile(r"_*vfio_")


def exports(path: str):
    """{symbol: (module, mark, namespace)} of a Module.symvers."""
    found = {}
    for line in Path(path).read_text(encoding="ascii").splitlines():
        _crc, symbol, module, mark, *namespace = line.split("\t")
        found[symbol] = (Path(module).name, mark, "".join(namespace))
    return found


def main():
    """Print KTAP; exit with 1 if a module would not find a symbol."""
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    ours, stock = exports(sys.argv[1]), exports(sys.argv[2])
    failed = False
    print(f"KTAP version 1\n1..{len(sys.argv) - 3}")
    for number, path in enumerate(sys.argv[3:], 1):
        said = subprocess.run(["nm", "-u", path], check=True, capture_output=True, text=True).stdout
        symbols = sorted(s for s in (line.split()[-1] for line in said.splitlines()) if OURS.match(s))
        wrong = [f"{s}: ours is {ours.get(s)}, stock is {stock.get(s)}" for s in symbols if ours.get(s) != stock.get(s)]
        wrong += [f"{s}: nobody exports it" for s in symbols if s not in ours and s not in stock]
        if not symbols:
            wrong.append("takes nothing from VFIO")
        for line in wrong:
            print(f"# {line}")
        print(f"{'not ok' if wrong else 'ok'} {number} {Path(path).name} ({len(symbols)} symbols of VFIO)")
        failed |= bool(wrong)
    sys.exit(failed)


if __name__ == "__main__":
    main()

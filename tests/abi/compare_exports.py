#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Compare what our modules export with what the kernel's own do.

usage: compare_exports.py STOCK_SYMVERS OUR_SYMVERS

Both are Module.symvers files. Name, GPL mark and namespace of each symbol have to
be the same, module by module: C drivers link against them, and KVM's symbol_get()
refuses what is not GPL. Prints KTAP.
"""

import os
import sys

MODULES = ("vfio", "vfio_iommu_type1", "vfio-pci-core", "vfio-pci")


def exports(path):
    """The exports in a Module.symvers: {module: {symbol: (mark, namespace)}}."""
    found = {module: {} for module in MODULES}
    with open(path, encoding="ascii") as symvers:
        for line in symvers:
            _crc, symbol, module, mark, *namespace = line.rstrip("\n").split("\t")
            module = os.path.basename(module)
            if module in found:
                found[module][symbol] = (mark, "".join(namespace))
    return found


def main():
    """Print KTAP; exit with 1 if anything differs."""
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    stock, ours = exports(sys.argv[1]), exports(sys.argv[2])
    failed = False
    print("KTAP version 1")
    print(f"1..{len(MODULES)}")
    for number, module in enumerate(MODULES, 1):
        want, have = stock[module], ours[module]
        wrong = [f"{s}: missing" for s in sorted(want.keys() - have.keys())]
        wrong += [f"{s}: not in the kernel's module" for s in sorted(have.keys() - want.keys())]
        wrong += [
            f"{s}: is {have[s]}, should be {want[s]}"
            for s in sorted(want.keys() & have.keys())
            if want[s] != have[s]
        ]
        for line in wrong:
            print(f"# {line}")
        print(f"{'not ok' if wrong else 'ok'} {number} exports of {module} ({len(want)} symbols)")
        failed |= bool(wrong)
    sys.exit(failed)


if __name__ == "__main__":
    main()

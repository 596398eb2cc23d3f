#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Check that both compilers see the header's prototype of each symbol that we export.

usage: check_prototypes.py OUR_SYMVERS BINDINGS SOURCES

The C compiler sees it where EXPORT_SYMBOL is used, if no prototype is written there by hand. The Rust compiler compares
each function in a `same_as_c!` list of an abi.rs with bindgen's declaration. So each symbol has to be in one of
these lists, and in the bindings. SOURCES is drivers/vfio. Prints KTAP.
"""

import re
import sys
from pathlib import Path

LIST = re.compile(r"^same_as_c! \{\n(.*?)^\}", re.M | re.S)
# Anything in the file of exports but includes, exports, what the module says of itself, and comments.
PROTOTYPE = re.compile(r"^(?!#|EXPORT_SYMBOL|MODULE_|/\*| \*|//|$).*", re.M)


def main():
    """Print KTAP; exit with 1 if a symbol is not checked."""
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    symvers, bindings, sources = map(Path, sys.argv[1:])
    exported = {line.split("\t")[1] for line in symvers.read_text().splitlines()}
    declared = set(re.findall(r"pub (?:fn|static) (\w+)\b", bindings.read_text()))
    files = [*sources.glob("**/abi.rs"), *sources.glob("**/abi/*.rs")]
    compared = {
        name
        for abi in files
        for names in LIST.findall(abi.read_text())
        for name in re.findall(r"^    (?:static )?(\w+),", names, re.M)
    }
    wrong = [f"{s}: bindgen saw no declaration" for s in sorted(exported - declared)]
    wrong += [f"{s}: in no same_as_c! list" for s in sorted(exported - compared)]
    # What this kernel's configuration leaves out, bindgen has not seen either.
    wrong += [f"{s}: in a same_as_c! list, but not exported" for s in sorted(compared & declared - exported)]
    for file in sources.glob("**/exports.c"):
        wrong += [f"{file}: belongs into a header: {m[0]}" for m in PROTOTYPE.finditer(file.read_text())]
    print("KTAP version 1\n1..1")
    for line in wrong:
        print(f"# {line}")
    print(f"{'not ok' if wrong or not exported else 'ok'} 1 prototypes of {len(exported)} exported symbols")
    sys.exit(bool(wrong) or not exported)


if __name__ == "__main__":
    main()

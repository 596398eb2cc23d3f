# SPDX-License-Identifier: GPL-2.0
"""The links of pages in Markdown lead to files that are there: links.py PAGE..."""

import re
import sys
from pathlib import Path


def main() -> int:
    bad = 0
    for page in map(Path, sys.argv[1:]):
        for target in re.findall(r"\]\(([^)\s#]+)\)", page.read_text()):
            if "://" not in target and not (page.parent / target).exists():
                print(f"{page}: there is no {target}")
                bad = 1
    return bad


if __name__ == "__main__":
    sys.exit(main())

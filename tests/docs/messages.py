# SPDX-License-Identifier: GPL-2.0
"""Documentation/messages.rst has each message that the modules can print, and no other: messages.py PAGE SOURCE..."""

import re
import sys
from pathlib import Path

TEXT = r'"((?:[^"\\]|\\.)*)"'
# What takes a message: as its first text, behind arguments without one.
CALLS = (
    rf"\b(?:pr|dev)_(?:emerg|alert|crit|err|warn|notice|info|debug|dbg)(?:_once)?!\s*\((?:[^\";]*?,)?\s*{TEXT}",
    rf"\brefuse!\([^\";]*?,\s*{TEXT}",
    rf"\bbecause\(\s*{TEXT}",
    # vfio-pci-core's tokens: the text is chosen before it is printed.
    rf"\bRefusal::\w+ => {TEXT}",
)
# A reason that several rules have is a constant of the file.
BY_NAME = r"\bbecause\(\s*([A-Z_]+)\)"


def plain(text: str) -> str:
    """A format as the page shows it."""
    text = text.replace('\\"', '"').removesuffix("\\n")
    # Numbers that stand together are one thing to the reader.
    return re.sub(r"…:…(?= exists|\.$)", "…", re.sub(r"\{[^{}]*\}", "…", text))


def printed(source: Path) -> dict[str, str]:
    """What the files below a folder can print, and where."""
    found = {}
    for path in sorted(source.rglob("*.rs")):
        if path.name == "kunit_main.rs" or "samples" in path.parts:
            continue
        # Documentation shows calls, too.
        text = re.sub(r"(?m)^\s*//.*$", "", path.read_text())
        messages = [m for call in CALLS for m in re.findall(call, text)]
        for name in re.findall(BY_NAME, text):
            messages += re.findall(rf"const {name}: &str =\s*{TEXT}", text)
        # What consists of nothing but its arguments is found where these are made.
        found |= {plain(m): str(path) for m in messages if plain(m) != "…"}
    return found


def described(page: Path) -> set[str]:
    """The terms of the page: lines that begin with a literal and are followed by an indented one."""
    lines = page.read_text().splitlines()
    terms = [a for a, b in zip(lines, lines[1:]) if a.startswith("``") and b.startswith("    ")]
    return {message for term in terms for message in re.findall(r"``(.+?)``(?:, |$)", term)}


def main() -> int:
    page, *sources = map(Path, sys.argv[1:])
    inside = {message: where for source in sources for message, where in printed(source).items()}
    documented = described(page)
    if len(inside) < 100:
        print(f"only {len(inside)} messages found in the sources: {__file__} does not know how they are printed any more")
        return 1
    for message in sorted(inside.keys() - documented):
        print(f"{page} lacks the message of {inside[message]}: {message}")
    for message in sorted(documented - inside.keys()):
        print(f"{page} has a message that nothing prints: {message}")
    print(f"{len(inside)} messages")
    return 1 if inside.keys() != documented else 0


if __name__ == "__main__":
    sys.exit(main())

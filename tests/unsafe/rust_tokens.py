# SPDX-License-Identifier: GPL-2.0
"""What the compiler sees of a Rust file: words, marks and strings, and the comments between them."""

import re
from dataclasses import dataclass

TOKEN = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<comment>//[^\n]*)
  | (?P<open>/\*)
  | (?P<raw>[bc]?r(?P<hashes>\#*)"(?s:.*?)"(?P=hashes))
  | (?P<string>[bc]?"(?:[^"\\]|\\(?s:.))*")
  | (?P<char>b?'(?:[^'\\\n]|\\(?:x[0-9a-fA-F]{2}|u\{[^}]*\}|.))')
  | (?P<lifetime>'\w+)
  | (?P<word>(?:r\#)?\w+)
  | (?P<mark>.)
    """,
    re.VERBOSE,
)


@dataclass(frozen=True)
class Token:
    kind: str  # comment, string, char, lifetime, word or mark
    text: str
    line: int


def block_comment(text: str, at: int) -> int:
    """Where the comment ends that begins at `at`: they nest."""
    depth = 0
    for found in re.finditer(r"/\*|\*/", text[at:]):
        depth += 1 if found[0] == "/*" else -1
        if depth == 0:
            return at + found.end()
    return len(text)


def tokens(text: str) -> list[Token]:
    found, at, line = [], 0, 1
    while at < len(text):
        match = TOKEN.match(text, at)
        kind, end = match.lastgroup, match.end()
        if kind == "hashes":
            kind = "raw"
        if kind == "open":
            kind, end = "comment", block_comment(text, at)
        if kind != "space":
            found.append(Token("string" if kind == "raw" else kind, text[at:end], line))
        line += text.count("\n", at, end)
        at = end
    return found

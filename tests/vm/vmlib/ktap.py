# SPDX-License-Identifier: GPL-2.0
"""Counts KTAP results, nested or flat."""

import re
from dataclasses import dataclass, field

RESULT = re.compile(r"^(\s*)(not ok|ok)\b\s*(\d+)?\s*-?\s*(.*?)(\s+#\s*(SKIP|TODO)\b.*)?$", re.IGNORECASE)
PLAN = re.compile(r"^1\.\.(\d+)")


@dataclass
class Tally:
    """Leaf results. A parent counts on its own only if it failed and no child of it did."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    failures: list[str] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.failures += other.failures

    def result(self, ok: bool, name: str) -> None:
        if ok:
            self.passed += 1
        else:
            self.failed += 1
            self.failures.append(name)

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def count(text: str) -> Tally:
    """Counts the leaf results of `text`."""
    tally = Tally()
    # Indentation of an open group of subtests -> [number of its results, failures among them].
    levels: dict[int, list[int]] = {}
    for line in text.splitlines():
        match = RESULT.match(line)
        if not match:
            continue
        indent, verdict, name = len(match[1]), match[2].lower(), match[4].strip()
        deeper = [levels.pop(i) for i in list(levels) if i > indent]
        subtests = sum(d[0] for d in deeper)
        failed_below = sum(d[1] for d in deeper)
        failed = verdict == "not ok"
        level = levels.setdefault(indent, [0, 0])
        level[0] += 1
        level[1] += failed
        if subtests:
            if failed and not failed_below:
                tally.result(False, name)
        elif (match[6] or "").upper() == "SKIP":
            tally.skipped += 1
        else:
            tally.result(not failed, name)
    return tally


def is_whole(text: str) -> bool:
    """Whether the outermost results of `text` are as many as it says there are."""
    lines = text.splitlines()
    plans = [int(match[1]) for match in map(PLAN.match, lines) if match]
    results = [match for match in map(RESULT.match, lines) if match and not match[1]]
    return plans == [len(results)]

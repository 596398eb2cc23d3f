# SPDX-License-Identifier: GPL-2.0
"""What was measured, and what is to be reached."""

import csv
from dataclasses import dataclass
from pathlib import Path

# The ratio of ours to C that is to be reached, by operation.
GOALS = {
    "map-4k": 0.90,
    "unmap-4k": 0.90,
    "map-2m-scattered": 0.60,
    "unmap-2m-scattered": 0.45,
    "map-2m-thp": 0.80,
    "map-64m-thp": 0.80,
    "map-1g-hugetlb": 0.80,
    "unmap-2m-thp": 0.05,
    "unmap-64m-thp": 0.05,
    "unmap-1g-hugetlb": 0.05,
    "map-10000": 0.80,
    "unmap-10000": 0.40,
    "map-10000-adjacent": 0.80,
    "unmap-10000-adjacent": 0.40,
    "iommu-get-info": 0.80,
    "check-extension": 0.80,
    "set-container-set-iommu-unset": 1.00,
    "config-read": 0.80,
    "config-write": 0.80,
    "bar-read": 0.80,
    "bar-read-4k": 0.80,
    "bar-write": 0.80,
    "device-get-info": 0.80,
    "get-region-info": 0.80,
    "msi-to-eventfd": 1.00,
    "loopback-trigger": 0.90,
    "bar-fault": 1.00,
    "msi-enable-disable": 1.00,
    "intx-enable-disable": 1.00,
    "intx-mask-unmask": 1.00,
    "intx-to-eventfd": 1.00,
    "device-open-close": 1.00,
}

# The most bytes that may be kept for a mapping, by operation: 256 for a small one, else a thousandth of what is mapped.
LIMITS = {
    "bytes-4k": 256,
    "bytes-16k-scattered": 256,
    "bytes-1m-scattered": (1 << 20) // 1000,
    "bytes-16m-scattered": (16 << 20) // 1000,
    "bytes-256m-scattered": (256 << 20) // 1000,
    "bytes-1m-pieces": (1 << 20) // 1000,
    "bytes-16m-pieces": (16 << 20) // 1000,
    "bytes-32m-pieces": (32 << 20) // 1000,
    "bytes-64m-thp": (64 << 20) // 1000,
}


@dataclass(frozen=True)
class Value:
    """One operation on one set of modules: instructions, bytes or nanoseconds."""

    median: int
    least: int
    most: int
    repetitions: int


class Results:
    """All results, by boot, operation and set of modules. What a run does not measure stays as it was."""

    def __init__(self, path: Path):
        self._path = path
        self.values: dict[tuple[str, str], dict[str, Value]] = {}
        if path.exists():
            with open(path, newline="") as file:
                for row in csv.DictReader(file):
                    value = Value(*(int(row[k]) for k in ("median", "least", "most", "repetitions")))
                    self.values.setdefault((row["boot"], row["operation"]), {})[row["modules"]] = value

    def take(self, boot: str, output: str) -> None:
        """Reads what vfio_bench printed in a boot."""
        for key in [key for key in self.values if key[0] == boot]:
            del self.values[key]
        for line in output.splitlines():
            word = line.split()
            if len(word) == 7 and word[0] == "result":
                self.values.setdefault((boot, word[2]), {})[word[1]] = Value(*map(int, word[3:]))

    def save(self) -> None:
        with open(self._path, "w", newline="") as file:
            out = csv.writer(file, lineterminator="\n")
            out.writerow(("boot", "operation", "modules", "median", "least", "most", "repetitions"))
            for (boot, name), sets in self.values.items():
                for which, v in sets.items():
                    out.writerow((boot, name, which, v.median, v.least, v.most, v.repetitions))

    def series(self, boot: str, prefix: str, which: str) -> list[tuple[int, int]]:
        """The medians of operations called `prefix` and a number, by that number."""
        found = []
        for (b, name), sets in self.values.items():
            number = name.removeprefix(prefix)
            if b == boot and number != name and number.isdigit() and which in sets:
                found.append((int(number), sets[which].median))
        return sorted(found)

    def table(self) -> str:
        lines = []
        last = None
        for (boot, name), sets in self.values.items():
            if set(sets) != {"c", "rust"} or name.startswith(("size-", "map-size-", "unmap-size-")):
                continue
            if boot != last:
                lines.append(f"\n{boot:34} {'C':>12} {'ours':>12} {'ratio':>6} {'goal':>5}")
                last = boot
            c, ours = sets["c"].median, sets["rust"].median
            ratio = ours / c if c else float("nan")
            goal = GOALS.get(name) if boot in ("operations", "devices", "no-caching-mode") else None
            verdict = "" if goal is None else f"{goal:5.2f} {'reached' if round(ratio, 2) <= goal else 'missed'}"
            limit = LIMITS.get(name) if boot == "memory" else None
            if limit is not None:
                verdict = f"at most {limit} bytes: {'kept' if ours <= limit else 'exceeded'}"
            lines.append(f"{name:34} {c:12} {ours:12} {ratio:6.2f} {verdict}")
        return "\n".join(lines)

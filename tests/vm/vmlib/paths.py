# SPDX-License-Identifier: GPL-2.0
"""Where things are. scripts/in-root passes the folders that set-up made through the environment."""

import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]


def stock(arch: str) -> Path:
    """The unpacked stock kernel: vmlinuz and lib/modules/<release>."""
    return Path(os.environ.get("VFIO_STOCK") or missing("VFIO_STOCK")) / arch


def test_programs(arch: str) -> Path:
    """The static test programs: the kernel's selftests and our own."""
    return Path(os.environ.get("VFIO_TESTBIN") or PROJECT / "build" / arch / "tests")


def missing(name: str) -> str:
    raise SystemExit(f"{name} is not set: start me with `make test` or through scripts/in-root")

# SPDX-License-Identifier: GPL-2.0
"""Where things are. scripts/in-root passes the folders that set-up made through the environment."""

import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]


def kernel(arch: str, debug: bool) -> Path:
    """The stock kernel or the debug kernel: vmlinuz and lib/modules/<release>."""
    name = "VFIO_DEBUG" if debug else "VFIO_STOCK"
    path = Path(os.environ.get(name) or missing(name)) / arch
    if not (path / "vmlinuz").exists():
        raise SystemExit(f"there is no kernel in {path}: run `scripts/setup kernel{' debug' if debug else ''}`")
    return path


def our_modules(arch: str, debug: bool) -> Path:
    """Where `make modules` puts those that are built for that kernel."""
    return PROJECT / "build" / (f"{arch}-debug" if debug else arch)


def test_programs(arch: str) -> Path:
    """The static test programs: the kernel's selftests and our own."""
    return Path(os.environ.get("VFIO_TESTBIN") or PROJECT / "build" / arch / "tests")


def missing(name: str) -> str:
    raise SystemExit(f"{name} is not set: start me with `make test` or through scripts/in-root")

# SPDX-License-Identifier: GPL-2.0
"""Where things are. scripts/in-root passes the folders that set-up made through the environment."""

import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]


# What each kernel is called in the environment.
KERNELS = {"stock": "VFIO_STOCK", "older": "VFIO_OLDER", "debug": "VFIO_DEBUG", "kcsan": "VFIO_KCSAN", "iommufd": "VFIO_IOMMUFD"}


def kernel(arch: str, which: str) -> Path:
    """One of the kernels: vmlinuz and lib/modules/<release>."""
    name = KERNELS[which]
    path = Path(os.environ.get(name) or missing(name)) / arch
    if not (path / "vmlinuz").exists():
        raise SystemExit(f"there is no kernel in {path}: run `scripts/setup {'kernel' if which == 'stock' else which}`")
    return path


def our_modules(arch: str, which: str) -> Path:
    """Where `make modules` puts those that are built for that kernel."""
    return PROJECT / "build" / (arch if which == "stock" else f"{arch}-{which}")


def test_programs(arch: str) -> Path:
    """The static test programs: the kernel's selftests and our own."""
    return Path(os.environ.get("VFIO_TESTBIN") or PROJECT / "build" / arch / "tests")


def test_modules(arch: str, which: str) -> Path:
    """The modules of suites that are built for that kernel."""
    return test_programs(arch) / "modules" if which == "stock" else our_modules(arch, which) / "test-modules"


def sample_modules(arch: str, which: str) -> Path:
    """The modules of samples/, built with ours for that kernel."""
    return our_modules(arch, which) / "samples"


def clients(name: str) -> Path:
    """A program of others with all that it needs, laid out for a machine's root (scripts/setup-clients)."""
    return Path(os.environ.get("VFIO_CLIENTS") or missing("VFIO_CLIENTS")) / name


def missing(name: str) -> str:
    raise SystemExit(f"{name} is not set: start me with `make test` or through scripts/in-root")

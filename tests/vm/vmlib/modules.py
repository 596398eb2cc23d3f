# SPDX-License-Identifier: GPL-2.0
"""Which of the modules are ours and which are the stock C ones."""

from pathlib import Path

# In the order of loading.
ALL = ("vfio", "vfio_iommu_type1", "vfio_iommu_spapr_tce", "vfio-pci-core", "vfio-pci")


def names(arch: str) -> tuple[str, ...]:
    """Those of an architecture: POWER has another backend."""
    other = "vfio_iommu_type1" if arch == "ppc64le" else "vfio_iommu_spapr_tce"
    return tuple(name for name in ALL if name != other)


def canonical(name: str) -> str:
    """A module's name as the file has it: `vfio_pci` and `vfio-pci` are the same module."""
    for known in ALL:
        if known.replace("-", "_") == name.replace("-", "_"):
            return known
    raise SystemExit(f"no module is called {name}: the modules are {', '.join(ALL)}")


def parse_selection(text: str, arch: str) -> dict[str, str]:
    """MODULES=: `rust`, `c`, a list of those in Rust, or a list of `-name` for all but those.

    `name=rust` and `name=c` in the list set one module.
    """
    text = text.strip() or "rust"
    if text in ("rust", "c"):
        return dict.fromkeys(names(arch), text)
    items = [item.strip() for item in text.split(",") if item.strip()]
    default = "rust" if all(item.startswith("-") or item.endswith("=c") for item in items) else "c"
    chosen = dict.fromkeys(ALL, default)
    for item in items:
        name, _, which = item.lstrip("-").partition("=")
        chosen[canonical(name)] = which or ("c" if item.startswith("-") else "rust")
    if bad := set(chosen.values()) - {"rust", "c"}:
        raise SystemExit(f"a module is `rust` or `c`, not `{bad.pop()}`")
    return {name: chosen[name] for name in names(arch)}


def ours(directory: Path) -> dict[str, Path]:
    """The modules a build left in `directory`."""
    found = {}
    for name in ALL:
        for path in (directory / f"{name}.ko", directory / f"{name.replace('-', '_')}.ko"):
            if path.exists():
                found[name] = path
    return found

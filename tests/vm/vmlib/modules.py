# SPDX-License-Identifier: GPL-2.0
"""Which of the four modules are ours and which are the stock C ones."""

from pathlib import Path

# In the order of loading.
NAMES = ("vfio", "vfio_iommu_type1", "vfio-pci-core", "vfio-pci")


def canonical(name: str) -> str:
    """A module's name as the file has it: `vfio_pci` and `vfio-pci` are the same module."""
    for known in NAMES:
        if known.replace("-", "_") == name.replace("-", "_"):
            return known
    raise SystemExit(f"no module is called {name}: the modules are {', '.join(NAMES)}")


def parse_selection(text: str) -> dict[str, str]:
    """MODULES=: `rust`, `c`, a list of those in Rust, or a list of `-name` for all but those.

    `name=rust` and `name=c` in the list set one module.
    """
    text = text.strip() or "rust"
    if text in ("rust", "c"):
        return dict.fromkeys(NAMES, text)
    items = [item.strip() for item in text.split(",") if item.strip()]
    default = "rust" if all(item.startswith("-") or item.endswith("=c") for item in items) else "c"
    chosen = dict.fromkeys(NAMES, default)
    for item in items:
        name, _, which = item.lstrip("-").partition("=")
        chosen[canonical(name)] = which or ("c" if item.startswith("-") else "rust")
    if bad := set(chosen.values()) - {"rust", "c"}:
        raise SystemExit(f"a module is `rust` or `c`, not `{bad.pop()}`")
    return chosen


def ours(directory: Path) -> dict[str, Path]:
    """The modules a build left in `directory`."""
    found = {}
    for name in NAMES:
        for path in (directory / f"{name}.ko", directory / f"{name.replace('-', '_')}.ko"):
            if path.exists():
                found[name] = path
    return found

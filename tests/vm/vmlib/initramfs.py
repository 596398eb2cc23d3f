# SPDX-License-Identifier: GPL-2.0
"""Builds the initramfs: busybox, the stock modules a machine needs, the VFIO modules, tests and one command."""

import lzma
import os
import shutil
import stat
from pathlib import Path

from . import modules as vfio_modules
from . import paths
from .machine import ONE_LINE, Machine

GUEST = Path(__file__).resolve().parents[1] / "guest"


class Cpio:
    """A cpio archive in the kernel's `newc` format, written by hand: it needs no root and no device nodes on disk."""

    def __init__(self, path: Path):
        self._out = open(path, "wb")
        self._inode = 0
        self._dirs: set[str] = set()

    def _entry(self, name: str, mode: int, data: bytes = b"", dev: tuple[int, int] = (0, 0)) -> None:
        self._inode += 1
        fields = (self._inode, mode, 0, 0, 1, 0, len(data), 0, 0, dev[0], dev[1], len(name) + 1, 0)
        head = b"070701" + b"".join(b"%08X" % f for f in fields) + name.encode() + b"\0"
        self._out.write(head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4))

    def parents(self, name: str) -> None:
        parts = name.split("/")[:-1]
        for i in range(1, len(parts) + 1):
            directory = "/".join(parts[:i])
            if directory not in self._dirs:
                self._dirs.add(directory)
                self._entry(directory, stat.S_IFDIR | 0o755)

    def directory(self, name: str) -> None:
        self.parents(name + "/")

    def data(self, name: str, data: bytes, mode: int = 0o644) -> None:
        self.parents(name)
        self._entry(name, stat.S_IFREG | mode, data)

    def file(self, name: str, path: Path) -> None:
        self.data(name, path.read_bytes(), stat.S_IMODE(path.stat().st_mode) | 0o444)

    def tree(self, folder: Path) -> None:
        """All files of a folder, under the names that they have in it."""
        for path in sorted(folder.rglob("*")):
            name = str(path.relative_to(folder))
            if path.is_symlink():
                self.link(name, os.readlink(path))
            elif path.is_file():
                self.file(name, path)

    def link(self, name: str, target: str) -> None:
        self.parents(name)
        self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def node(self, name: str, major: int, minor: int) -> None:
        self.parents(name)
        self._entry(name, stat.S_IFCHR | 0o600, b"", (major, minor))

    def close(self) -> None:
        self._entry("TRAILER!!!", 0)
        self._out.close()


def release(kernel: Path) -> str:
    return next((kernel / "lib" / "modules").iterdir()).name


def module_data(path: Path) -> bytes:
    return lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()


class KernelModules:
    """A kernel's own modules and what each needs (modules.dep)."""

    def __init__(self, kernel: Path):
        self.base = kernel / "lib" / "modules" / release(kernel)
        self.files: dict[str, str] = {}
        self.needs: dict[str, list[str]] = {}
        for line in (self.base / "modules.dep").read_text().splitlines():
            file, _, needs = line.partition(":")
            name = self.name(file)
            self.files[name] = file
            self.needs[name] = [self.name(n) for n in needs.split()]

    @staticmethod
    def name(file: str) -> str:
        return Path(file).name.split(".ko")[0].replace("-", "_")

    def closure(self, names: tuple[str, ...]) -> list[str]:
        wanted: list[str] = []
        for name in (n.replace("-", "_") for n in names):
            if name in self.files:
                wanted += [n for n in [*self.needs[name], name] if n not in wanted]
        return wanted

    def data(self, name: str) -> bytes:
        return module_data(self.base / self.files[name.replace("-", "_")])


def add_modules(cpio: Cpio, kernel: KernelModules, names: list[str]) -> None:
    """Those of its own modules, where modprobe finds them."""
    directory = f"lib/modules/{kernel.base.name}"
    for name in names:
        cpio.data(f"{directory}/{name}.ko", kernel.data(name))
    dep = "".join(f"{n}.ko:{''.join(f' {d}.ko' for d in kernel.needs[n])}\n" for n in names)
    cpio.data(f"{directory}/modules.dep", dep.encode())


def busybox() -> Path:
    return Path(os.environ.get("VFIO_BUSYBOX", "/usr/bin/busybox"))


def add_guest(cpio: Cpio, work: Path, arch: str, guest: tuple[str, ...], init: Path) -> None:
    """What a guest in the machine boots: the stock kernel, with these modules of its own and those of suites."""
    kernel = KernelModules(paths.kernel(arch, "stock"))
    inner = Cpio(work / "guest")
    for name in ("proc", "sys", "dev", "sbin", "bin", "tmp"):
        inner.directory(name)
    inner.node("dev/console", 5, 1)
    inner.file("bin/busybox", busybox())
    for link in ("bin/sh", "sbin/modprobe"):
        inner.link(link, "/bin/busybox")
    add_modules(inner, kernel, kernel.closure(guest))
    inner.file("vfio_test_edu.ko", paths.test_modules(arch, "stock") / "vfio_test_edu.ko")
    inner.data("init", init.read_bytes(), 0o755)
    inner.close()
    cpio.file("vm/guest/initramfs", work / "guest")
    cpio.file("vm/guest/vmlinuz", paths.kernel(arch, "stock") / "vmlinuz")


def build(
    out: Path,
    machine: Machine,
    *,
    command: str,
    selection: dict[str, str],
    rust: dict[str, Path],
    files: dict[str, Path],
    environment: dict[str, str],
    clients: tuple[str, ...] = (),
    guest: tuple[str, ...] = (),
) -> None:
    """Writes the initramfs of `machine` that runs the shell text `command` and powers off.

    `clients` are programs of others that it has (paths.clients), `guest` the modules of a guest in it, if it has one.
    """
    kernel = KernelModules(paths.kernel(machine.arch, machine.kernel))
    cpio = Cpio(out)
    for name in ("proc", "sys", "dev", "tmp", "run", "mnt", "root", "sbin", "bin", "lib", "etc", "vm"):
        cpio.directory(name)
    cpio.node("dev/console", 5, 1)
    cpio.file("bin/busybox", busybox())
    # The others it makes itself (tests/vm/guest/init): it may be a program of another architecture than ours.
    for link in ("bin/sh", "sbin/modprobe"):
        cpio.link(link, "/bin/busybox")

    names = vfio_modules.names(machine.arch)
    vfio = {n.replace("-", "_") for n in names}
    wanted = [n for n in kernel.closure((*machine.early, *machine.modules, *names)) if n not in vfio]
    add_modules(cpio, kernel, wanted)

    for name in names:
        cpio.data(f"vm/c/{name}.ko", kernel.data(name))
        if name in rust:
            cpio.file(f"vm/rust/{name}.ko", rust[name])
        elif selection[name] == "rust":
            raise SystemExit(f"{name}.ko is wanted in Rust but was not built: run `make modules`")
    cpio.data("vm/modules", "".join(f"{n} {w}\n" for n, w in selection.items()).encode())
    table = "".join(f"{d.name} {d.bdf} {d.pci_id} {d.driver or '-'}\n" for d in machine.devices)
    cpio.data("vm/devices", table.encode())
    cpio.data("vm/env", "".join(f"export {k}='{v}'\n" for k, v in environment.items()).encode())
    cpio.data("vm/cannot", "".join(f"{test} {why}\n" for test, why in machine.cannot).encode())
    cpio.data("vm/early", " ".join(machine.early).encode())
    # What the VFIO modules, ours as well as the C ones, need of others.
    others = [n for n in kernel.closure(names) if n not in vfio]
    cpio.data("vm/needed", "\n".join(others).encode())
    cpio.data("vm/command", command.encode())
    if machine.lines == ONE_LINE:
        cpio.data("vm/one-line", b"")
    cpio.file("vm/lib.sh", GUEST / "lib.sh")
    cpio.data("init", (GUEST / "init").read_bytes(), 0o755)
    programs = paths.test_programs(machine.arch)
    for path in sorted(programs.iterdir()) if programs.is_dir() else []:
        if path.is_file():
            cpio.file(f"vm/bin/{path.name}", path)
    for path in sorted(paths.test_modules(machine.arch, machine.kernel).glob("*.ko")):
        cpio.file(f"vm/test-modules/{path.name}", path)
    for path in sorted(paths.sample_modules(machine.arch, machine.kernel).glob("*.ko")):
        cpio.file(f"vm/samples/{path.name}", path)
    for program in ("vfio-edu", "vfio-clients"):
        path = paths.PROJECT / "build" / machine.arch / program
        if path.exists():
            cpio.file(f"vm/bin/{program}", path)
    for name, path in files.items():
        cpio.file(name.lstrip("/"), path)
    for name in clients:
        cpio.tree(paths.clients(name))
    if guest:
        add_guest(cpio, out.parent, machine.arch, guest, paths.PROJECT / "tests" / "suites" / "guest" / "guest-init")
    cpio.close()


def make_disk(path: Path) -> None:
    """A small disk image with a pattern that a driver under test can recognise."""
    if not path.exists():
        with open(path.with_suffix(".tmp"), "wb") as out:
            out.write(b"".join(b"vfio block %08d\n" % (n // 25) for n in range(8192 * 25)))
            out.truncate(16 << 20)
        shutil.move(path.with_suffix(".tmp"), path)

# SPDX-License-Identifier: GPL-2.0
"""The command line."""

import argparse
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from . import initramfs, kernellog, modules, paths, qemu, suites, symbols
from .machine import MACHINES, Machine

DESCRIPTION = "Boots a test machine with the stock kernel and runs suites or shell text in it."
EPILOG = """\
Shell text (--sh) may use, besides busybox:
  vfio_load [MODULE=rust|c]...   load the four modules (as selected, but for those named)
  vfio_unload                    unload them
  bind DEV [DRIVER]              give a device to vfio-pci (or DRIVER) by driver_override
  unbind DEV                     take it away again
  bdf DEV, group DEV             its PCI address, its IOMMU group
  kst PROGRAM DEV [ARGUMENTS]    one of the kernel's selftests (vfio_pci_device_test, ...) on a device
  t NAME COMMAND...              run a command and print a KTAP line
Devices of q35-vtd: edu ivshmem igb e1000e nvme virtio-net virtio-blk; twin-a and twin-b share a group.
Everything in --files appears under its path; the test programs are in the PATH.
"""


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tests/vm/run", description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--machine", action="append", default=[], help="a machine (default: all)")
    parser.add_argument("--suite", action="append", default=[], help="a suite (default: those of the machine)")
    parser.add_argument("--long", action="store_true", help="run the long suites too")
    parser.add_argument("--modules", default="", help="rust | c | those in Rust | -those in C (default: rust)")
    parser.add_argument("--modules-dir", type=Path, help="folder with our .ko files (default: build/<arch>[-<kernel>])")
    parser.add_argument("--rust", action="append", default=[], metavar="NAME=KO", help="one of our .ko files")
    parser.add_argument("--sh", help="shell text to run instead of a suite")
    parser.add_argument("--script", type=Path, help="as --sh, from a file")
    parser.add_argument("--no-log", action="store_true", help="with --sh: do not print a kernel log that is clean")
    parser.add_argument("--allow", default="", help="with --sh: expression for kernel messages that are wanted")
    parser.add_argument("--load", action="store_true", help="with --sh: vfio_load first")
    parser.add_argument("--file", action="append", default=[], metavar="HOST:GUEST", help="put a file into the guest")
    parser.add_argument("--environment", action="append", default=[], metavar="NAME=VALUE", help="for the suites")
    parser.add_argument("--client", action="append", default=[], help="with --sh: a program of others (scripts/setup-clients)")
    parser.add_argument("--guest", default="", metavar="MODULES", help="with --sh: a guest's kernel, with these modules")
    parser.add_argument("--cmdline", default="", help="more kernel command line")
    parser.add_argument("--qemu-arg", action="append", default=[], help="more QEMU arguments")
    parser.add_argument("--timeout", type=float, help="seconds for a boot (default: the suite's)")
    parser.add_argument("--work", type=Path, help="keep initramfs, console, output and kernel log in this folder")
    parser.add_argument("--jobs", type=int, default=2, help="machines that run side by side (default: 2)")
    parser.add_argument("--list", action="store_true", help="list machines and suites")
    parser.add_argument("--arch", help="only machines of this architecture")
    parser.add_argument("--tally", type=Path, help="append the numbers to this file instead of printing them last")
    parser.add_argument("--kernels", action="store_true", help="list what the run needs (suites.needs)")
    parser.add_argument("-v", "--verbose", action="store_true", help="show the kernel's console as well")
    return parser.parse_args(argv)


def rust_modules(options: argparse.Namespace, machine: Machine) -> dict[str, Path]:
    directory = options.modules_dir or paths.our_modules(machine.arch, machine.kernel)
    found = modules.ours(directory) if directory.is_dir() else {}
    for item in options.rust:
        name, _, path = item.partition("=")
        found[modules.canonical(name)] = Path(path)
    return found


def shell(options: argparse.Namespace, work: Path) -> int:
    """--sh: one boot, everything shown as it comes, the kernel log at the end."""
    machine = MACHINES[(options.machine or ["q35-vtd"])[0]]
    rust = rust_modules(options, machine)
    text = options.modules or ("rust" if set(rust) == set(modules.names(machine.arch)) and options.modules_dir else "") or (",".join(f"{n}=rust" for n in rust) if rust else "c")
    selection = modules.parse_selection(text, machine.arch)
    command = ("vfio_load || exit\n" if options.load else "") + options.sh + "\n"
    files = {guest: Path(host) for host, _, guest in (f.partition(":") for f in options.file)}
    initramfs.make_disk(work / "disk")
    initramfs.build(
        work / "initramfs",
        machine,
        command=command,
        selection=selection,
        rust=rust,
        files=files,
        environment=dict(machine.environment),
        clients=tuple(options.client),
        guest=tuple(options.guest.split(",")) if options.guest else (),
    )
    print("# modules: " + " ".join(f"{n}={w}" for n, w in selection.items()), flush=True)

    def out(line: str) -> None:
        if not line.startswith("VM-"):
            print(line, flush=True)

    outcome = qemu.boot(
        machine,
        work,
        work / "disk",
        timeout=options.timeout or 300 * machine.slowness,
        cmdline=options.cmdline,
        args=tuple(options.qemu_arg),
        on_line=out,
        on_console=out if options.verbose else lambda line: None,
    )
    log = kernellog.parse(outcome.kernel_log, outcome.console)
    bad = kernellog.problems(log, options.allow)
    quiet = options.verbose or (options.no_log and outcome.status == 0 and not bad)
    if outcome.kernel_log and not quiet:
        print("# kernel log from the end of the boot on:")
        lines = outcome.kernel_log.splitlines()
        starts = [i for i, line in enumerate(lines) if "Run /init as init process" in line]
        print("\n".join(lines[starts[0] if starts else 0 :]))
    elif not outcome.kernel_log:
        print("# the guest did not reach its end; its console:")
        print(outcome.console)
    for line in symbols.readable(kernellog.excerpt(log, bad), rust) + kernellog.foreign_leaks(log):
        print(f"# KERNEL: {line}")
    # By hand one may taint it, and stop what watches.
    for line in kernellog.unsound(log, machine.arch, machine.kernel) if log.ended else []:
        print(f"# the kernel: {line}")
    ended = "timed out" if outcome.timed_out else f"exit status {outcome.status}"
    print(f"# {machine.name}: {ended} after {outcome.seconds:.0f} s")
    return outcome.status if outcome.status is not None and not bad else 1


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = parse(sys.argv[1:])
    for name in options.machine:
        if name not in MACHINES:
            raise SystemExit(f"no machine is called {name}: {', '.join(MACHINES)}")
    if options.list:
        suites.show()
        return 0
    if options.kernels:
        print(*suites.needs(suites.selected(options)))
        return 0
    work = options.work or Path(tempfile.mkdtemp(prefix="vfio-vm."))
    work.mkdir(parents=True, exist_ok=True)
    try:
        if options.script:
            options.sh = options.script.read_text()
        if options.sh is not None:
            return shell(options, work)
        return suites.run(options, work, rust_modules)
    finally:
        if not options.work:
            shutil.rmtree(work, ignore_errors=True)

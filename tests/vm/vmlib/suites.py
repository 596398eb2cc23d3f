# SPDX-License-Identifier: GPL-2.0
"""The suites, and running them: one boot per machine and suite, several machines side by side."""

import argparse
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from . import initramfs, kernellog, ktap, modules, paths, qemu, symbols
from .machine import MACHINES, Machine

DIRECTORY = paths.PROJECT / "tests" / "suites"


@dataclass(frozen=True)
class Suite:
    """A suite is tests/suites/<script>/suite.sh, run by the guest's shell after lib.sh."""

    name: str
    about: str
    timeout: float  # of the whole boot, in seconds, on an emulated machine with two slow processors
    script: str = ""  # folder below tests/suites, if it is not the suite's name
    environment: tuple[tuple[str, str], ...] = ()
    both: bool = False  # wants our modules beside the C ones, so there is nothing to do for MODULES=c
    allowed: str = ""  # expression for kernel messages that this suite provokes
    inversion: str = ""  # an inversion of locks that is the kernel's own, as lockdep reports it
    tainted: str = ""  # letters of the taint that it brings about (kernellog.TAINTS)
    # What has to be found in its kernel's log and state, each as texts that follow on each other: it is judged the other way round.
    provokes: tuple[tuple[str, ...], ...] = ()
    faults: tuple[str, ...] = ()  # devices whose DMA it has the IOMMU stop
    cmdline: str = ""
    files: tuple[str, ...] = ()  # more files of the project, that /vm/suite has to have
    clients: tuple[str, ...] = ()  # programs of others (scripts/setup-clients)
    guest: tuple[str, ...] = ()  # modules of a guest in the machine, if there is one
    stumbles: str = ""  # what it prints when it failed by QEMU's emulation, and not by what is tested: it is run once more then

    @property
    def path(self) -> Path:
        return DIRECTORY / (self.script or self.name) / "suite.sh"


# Freed and overrun slab objects are poisoned and checked, and know who allocated them.
SLUB = "slub_debug=FZPU"

# vfio_pci_driver_test makes igb read and write where nothing is mapped.
IGB = ("igb",)
# samples/edu has the IOMMU block a DMA after unmap, both ways.
EDU = ("edu", "edu-port")

# Makes emulated steps faster, most of all the string instructions that clear pages.
FASTER = "clearcpuid=erms,fsrm mitigations=off init_on_alloc=0"
# vfio_dma_rw() by a driver that holds a lock which it takes in dma_unmap as well: in C a lock of the container is between.
C_TYPE1 = r"(?s)vfio_notify_dma_unmap\+.*vfio_iommu_type1_register_device\+.*vfio_iommu_type1_dma_rw\+"
# pciehp_unconfigure_device() takes two locks in both orders, each time a device is removed.
PCIEHP = r"(?s)trying to acquire lock:[^\n]*\n[^\n]*&ctrl->reset_lock[^\n]*pciehp_unconfigure_device.*holding lock:[^\n]*\n[^\n]*pci_rescan_remove_lock"
# A driver that is unbound from a function with virtual ones takes these away without the lock that the PCI core wants to be held; C's
# vfio-pci as any. It cannot take it: it is held where the function itself is removed. Only lockdep notices.
REMOVES_FUNCTIONS = r"WARNING: at pci_stop_and_remove_bus_device\+"
# An interrupt that POWER's kernel makes up for where it lets interrupts in again: lockdep takes that for wrong as the machine starts,
# and turns itself off.
POWER_LOCKDEP = r"WARNING: .* at lockdep_hardirqs_on_prepare\+.*: swapper/"
# C says each time that a limit is exceeded: the log must have room for more than that.
STEPS_LOG = f"log_buf_len=16M loglevel=4 {FASTER}"

# A guest in the machine: what it is made of, and what makes both kernels faster in an emulation.
GUEST = {
    "clients": ("qemu",),
    "guest": ("nvme", "e1000e", "igbvf"),
    "cmdline": FASTER,
    # Now and then KVM is told by the emulated SVM that an access to the emulated I/O APIC, which is made with interrupts off, came
    # amid the delivery of an event, and stops the guest: KVM_INTERNAL_ERROR_DELIVERY_EV.
    "stumbles": r"KVM internal error\. Suberror: 3",
}

# More of what is found in a kernel's log is in build/test-failures, and not printed.
REPORT_LINES = 400

SUITES = {
    s.name: s
    for s in (
        Suite("smoke", "each device is bound, opened by a selftest, unbound; modules removed", 300),
        Suite("edu", "samples/edu, the user-space driver of `make run`; igb by MSI-X, a disk by NVMe", 300, faults=EDU),
        Suite("kselftest", "the kernel's selftests, group and container mode", 1200, faults=IGB),
        Suite(
            "kselftest-short",
            "the same in one mode, all of them on igb",
            1200,
            script="kselftest",
            environment=(("KSELFTEST_SHORT", "1"),),
            faults=IGB,
        ),
        Suite(
            "kselftest-long",
            "the kernel's selftests, every mode on every device",
            3600,
            script="kselftest",
            environment=(("KSELFTEST_LONG", "1"),),
            faults=IGB,
        ),
        Suite("mix", "each module alone in Rust, and each alone in C", 900, both=True),
        Suite("lifecycle", "load, bind, open, unbind, unload in every order, 100 times", 2400, cmdline=SLUB),
        Suite("core", "threads race for groups, containers and devices; modules come and go", 300, both=True, cmdline=SLUB),
        Suite("races", "calls stopped half-way, descriptors passed on and killed, drivers that go", 600, cmdline=SLUB),
        Suite(
            "races-long",
            "the same longer, on a device that is reset as well, and on the C modules",
            3000,
            script="races",
            environment=(("RACES_LONG", "1"),),
            cmdline=SLUB,
        ),
        Suite("diag", "debugfs, messages at refusals, who holds a device", 600, both=True, cmdline=SLUB),
        Suite("pci", "several threads do all that a user can do to a device, at random", 600, cmdline=SLUB),
        Suite(
            "pci-long",
            "the same longer, with INTx, on more devices",
            1800,
            script="pci",
            environment=(("PCI_LONG", "1"),),
            cmdline=SLUB,
        ),
        Suite("config", "writes to configuration space: read back the same as on the C modules", 600, cmdline=SLUB),
        Suite(
            "config-long",
            "the same with every byte, on more devices",
            7200,
            script="config",
            environment=(("CONFIG_LONG", "1"),),
            cmdline=SLUB,
        ),
        Suite("boards", "configuration space of boards with each capability there is: the same as on the C modules", 900, cmdline=SLUB),
        Suite(
            "boards-long",
            "the same with more of them",
            7200,
            script="boards",
            environment=(("BOARDS", "24"), ("BYTES", "1024"), ("WRITES", "2000"), ("SEEDS", "1 2")),
            cmdline=SLUB,
        ),
        Suite("dma-buf", "BARs as dma-bufs: imported, revoked, outliving the device", 300, cmdline=SLUB),
        Suite(
            "hotplug",
            "PCIe errors and hot-unplug of a device in use: seen the same as on the C modules",
            900,
            inversion=PCIEHP,
            cmdline=SLUB,
        ),
        Suite(
            "hotplug-long",
            "the same on more devices",
            3000,
            script="hotplug",
            environment=(("HOTPLUG_LONG", "1"),),
            inversion=PCIEHP,
            cmdline=SLUB,
        ),
        Suite(
            "surprise",
            "a device in use that is gone at once: seen the same as on the C modules",
            900,
            script="hotplug",
            environment=(("SCENES", "lost"), ("HOTPLUG_LONG", "1")),
            inversion=PCIEHP,
            cmdline=f"{SLUB} pciehp.pciehp_poll_mode=1 pciehp.pciehp_poll_time=1",
        ),
        Suite(
            "power",
            "devices that sleep, idle and in use; virtual functions and their token: the same as on the C modules",
            900,
            files=("tests/suites/hotplug/user.sh",),
            allowed=REMOVES_FUNCTIONS,
            tainted="W",
            cmdline=SLUB,
        ),
        Suite(
            "power-long",
            "the same with more devices, and virtual functions of another driver",
            1800,
            script="power",
            environment=(("POWER_LONG", "1"),),
            files=("tests/suites/hotplug/user.sh",),
            allowed=REMOVES_FUNCTIONS,
            tainted="W",
            cmdline=SLUB,
        ),
        Suite("mappings", "large BARs in huge pages: taken away and back, the same as on the C modules", 600, cmdline=SLUB),
        Suite(
            "cold",
            "devices without power: the same as on the C modules",
            600,
            files=("tests/suites/hotplug/user.sh",),
            cmdline=f"{SLUB} pcie_port_pm=force",
        ),
        Suite("igd", "the regions of Intel graphics, on a device that is made to look like it", 300, cmdline=SLUB),
        Suite("noiommu", "no-IOMMU mode: absent until asked for, rights, containers, DMA by physical address", 600, tainted="U", cmdline=SLUB),
        Suite("tables", "the pure functions that are exported answer as tests/host/tables", 300, files=("tests/host/tables/*.txt",)),
        Suite("abi", "files, nodes, uevents and messages, the same as those of the C modules", 1200, both=True, files=("tests/abi/compare.sh",)),
        Suite("vga", "VGA memory and ports, ROMs, BARs of ports: the same as on the C modules", 300, cmdline=f"{SLUB} vga=0x317"),
        Suite("variants", "C variant drivers of vfio-pci; one calls all that the core exports, the same as on the C core", 600, cmdline=SLUB),
        Suite("fuzz", "100,000 random steps on the C modules and on ours: the same answers", 1800, cmdline=FASTER),
        Suite(
            "fuzz-iommufd",
            "the same with devices' own nodes and iommufd",
            900,
            script="fuzz",
            environment=(("FUZZ_STEPS", "20000"),),
            cmdline=f"{FASTER} slub_debug=FZP",
        ),
        Suite(
            "fuzz-long",
            "the same with a million steps from another seed",
            7200,
            script="fuzz",
            environment=(("FUZZ_SEED", "2"), ("FUZZ_STEPS", "1000000")),
            cmdline=f"{FASTER} slub_debug=FZP",
        ),
        Suite(
            "emulated",
            "mediated and emulated devices, C drivers above our modules; answers the same as on the C ones",
            900,
            cmdline=SLUB,
        ),
        Suite(
            "emulated-long",
            "the same, with threads racing for longer",
            1800,
            script="emulated",
            environment=(("EMULATED_SECONDS", "180"),),
            cmdline=SLUB,
        ),
        Suite(
            "type1",
            "DMA into pages that are mapped, shared, protected, just unmapped; threads map and unmap; nothing left",
            450,
            faults=EDU,
            environment=(("TYPE1_SECONDS", "5"),),
            cmdline=SLUB,
        ),
        Suite(
            "type1-long",
            "the same, the threads for longer",
            900,
            script="type1",
            faults=EDU,
            cmdline=SLUB,
        ),
        Suite(
            "type1-steps",
            "random steps on containers by several processes: the same as on the C modules; what differs is made short",
            1800,
            faults=EDU,
            environment=(("STEPS_SCRIPTS", "10"), ("STEPS_COUNT", "2000")),
            # Its IOMMU fails to unmap when told to, and the kernel would then complain of each page whenever it is freed again.
            cmdline=f"{SLUB} {STEPS_LOG} iommu.debug_pagealloc=0",
            inversion=C_TYPE1,
            # Devices that are behind an IOMMU of the test's get it without a lock that only the IOMMU core can take.
            allowed=r"WARNING: at iommu_fwspec_init\+",
            tainted="W",
        ),
        Suite(
            "type1-steps-long",
            "the same, 1,000,000 steps",
            14400,
            script="type1-steps",
            faults=EDU,
            environment=(("STEPS_SCRIPTS", "400"), ("STEPS_SLICE", "8"), ("STEPS_COUNT", "2500"), ("STEPS_SEED", "1000")),
            cmdline=STEPS_LOG,
        ),
        Suite("noiommu-kinds", "groups with and without an IOMMU side by side", 300, tainted="U", faults=EDU, cmdline=SLUB),
        Suite("groups", "groups of several devices, with all combinations of drivers; groups moved between containers", 900, cmdline=SLUB),
        Suite(
            "spapr",
            "DMA windows of POWER, EEH: answers the same as those of the C modules, DMA, random steps",
            1800,
            allowed=POWER_LOCKDEP,
        ),
        Suite(
            "spapr-long",
            "the same, 200,000 random steps, each module alone in Rust and in C",
            7200,
            script="spapr",
            environment=(("SPAPR_LONG", "1"), ("SPAPR_STEPS", "100000"), ("SPAPR_RELOADS", "10"), ("SPAPR_SECONDS", "60")),
        ),
        Suite(
            "spapr-faults",
            "the calls of the POWER backend, each allocation failing once",
            1200,
            files=("tests/suites/faults/arm.sh",),
            allowed=rf"vmalloc error: |kmemleak: Cannot allocate a scan area|{POWER_LOCKDEP}",
            tainted="W",
        ),
        Suite(
            "guest",
            "Debian's QEMU with KVM: a guest with four devices, as a user without rights; unplugged, plugged in, reset, killed",
            1800,
            **GUEST,
        ),
        Suite(
            "guest-viommu",
            "the same with an IOMMU in the guest: it maps and unmaps as it runs",
            1800,
            script="guest",
            environment=(("GUEST_VIOMMU", "1"),),
            **GUEST,
        ),
        Suite(
            "guest-viommu-short",
            "the same, only used and killed",
            1800,
            script="guest",
            environment=(("GUEST_VIOMMU", "1"), ("GUEST_SHORT", "1")),
            **GUEST,
        ),
        Suite(
            "guest-iommufd",
            "the same with devices' own nodes and iommufd",
            1800,
            script="guest",
            environment=(("GUEST_MODE", "iommufd"),),
            **GUEST,
        ),
        Suite(
            "guest-iommufd-viommu",
            "the same with an IOMMU in the guest",
            1800,
            script="guest",
            environment=(("GUEST_MODE", "iommufd"), ("GUEST_VIOMMU", "1")),
            **GUEST,
        ),
        Suite(
            "clients",
            "rust-vmm's vfio-ioctls, the crates pci-driver and nvme-driver, QEMU's NVMe driver in user space: the same as on the C modules",
            600,
            clients=("qemu",),
            cmdline=SLUB,
        ),
        Suite("dpdk", "DPDK's testpmd on three network cards; killed and started anew", 600, tainted="U", clients=("dpdk",)),
        Suite("soak", "everything over and over on six devices at a time; `make soak` for longer", 86400, cmdline="log_buf_len=64M"),
        Suite("kvm", "KVM's link with VFIO: which files, coherency, who keeps a virtual machine", 300, cmdline=SLUB),
        Suite(
            "kvm-nodes",
            "the same for devices that are used by their own nodes and iommufd",
            300,
            script="kvm",
            environment=(("KVM_NODES", "1"),),
            cmdline=SLUB,
        ),
        Suite(
            "kselftest-iommufd",
            "the kernel's selftests, the modes of iommufd",
            1800,
            script="kselftest",
            environment=(("KSELFTEST_IOMMUFD", "1"),),
            faults=IGB,
        ),
        Suite(
            "kselftest-iommufd-long",
            "the same on every device, and virtual functions",
            3600,
            script="kselftest",
            environment=(("KSELFTEST_IOMMUFD", "1"), ("KSELFTEST_LONG", "1")),
            faults=IGB,
        ),
        Suite("iommufd", "device nodes and iommufd: answers the same as those of the C modules; races", 1800, cmdline=SLUB),
        Suite(
            "iommufd-noiommu",
            "the same without an IOMMU",
            900,
            script="iommufd",
            environment=(("IOMMUFD_NOIOMMU", "1"),),
            tainted="U",
            cmdline=SLUB,
        ),
        Suite(
            "faults",
            "each allocation and user copy of each operation fails once: unwound, and works afterwards",
            900,
            # Giving a device back to the kernel's own domain must not fail, and the IOMMU core says so when it does; the
            # same on the C modules. A file below /proc/irq that could not be made is not missed until it is removed.
            # Failing vmalloc shows where it was called; an object of sysfs says that there was no memory; kmemleak's own fails as well.
            allowed=r"WARNING: at (iommu_(group|device)_release_dma_owner|remove_proc_entry)\+|vmalloc error: |"
            r"kobject_add_internal failed for .* \(error: -12 |kmemleak: Cannot allocate a scan area",
            tainted="W",
            # One thing is done after the other, and an emulated processor waits for the turn of each other one.
            cmdline="nr_cpus=1",
        ),
        Suite("samples", "the modules of samples/, on ours and on the C ones", 300, both=True, faults=EDU, cmdline=SLUB),
        Suite("kunit", "the library crates under KUnit", 120, tainted="N", cmdline="kunit.enable=1 kunit.autorun=1"),
        Suite(
            "detectors",
            "what the debug kernel is to notice is done wrong on purpose: each of it is found, and shown",
            120,
            provokes=(
                ("BUG: sleeping function called from invalid context",),
                ("list_del corruption",),
                ("refcount_t: addition on 0; use-after-free",),
                ("UBSAN: shift-out-of-bounds",),
                ("ODEBUG: free active",),
                # The module that lost it is gone: another one may be there now, and lend its name.
                ("unreferenced object", "kmalloc", "do_init_module"),
                ("possible circular locking dependency", "stack backtrace:", "splat_locks", "</TASK>"),
                ("BUG: KASAN: slab-out-of-bounds in splat_bounds",),
                ("BUG: KASAN: slab-use-after-free in splat_freed", "Allocated by task", "Freed by task", "======"),
                ("panicked at ", "attempt to add with overflow"),
                ("kernel BUG at ", "core::panicking::panic_const", "init_module", "---[ end trace"),
                ("tainted: BDW (",),
                ("lockdep is off",),
            ),
        ),
        Suite(
            "unwind",
            "bad pages, limits, broken arguments, signals, no memory: what fails half-way leaves nothing",
            600,
            # What the kernel shows when it kills for want of memory in a cgroup.
            allowed="invoked oom-killer: ",
            cmdline=SLUB,
        ),
        Suite(
            "attack",
            "a user without privileges attacks the host: what he is answered is the same as on the C modules",
            1800,
            both=True,
            faults=EDU,
            # What the kernel says when a message is no interrupt of the device's, and when a cgroup has no memory.
            allowed=r"DMAR: \[INTR-REMAP\] Request device \[0000:(01:00\.0|ff:1f\.7)\]|invoked oom-killer: ",
            # Each kill is a hundred lines.
            cmdline=f"{SLUB} log_buf_len=32M loglevel=4",
        ),
        Suite(
            "attack-lost",
            "a device is pulled out while such a user has it: the same as on the C modules",
            900,
            script="attack",
            environment=(("ATTACK", "lost"),),
            both=True,
            inversion=PCIEHP,
            files=("tests/suites/hotplug/user.sh",),
            cmdline=f"{SLUB} pciehp.pciehp_poll_mode=1 pciehp.pciehp_poll_time=1",
        ),
        Suite(
            "errors",
            "answers to right and wrong calls, the same as those of the C modules",
            1800,
            # A kernel with CONFIG_DEBUG_VM shows who pins memory that userfaultfd is to fill, of C and of ours.
            allowed="FAULT_FLAG_ALLOW_RETRY missing ",
            cmdline=SLUB,
        ),
    )
}


def needs(jobs: list[tuple[Machine, Suite]]) -> list[str]:
    """What has to be set up for these, as <architecture>/<kernel>, or <architecture>/clients."""
    found = {f"{machine.arch}/{machine.kernel}" for machine, _ in jobs}
    return sorted(found | {f"{machine.arch}/clients" for machine, suite in jobs if suite.clients})


def show() -> None:
    """make machines"""
    for machine in MACHINES.values():
        print(f"{machine.name:16} {machine.about}")
        print(f"{'':16}   suites: {' '.join(machine.suites)}")
        print(f"{'':16}   long:   {' '.join(machine.long_suites)}")
        print(f"{'':16}   devices: {' '.join(d.name for d in machine.devices)}")
    print()
    for suite in SUITES.values():
        print(f"{suite.name:16} {suite.about}")


class Printer:
    """Keeps the lines of one boot together when machines run side by side."""

    lock = threading.Lock()

    def __init__(self, live: bool):
        self._live = live
        self._lines: list[str] = []

    def line(self, text: str) -> None:
        if self._live:
            print(text, flush=True)
        else:
            self._lines.append(text)

    def flush(self) -> None:
        with self.lock:
            for text in self._lines:
                print(text)
            print(end="", flush=True)


def skipped(name: str, reason: str) -> ktap.Tally:
    print(f"ok - {name} # SKIP {reason}", flush=True)
    return ktap.Tally(skipped=1)


def in_order(lines: list[str], texts: tuple[str, ...]) -> bool:
    """Whether each of the texts is in a line, and none before the one that it follows."""
    left = iter(lines)
    return all(any(text in line for line in left) for text in texts)


def run_one(options: argparse.Namespace, work: Path, machine: Machine, suite: Suite, rust: dict, live: bool, again: bool = False):
    """One boot; returns its tally. `again` if QEMU's emulation has stumbled in it before."""
    name = f"{machine.name}.{suite.name}"
    selection = modules.parse_selection(options.modules, machine.arch)
    if suite.both and "rust" not in selection.values():
        return skipped(name, "MODULES=c has no module of ours to mix")
    folder = work / name
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for path in sorted(suite.path.parent.iterdir()):
        if path.is_file() and path.suffix != ".c":
            files[f"/vm/suite/{path.name}"] = path
    for pattern in suite.files:
        for path in sorted(paths.PROJECT.glob(pattern)):
            files[f"/vm/suite/{path.name}"] = path
    initramfs.build(
        folder / "initramfs",
        machine,
        command=". /vm/suite/suite.sh\n",
        selection=selection,
        rust=rust,
        files=files,
        environment={
            "MACHINE": machine.name,
            "SUITE": suite.name,
            "SLOWNESS": f"{machine.slowness:.0f}",
            **dict(suite.environment),
            # What a machine says of its own is for all suites, and it knows how slow it is.
            **dict(machine.environment),
            **dict(item.split("=", 1) for item in options.environment),
        },
        clients=suite.clients,
        guest=suite.guest,
    )
    printer = Printer(live)
    # A busy host makes a short suite slower by far more than a long one. It costs time only if something hangs.
    timeout = options.timeout or max(900, suite.timeout) * machine.slowness
    if not live:
        print(f"# {name}: running, at most {timeout:.0f} s", flush=True)
    printer.line(f"# {name}: {suite.about}; modules: " + " ".join(f"{n}={w}" for n, w in selection.items()))
    outcome = qemu.boot(
        machine,
        folder,
        work / "disk",
        timeout=timeout,
        cmdline=f"{suite.cmdline} {options.cmdline}",
        args=tuple(options.qemu_arg),
        on_line=lambda line: line.startswith("VM-") or printer.line("    " + line),
        on_console=(lambda line: printer.line("    console: " + line)) if options.verbose else lambda line: None,
    )
    tally = ktap.count(outcome.output)
    results = tally.passed + tally.failed + tally.skipped

    def verdict(ok: bool, what: str, lines: list[str]) -> None:
        tally.result(ok, f"{name}: {what}")
        printer.line(f"    {'ok' if ok else 'not ok'} - {name}: {what}")
        for line in lines:
            printer.line(f"    #   {line}")

    allowed = [suite.allowed] if suite.allowed else []
    allowed += [kernellog.faults(d.bdf) for d in machine.devices if d.name in suite.faults]
    log = kernellog.without_inversion(kernellog.parse(outcome.kernel_log, outcome.console), suite.inversion)
    bad = kernellog.problems(log, "|".join(allowed))
    reports = symbols.readable(kernellog.excerpt(log, bad, 20000), rust)
    unsound = kernellog.unsound(log, machine.arch, machine.kernel, suite.tainted) if log.ended else []
    if suite.provokes:
        for texts in suite.provokes:
            found = in_order(reports + unsound, texts)
            verdict(found, "found: " + " .. ".join(texts), [] if found else ["that is not in what is found:", *reports, *unsound])
    else:
        short = len(reports) <= REPORT_LINES
        verdict(not bad, "kernel log is clean", reports if short else symbols.readable(kernellog.excerpt(log, bad, REPORT_LINES), rust))
        verdict(not unsound, "kernel is untainted, what watches it works", unsound)
    for line in kernellog.foreign_leaks(log):
        printer.line(f"    # {line}")
    if outcome.timed_out:
        why = [f"killed after {outcome.seconds:.0f} s", *outcome.console.splitlines()[-40:]]
    elif outcome.status is None:
        why = ["the machine stopped before its end", *outcome.console.splitlines()[-60:]]
    else:
        why = [f"exit status {outcome.status}, {results} results, or not as many as were announced"]
    finished = outcome.status is not None and not outcome.timed_out and results > 0 and ktap.is_whole(outcome.output)
    finished = finished and (outcome.status == 0 or tally.failed > 0)
    verdict(finished, "suite ran to its end", [] if finished else why)
    printer.line(f"{'not ok' if tally.failed else 'ok'} - {name} # {outcome.seconds:.0f} s: {tally}")
    printer.flush()
    if tally.failed and not options.work:
        keep = paths.PROJECT / "build" / "test-failures" / name
        keep.mkdir(parents=True, exist_ok=True)
        for part in ("console", "output", "kernel", "qemu.sh"):
            if (folder / part).exists():
                (keep / part).write_bytes((folder / part).read_bytes())
        (keep / "report").write_text("".join(line + "\n" for line in reports + unsound))
        print(f"# kept in {keep.relative_to(paths.PROJECT)}: output, report, kernel, console, qemu.sh", flush=True)
    stumbled = suite.stumbles and re.search(suite.stumbles, outcome.output)
    if tally.failed and stumbled and not bad and not again:
        print(f"# {name}: not by what is tested, but by QEMU ({stumbled[0]}): once more", flush=True)
        return run_one(options, work, machine, suite, rust, live, again=True)
    return tally


def selected(options: argparse.Namespace) -> list[tuple[Machine, Suite]]:
    """What was asked for: each is a boot."""
    for name in options.suite:
        if name not in SUITES:
            raise SystemExit(f"no suite is called {name}: {', '.join(SUITES)}")
    jobs = []
    usual = [m for m in MACHINES.values() if options.long or not m.optional]
    for machine in [MACHINES[name] for name in options.machine] or usual:
        if options.arch and machine.arch != options.arch:
            continue
        every = machine.suites + machine.long_suites
        wanted = [s for s in every if s in options.suite] if options.suite else machine.suites
        if options.long and not options.suite:
            # What a long suite covers, its short form need not repeat.
            covered = {SUITES[s].script or s for s in machine.long_suites}
            wanted = [s for s in machine.suites if s.removesuffix("-short") not in covered] + list(machine.long_suites)
        jobs += [(machine, SUITES[s]) for s in wanted]
    if not jobs and not options.arch:
        raise SystemExit(f"no machine that was asked for has {' or '.join(options.suite) or 'suites of its own'}: `make machines` lists them")
    return jobs


def run(options: argparse.Namespace, work: Path, rust_modules) -> int:
    """Runs what was asked for; the last line is `N passed, N failed, N skipped`."""
    jobs = selected(options)
    initramfs.make_disk(work / "disk")
    print("TAP version 13", flush=True)
    total = ktap.Tally()
    live = len(jobs) == 1 or options.jobs == 1

    def job(pair) -> ktap.Tally:
        machine, suite = pair
        return run_one(options, work, machine, suite, rust_modules(options, machine), live)

    with ThreadPoolExecutor(max_workers=max(1, options.jobs)) as pool:
        # Those that may last longest start first.
        jobs.sort(key=lambda pair: -pair[1].timeout * pair[0].slowness)
        for tally in pool.map(job, jobs):
            total.add(tally)
    for name in total.failures:
        print(f"# FAILED: {name}")
    if options.tally:
        with open(options.tally, "a") as file:
            print(total.passed, total.failed, total.skipped, file=file)
    else:
        print(total, flush=True)
    return 1 if total.failed else 0

# SPDX-License-Identifier: GPL-2.0
"""Boots a machine and follows it until it powers off, or until its time is over."""

import ctypes
import functools
import mmap
import os
import platform
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Optional

from . import devicetree, paths
from .machine import ONE_LINE, Machine
from .monitor import Monitor

PR_SET_PDEATHSIG = 1


@dataclass
class Outcome:
    """What a run left behind."""

    output: str  # what the suite printed
    console: str  # the kernel's console
    kernel_log: str  # the kernel log in full, empty if the guest did not reach its end
    status: Optional[int]  # exit status of the command, None if the guest did not reach its end
    timed_out: bool
    seconds: float


def accelerator(machine: Machine) -> str:
    """KVM where the machine's processor has it and /dev/kvm opens; software emulation elsewhere.

    All processors run on one thread: with a thread for each, QEMU 11.1 now and then loses an end of interrupt, on C modules
    as well. A vector then stays in service (`info lapic` shows it), its processor gets no timer any more and the machine
    idles for good. Two machines side by side use both cores anyway.
    """
    choice = os.environ.get("VFIO_ACCEL")
    if choice:
        return choice
    flags = Path("/proc/cpuinfo").read_text()
    if machine.arch == "amd64" and ("vmx" in flags or "svm" in flags) and os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "kvm"
    return "tcg,thread=single"


@functools.cache
def timestamp_khz() -> int:
    """The rate of this processor's time-stamp counter, 0 if it is no x86.

    That is the rate of an emulated one as well. A guest that has to find it out by itself compares it with an emulated timer, and
    on a loaded host may end up with a clock that is many times too fast: all its time limits are too short then.
    """
    if platform.machine() != "x86_64":
        return 0
    code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(bytes.fromhex("0f31 48c1e220 4809d0 c3"))  # rdtsc; shl $32, %rdx; or %rdx, %rax; ret
    address = ctypes.addressof(ctypes.c_char.from_buffer(code))
    counter = ctypes.CFUNCTYPE(ctypes.c_uint64)(address)

    def both() -> tuple[int, int]:
        """Time and counter, read without an interruption: that of several readings that took least."""
        readings = []
        for _ in range(20):
            before = time.monotonic_ns()
            count = counter()
            readings.append((time.monotonic_ns() - before, before, count))
        return min(readings)[1:]

    start = both()
    time.sleep(0.2)
    end = both()
    return (end[1] - start[1]) * 1_000_000 // (end[0] - start[0])


def clock(machine: Machine, args: list[str]) -> str:
    """What a PC's kernel is told of its clock: with -icount it counts instructions, with KVM it is told otherwise."""
    emulated = machine.arch == "amd64" and accelerator(machine) != "kvm" and "-icount" not in args
    return f"tsc_early_khz={timestamp_khz()}" if emulated and timestamp_khz() else ""


def child_setup() -> None:
    """QEMU gets its own process group, and dies when the runner does."""
    os.setsid()
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


# A processor that the host gives no time is none that hangs: its kernel would report half a minute of that (soft lockup, stall of
# RCU, lockup of a workqueue). What hangs still does so after two.
PATIENCE = "watchdog_thresh=60 rcupdate.rcu_cpu_stall_timeout=120 workqueue.watchdog_thresh=120"


def command_line(
    machine: Machine, work: Path, disk: Path, monitor: Monitor, extra_cmdline: str, extra_args: list[str]
) -> list[str]:
    kernel = paths.kernel(machine.arch, machine.kernel)
    command = [machine.qemu, "-accel", accelerator(machine), *machine.args, "-m", machine.memory]
    command += [*machine.defaults, "-no-user-config", "-display", "none", "-no-reboot"]
    for device in machine.devices:
        command += [arg.replace("{disk}", str(disk)) for arg in device.qemu]
    if machine.acpi:
        (work / "acpi").write_bytes(machine.acpi)
        command += ["-acpitable", f"file={work / 'acpi'}"]
    for name in ("console", "output", "kernel"):
        command += ["-chardev", f"file,id={name},path={work / name}"]
    command += [*monitor.arguments(), *machine.lines]
    always = f"panic=-1 loglevel=5 printk.time=1 log_buf_len=4M {PATIENCE}"
    append = f"{machine.cmdline} {always} {clock(machine, extra_args)} {extra_cmdline}"
    command += ["-kernel", str(kernel / "vmlinuz"), "-initrd", str(work / "initramfs"), "-append", append]
    return command + extra_args


def with_device_tree(command: list[str], added: tuple[str, str, bytes], file: Path) -> list[str]:
    """The command with the device tree that QEMU would make for it, and in that a property that it leaves out."""
    subprocess.run([*command, "-machine", f"dumpdtb={file}"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    file.write_bytes(devicetree.with_property(file.read_bytes(), *added))
    # The kernel's command line is in it, and may not be told twice.
    append = command.index("-append")
    return [*command[:append], *command[append + 2 :], "-dtb", str(file)]


# Where a machine with one line for all has its kernel log (tests/vm/guest/init).
LOG_BEGIN = "=== kernel log ==="
LOG_END = "=== end of the kernel log ==="


def without_log(sink: Callable[[str], None]) -> Callable[[str], None]:
    """Passes on the lines between the first process's start and its end, but for the kernel log."""
    wanted = False

    def line(text: str) -> None:
        nonlocal wanted
        if text.startswith("VM-START") or text == LOG_END:
            wanted = True
        elif text == LOG_BEGIN:
            wanted = False
        elif wanted:
            sink(text)

    return line


class Follower:
    """Reads what was appended to a file, a whole line at a time."""

    def __init__(self, path: Path):
        self._path = path
        self._offset = 0

    def lines(self, final: bool = False) -> list[str]:
        if not self._path.exists():
            return []
        with open(self._path, "rb") as file:
            file.seek(self._offset)
            data = file.read()
        end = len(data) if final else data.rfind(b"\n") + 1
        self._offset += end
        return data[:end].decode(errors="replace").replace("\r", "").splitlines()


def read(path: Path) -> str:
    return path.read_text(errors="replace").replace("\r", "") if path.exists() else ""


def boot(machine: Machine, work: Path, disk: Path, **how) -> Outcome:
    """Runs the machine whose initramfs is in `work`. `on_line` sees each line as the suite prints it.

    A machine that stops before our first process runs says nothing about VFIO (emulated timers on a loaded host):
    it is booted once more.
    """
    for attempt in range(3):
        for name in ("console", "output", "kernel"):
            (work / name).unlink(missing_ok=True)
        outcome = boot_once(machine, work, disk, **how)
        if "VM-START" in outcome.output or outcome.timed_out:
            break
        print(f"# {machine.name}: stopped before its first process ({attempt + 1})", file=sys.stderr, flush=True)
    return outcome


def boot_once(
    machine: Machine,
    work: Path,
    disk: Path,
    *,
    timeout: float,
    cmdline: str = "",
    args: tuple[str, ...] = (),
    on_line: Callable[[str], None] = lambda line: None,
    on_console: Callable[[str], None] = lambda line: None,
) -> Outcome:
    """One boot."""
    start = time.monotonic()
    monitor = Monitor(work)
    command = command_line(machine, work, disk, monitor, cmdline, list(args))
    if machine.processor:
        command = with_device_tree(command, machine.processor, work / "device-tree")
    (work / "qemu.sh").write_text(" ".join(f"'{a}'" for a in command) + "\n")
    with open(work / "qemu.log", "wb") as log:
        qemu = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=child_setup
        )
    one_line = machine.lines == ONE_LINE
    followers = [(Follower(work / "output"), without_log(on_line) if one_line else on_line), (Follower(work / "console"), on_console)]
    timed_out = False
    try:
        while qemu.poll() is None:
            monitor.serve()
            for follower, sink in followers:
                for line in follower.lines():
                    sink(line)
            if time.monotonic() - start > timeout:
                timed_out = True
                break
            time.sleep(0.1)
    finally:
        if qemu.poll() is None:
            os.killpg(qemu.pid, signal.SIGKILL)
        qemu.wait()
        monitor.close()
    for follower, sink in followers:
        for line in follower.lines(final=True):
            sink(line)
    if qemu.returncode not in (0, -signal.SIGKILL):
        print(f"# QEMU failed: {read(work / 'qemu.log').strip()}", file=sys.stderr)
    output = read(work / "output")
    status = None
    for line in output.splitlines():
        if line.startswith("VM-END "):
            status = int(line.split()[1])
    console, log = read(work / "console"), read(work / "kernel")
    if one_line:
        console = output
        before, _, rest = output.partition(f"{LOG_BEGIN}\n")
        log, _, after = rest.partition(f"{LOG_END}\n")
        output = before + after
    return Outcome(output, console, log, status, timed_out, time.monotonic() - start)

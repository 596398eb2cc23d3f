# SPDX-License-Identifier: GPL-2.0
"""Finds what must never be in a kernel log."""

import re

BAD = re.compile(
    r"WARNING:|\bBUG: |kernel BUG|\bOops\b|Call Trace|Internal error: |general protection|refcount_t:|KASAN|UBSAN|kmemleak|ODEBUG|"
    r"Kernel panic|possible (recursive|circular) locking|scheduling while atomic|sleeping function called|"
    r"locking correctness validator|non-static key|suspicious RCU usage|Detected page leak|"
    r"blocked for more than|soft lockup|rcu.*(stall|detected)|list_(add|del) corruption|corrupted list|"
    r"Object .*overwritten|Redzone|Right Redzone|Poison overwritten|use-after-free|Bad page|panicked|"
    r"unregister_netdevice: waiting|DMAR: \[|DMAR: DRHD: handling fault|Trying to free|double free|"
    r"AMD-Vi: Event logged|arm-smmu-v3 .*: event: |virtio_iommu .*: page fault"
)

# Lines that match BAD and are wanted, or are none of VFIO's doing. What kmemleak found is judged by itself (leaks).
HARMLESS = re.compile(
    r"kmemleak: (Kernel memory leak detector|Automatic|\d+ new suspected memory leaks)|rcu.*stall.*suppress|stall warnings timeout|rcu_cpu_stall_timeout=|"
    r"kasan: KernelAddressSanitizer initialized|kasan_multi_shot|use-after-free debug is enabled|"
    # QEMU's pseries has one that nothing was ever written to.
    r"nvram corruption detected: 0-length partition"
)

# What the guest's first process puts behind the kernel log (tests/vm/guest/init): the leaks that kmemleak suspects.
LEAKS = "=== kmemleak ==="

# A function of the VFIO modules; or of a module that is no longer there, which has an address and no name.
OURS = re.compile(r"\[vfio|\b0xffffffff[a-f][0-9a-f]{7}\b")

# A data race that KCSAN reports, with who reads and who writes; and where the list of functions of each begins.
RACE = re.compile(r"^.*BUG: KCSAN: .*\n(?:(?!.*={20}).*\n)*", re.MULTILINE)
ACCESS = re.compile(r"(?:read|write|read-write|race).* (?:by|at) .*:\n((?:.*\+0x.*\n){1,3})")


def without_races(log: str) -> str:
    """The log without the data races of others: where none of both accesses is by a VFIO module, or by what it calls for it."""
    return RACE.sub(lambda report: report[0] if any("[vfio" in top for top in ACCESS.findall(report[0])) else "", log)


def leaks(log: str) -> list[str]:
    """The reports of kmemleak on memory that a VFIO module, or one that has been removed, allocated."""
    reports = re.split(r"^(?=unreferenced object)", log.partition(LEAKS)[2], flags=re.MULTILINE)[1:]
    return [line for report in reports if OURS.search(report) for line in report.rstrip().splitlines()]


def faults(bdf: str) -> str:
    """An expression for what the IOMMU of any machine says when it stops the DMA of that device."""
    _, bus, slot, function = (int(part, 16) for part in re.split("[:.]", bdf))
    requester = bus << 8 | slot << 3 | function
    bdf = re.escape(bdf)
    return (
        rf"DMAR: DRHD: handling fault|DMAR: \[DMA (Read|Write) NO_PASID\] Request device \[{bdf}\]|"
        rf"{bdf}: AMD-Vi: Event logged|AMD-Vi: Event logged \[\w+ device={bdf}|"
        # QEMU 11's AMD-Vi names neither the device nor the address.
        r"pci 0000:00:00\.0: AMD-Vi: Event logged \[IO_PAGE_FAULT domain=0x0000 address=0x0 |"
        rf"arm-smmu-v3 .*: event: F_(?:TRANSLATION|PERMISSION) client: {bdf}|virtio_iommu .*: page fault from EP {requester} "
    )


def problems(log: str, allowed: str = "") -> list[str]:
    """The bad lines of `log`, without those that match the suite's own `allowed` expression; leaks at the end."""
    allow = re.compile(allowed) if allowed else None
    bad = [
        line
        for line in without_races(log.partition(LEAKS)[0]).splitlines()
        if BAD.search(line) and not HARMLESS.search(line) and not (allow and allow.search(line))
    ]
    return bad + leaks(log)


def excerpt(log: str, bad: list[str], most: int = 160) -> list[str]:
    """The bad lines with what follows each in the log, the report that it belongs to; then the leaks."""
    wanted, rest = set(bad), 0
    lines = []
    for line in log.partition(LEAKS)[0].splitlines():
        if line in wanted:
            rest = 30
        if rest > 0:
            lines.append(line)
            rest -= 1
    lines += leaks(log)
    return lines[:most] + (["..."] if len(lines) > most else [])

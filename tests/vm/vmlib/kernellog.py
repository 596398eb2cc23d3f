# SPDX-License-Identifier: GPL-2.0
"""Finds what must never be in a kernel log, and what must not have become of a kernel."""

import re
from dataclasses import dataclass, field, replace
from typing import Optional

BAD = re.compile(
    r"WARNING:|\bBUG: |kernel BUG|\bOops\b|Call [Tt]race|Internal error: |general protection|refcount_t:|KASAN|UBSAN|kmemleak|ODEBUG|"
    r"Kernel panic|possible (recursive|circular) locking|scheduling while atomic|sleeping function called|"
    r"locking correctness validator|lockdep is turned off|Disabling lock debugging|"
    r"non-static key|suspicious RCU usage|Detected page leak|"
    r"blocked for more than|soft lockup|rcu.*(stall|detected)|list_(add|del) corruption|corrupted list|"
    r"Object .*overwritten|Redzone|Right Redzone|Poison overwritten|use-after-free|Bad page|panicked|"
    r"Runtime PM usage count underflow|Unbalanced pm_runtime|: bad p[gm4u]d |freeing invalid memtype|huh, entered|"
    r"unregister_netdevice: waiting|DMAR: \[|DMAR: DRHD: handling fault|Trying to free|double free|"
    r"irq \d+: nobody cared|cannot create duplicate filename|debugfs: .* already exists|kobject_add_internal failed|"
    r"AMD-Vi: Event logged|arm-smmu-v3 .*: event: |virtio_iommu .*: page fault"
)

# Lines that match BAD and are wanted, or are none of VFIO's doing. What kmemleak found is judged by itself (leaks).
HARMLESS = re.compile(
    r"kmemleak: (Kernel memory leak detector initialized|Automatic|\d+ new suspected memory leaks)|"
    r"rcu.*stall.*suppress|stall warnings timeout|rcu_cpu_stall_timeout=|"
    r"kasan: KernelAddressSanitizer initialized|kasan_multi_shot|use-after-free debug is enabled|"
    # QEMU's pseries has one that nothing was ever written to.
    r"nvram corruption detected: 0-length partition|"
    # A function in a stack, whatever it is called (kmemleak_alloc).
    r"^(?:\[[ .0-9]+\])? +(?:\? )?[\w.$]+\+0x[0-9a-f]+/0x[0-9a-f]+"
)

# What the guest's first process puts behind the kernel log (tests/vm/guest/init): what has become of the kernel, and the leaks that
# kmemleak suspects.
STATE = "=== state ==="
LEAKS = "=== kmemleak ==="

# A function of the VFIO modules; or of a module that is no longer there, which has an address and no name. Modules are at
# 0xffffffffa0000000 and above on x86, at 0xc008000000000000 and above on POWER, in the two gigabytes from 0xffff800000000000 on arm64.
OURS = re.compile(r"\[vfio|\b0x(?:ffffffff[a-f][0-9a-f]{7}|c008[0-9a-f]{12}|ffff8000[0-7][0-9a-f]{7})\b")

# What a report is framed by.
FENCE = re.compile(r"={20}")
CUT = "[ cut here ]"
TRACE_END = "---[ end trace"
# When a message was printed.
STAMP = re.compile(r"^\[ *(\d+\.\d+)\]")
# A line of a stack.
FRAME = re.compile(r"\+0x[0-9a-f]+/0x[0-9a-f]+")
TRACE = re.compile(r"Call [Tt]race")
# What dump_stack(), warnings and oopses print between their reason and the stack: who runs, on what, the registers.
PREAMBLE = re.compile(
    r"^(?:\[[ .0-9]+\] *)?(?:\[ *[CT]\d+\] *)?"
    r"(?:CPU: |Tainted: |Hardware name: |Workqueue: |Modules linked in: |Code: |(?!WARNING:|BUG:|UBSAN:|ODEBUG:)[A-Z][A-Z0-9]{1,6}: +(?:\d{4}:)?\S|"
    r"(?:pstate|pc|lr|sp|x\d+) *: |(?:NIP|LR) \[)"
)

# Which bits of /proc/sys/kernel/tainted stand for what (Documentation/admin-guide/tainted-kernels.rst of the kernel).
TAINTS = "PFSRMBUDAWCIOELKXTNJ"
# Ours are built outside of the kernel's tree and are not signed with its key.
EXPECTED_TAINT = "OE"

# What has to watch to the end, by architecture and kernel: what the state says, and a line of the log.
DETECTORS = {
    ("amd64", "debug"): ("kmemleak", "lockdep", "KernelAddressSanitizer initialized"),
    ("amd64", "kcsan"): ("kcsan", "lockdep"),
    # Not lockdep, which turns itself off as the machine starts (POWER_LOCKDEP in suites.py).
    ("ppc64le", "debug"): ("kmemleak",),
}


@dataclass
class Log:
    """A kernel's log, with what the guest's first process has put behind it."""

    lines: list[str]
    state: dict[str, str] = field(default_factory=dict)
    suspected: list[str] = field(default_factory=list)  # the reports of kmemleak
    ended: bool = False  # the guest came to its end, and has handed its log back
    cut: bool = False  # its beginning is not there


def parse(kernel: str, console: str = "") -> Log:
    """The log as the guest handed it back, and what is on the console since. Where that, or its beginning, is lost, what the console has of
    it is there as well.
    """
    messages, _, rest = kernel.partition(STATE + "\n")
    state, _, reports = rest.partition(LEAKS + "\n")
    lines = messages.splitlines()
    ended = bool(lines)
    cut = ended and "Linux version" not in messages
    if cut or not ended:
        known = set(lines)
        lines = [line for line in console.splitlines() if line not in known] + lines
    else:
        handed = max((float(found[1]) for found in map(STAMP.search, lines) if found), default=float("inf"))
        stamped = ((line, STAMP.search(line)) for line in console.splitlines())
        lines += [line for line, found in stamped if found and float(found[1]) > handed]
    return Log(
        lines,
        dict(words for words in map(str.split, state.splitlines()) if len(words) == 2),
        [part.rstrip() for part in re.split(r"^(?=unreferenced object)", reports, flags=re.MULTILINE)[1:]],
        ended,
        cut,
    )


def is_bad(line: str) -> bool:
    return bool(BAD.search(line) and not HARMLESS.search(line))


# Who of a data race reads and who writes; and where the list of functions of each begins.
ACCESS = re.compile(r"(?:read|write|read-write|race).* (?:by|at) .*:\n((?:.*\+0x.*\n){1,3})")


def without_races(lines: list[str]) -> list[str]:
    """Those without the data races of others: where of none of both accesses the innermost three functions have one of a VFIO module.

    A report ends with a line of `=`. If that was lost among what another processor said, it ends where something else that is bad
    begins, or with its last line of a stack.
    """
    kept: list[str] = []
    at = 0
    while at < len(lines):
        if "BUG: KCSAN: " not in lines[at]:
            kept.append(lines[at])
            at += 1
            continue
        end = at + 1
        while end < len(lines) and not FENCE.search(lines[end]) and not is_bad(lines[end]):
            end += 1
        if end == len(lines) or not FENCE.search(lines[end]):
            end = 1 + max(n for n in range(at, end) if n == at or FRAME.search(lines[n]))
        report = lines[at:end]
        if any("[vfio" in top for top in ACCESS.findall("\n".join(report) + "\n")):
            kept += report
        at = end
    return kept


# A function of ours in a stack, but for those that C knows by name.
IN_RUST = re.compile(r"\b_R\w+\+0x")


def without_inversion(log: Log, known: str) -> Log:
    """The log without lockdep's report of two locks in both orders, if it is a known one: it matches this expression, no VFIO module is in it
    (no function in Rust, if it is known to be of C's), and nothing else that is bad. After one report lockdep is off, which then is not for
    what ours did.
    """
    starts = [at for at, line in enumerate(log.lines) if "possible circular locking dependency" in line]
    if not starts or not known:
        return log
    start = end = starts[0]
    while end < len(log.lines) and "</TASK>" not in log.lines[end]:
        end += 1
    report = "\n".join(log.lines[start : end + 1])
    ours = IN_RUST.search(report) if "vfio" in known else "[vfio" in report
    more = [line for line in log.lines[start + 1 : end] if is_bad(line) and not TRACE.search(line)]
    if end == len(log.lines) or ours or more or not re.search(known, report):
        return log
    return replace(log, lines=log.lines[:start] + log.lines[end + 1 :], state={**log.state, "lockdep": "on"})


def leaks(log: Log) -> list[str]:
    """The reports of kmemleak on memory that a VFIO module, or one that has been removed, allocated."""
    return [line for report in log.suspected if OURS.search(report) for line in report.splitlines()]


def foreign_leaks(log: Log, most: int = 3) -> list[str]:
    """The others, for who reads the results: a stack is kept 16 functions deep only, and ours may have been further up."""
    others = [report for report in log.suspected if not OURS.search(report)]
    lines = [line for report in others[:most] for line in report.splitlines()]
    return ([f"kmemleak suspects {len(others)} that no VFIO module is seen to have allocated", *lines]) if others else []


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


def cause(lines: list[str], at: int) -> str:
    """The line because of which a stack was printed."""
    at -= 1
    while at > 0 and PREAMBLE.search(lines[at]):
        at -= 1
    return lines[max(at, 0)]


def problems(log: Log, allowed: str = "") -> list[str]:
    """The bad lines of a log, without those that match the suite's own `allowed` expression, and the stacks behind these; then leaks."""
    allow = re.compile(allowed) if allowed else None
    lines = without_races(log.lines)
    bad = []
    for at, line in enumerate(lines):
        if not is_bad(line) or (allow and allow.search(line)):
            continue
        if allow and TRACE.search(line) and allow.search(cause(lines, at)):
            continue
        bad.append(line)
    return bad + leaks(log)


def taint(mask: int) -> str:
    """The letters of a mask, as the kernel prints them."""
    return "".join(TAINTS[bit] if bit < len(TAINTS) else "?" for bit in range(mask.bit_length()) if mask >> bit & 1)


def unsound(log: Log, arch: str, kernel: str, tainted: str = "") -> list[str]:
    """What is wrong with a kernel at its end, beside what its log says: how it is tainted beyond `tainted`, which detectors are dead."""
    found = []
    if log.cut:
        found.append("the log's beginning is lost: it needs a larger log_buf_len")
    if "taint" not in log.state:
        # The kernel of the POWER machines has no sysctl.
        if arch != "ppc64le":
            found.append("it has not said whether it is tainted")
    else:
        # What the processor or the firmware is to blame for it was before the first process ran.
        mask = int(log.state["taint"]) & ~int(log.state.get("taint-at-boot", 0))
        if beyond := "".join(letter for letter in taint(mask) if letter not in EXPECTED_TAINT + tainted):
            found.append(f"tainted: {beyond} (see tainted-kernels.rst of the kernel; {EXPECTED_TAINT}{tainted} would be expected)")
    wanted = DETECTORS.get((arch, kernel), ())
    for name in ("kcsan", "kmemleak", "lockdep"):
        if name in wanted and log.state.get(name) != "on":
            found.append(f"{name} is off: nothing that it would have found since counts")
    for text in wanted:
        if " " in text and not any(text in line for line in log.lines):
            found.append(f"its log has no '{text}'")
    return found


def end_of_trace(lines: list[str], at: int) -> int:
    """Behind the stack whose `Call Trace` is line `at`."""
    end = at + 1
    for close in ("</TASK>", "</IRQ>"):
        if end < len(lines) and close.replace("/", "") in lines[end]:
            while end < len(lines) and close not in lines[end]:
                end += 1
            # The stack of an interrupt goes on with that of the task.
            return end_of_trace(lines, end) if end + 1 < len(lines) and "<TASK>" in lines[end + 1] else end + 1
    while end < len(lines) and (FRAME.search(lines[end]) or PREAMBLE.search(lines[end])):
        end += 1
    return end


def report(lines: list[str], at: int, most: int = 500) -> tuple[int, int]:
    """The report that line `at` begins: from where to where."""
    first = at
    while first > max(0, at - 3) and (FENCE.search(lines[first - 1]) or CUT in lines[first - 1] or PREAMBLE.search(lines[first - 1])):
        first -= 1
    last = min(len(lines), at + most)

    def closed(by) -> Optional[tuple[int, int]]:
        return next(((first, n + 1) for n in range(at + 1, last) if by(lines[n])), None)

    if re.search(r"BUG: K[A-Z]*SAN", lines[at]):
        whole = closed(FENCE.search)
    # An oops may begin with what Rust or a list's check has to say of it.
    elif any(CUT in line for line in lines[first:at]) or re.search(r"WARNING: at |Oops|kernel BUG|Internal error", "".join(lines[at : at + 4])):
        whole = closed(lambda line: TRACE_END in line)
    else:
        # lockdep lists locks and chains of them before its own stack; others have theirs at once.
        far = 400 if FENCE.search(lines[max(at - 1, 0)]) else 30
        trace: Optional[int] = None
        for n in range(at, min(last, at + far)):
            if n > at and is_bad(lines[n]) and not TRACE.search(lines[n]) and not FRAME.search(lines[n]) and far == 30:
                break
            if TRACE.search(lines[n]):
                trace = n
                break
        whole = (first, end_of_trace(lines, trace)) if trace is not None else None
    return whole or (first, min(last, at + 30))


def excerpt(log: Log, bad: list[str], most: int = 400) -> list[str]:
    """The bad lines, each with the report that it belongs to as a whole; then the leaks.

    Once there are `most` lines, of further reports there is the first line only; the log itself has the rest.
    """
    wanted = set(bad)
    lines: list[str] = []
    shown, left = 0, 0
    for at, line in enumerate(log.lines):
        if line not in wanted or at < shown:
            continue
        if len(lines) < most:
            first, end = report(log.lines, at)
            lines += log.lines[max(first, shown) : end]
            shown = end
        elif len(lines) < 2 * most:
            lines.append(line)
        else:
            left += 1
    if left:
        lines.append(f"... and {left} bad lines more")
    found = leaks(log)
    return lines + found[:most] + ([f"... and {len(found) - most} lines of leaks more"] if len(found) > most else [])

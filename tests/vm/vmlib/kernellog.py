# SPDX-License-Identifier: GPL-2.0
"""Finds what must never be in a kernel log."""

import re

BAD = re.compile(
    r"WARNING:|\bBUG: |kernel BUG|\bOops\b|Call Trace|general protection|refcount_t:|KASAN|UBSAN|kmemleak|"
    r"Kernel panic|possible (recursive|circular) locking|scheduling while atomic|sleeping function called|"
    r"blocked for more than|soft lockup|rcu.*(stall|detected)|list_(add|del) corruption|corrupted list|"
    r"Object .*overwritten|Redzone|Right Redzone|Poison overwritten|use-after-free|Bad page|panicked|"
    r"unregister_netdevice: waiting|DMAR: \[|DMAR: DRHD: handling fault|Trying to free|double free"
)

# Lines that match BAD and are wanted, or are none of VFIO's doing.
HARMLESS = re.compile(r"kmemleak: (Kernel memory leak detector|Automatic)|rcu.*stall.*suppress")


def problems(log: str, allowed: str = "") -> list[str]:
    """The bad lines of `log`, without those that match the suite's own `allowed` expression."""
    allow = re.compile(allowed) if allowed else None
    return [
        line
        for line in log.splitlines()
        if BAD.search(line) and not HARMLESS.search(line) and not (allow and allow.search(line))
    ]

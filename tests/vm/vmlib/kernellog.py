# SPDX-License-Identifier: GPL-2.0
"""Finds what must never be in a kernel log."""

import re

BAD = re.compile(
    r"WARNING:|(?-i:\bBUG: |kernel BUG)|Oops|Call Trace|general protection|refcount_t:|KASAN|UBSAN|kmemleak|kernel panic|"
    r"lockdep|possible (recursive|circular) locking|scheduling while atomic|sleeping function called|"
    r"blocked for more than|soft lockup|rcu.*(stall|detected)|list_(add|del) corruption|"
    r"Object .*overwritten|Redzone|Poison overwritten|use-after-free|unregister_netdevice: waiting|"
    r"rust_kernel: panicked|panicked at|DMAR:.*(fault|error)|Bad page|page:.*refcount",
    re.IGNORECASE,
)

# Lines that match BAD and are wanted, or are none of VFIO's doing.
HARMLESS = re.compile(
    r"DMAR:.*(enabled|fault address|Fault Reporting)|kmemleak: (Kernel memory leak detector|Automatic)|"
    r"lockdep is|RCU.*stall.*suppress|debug: unregister|DMAR: .*Fault.*(dis|en)abled",
    re.IGNORECASE,
)


def problems(log: str, allowed: str = "") -> list[str]:
    """The bad lines of `log`, without those that match the suite's own `allowed` expression."""
    allow = re.compile(allowed) if allowed else None
    return [
        line
        for line in log.splitlines()
        if BAD.search(line) and not HARMLESS.search(line) and not (allow and allow.search(line))
    ]

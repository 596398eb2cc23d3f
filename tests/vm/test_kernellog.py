#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What the runner finds in kernel logs, and what it does not mistake for a fault. Run by `make check`."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from vmlib import kernellog, suites  # noqa: E402

BEGIN = "[    0.000000] Linux version 7.3.4\n"
FENCE = "=" * 66
KASAN_READY = "[    0.1] kasan: KernelAddressSanitizer initialized (generic)\n"
SOUND = "=== state ===\ntaint 4096\nlockdep on\nkmemleak on\n=== kmemleak ===\n"


def stack(*functions: str) -> str:
    return "Call Trace:\n <TASK>\n" + "".join(f" {name}+0x12/0x340 [vfio]\n" for name in functions) + " </TASK>\n"


def bad(text: str, allowed: str = "") -> list[str]:
    return kernellog.problems(kernellog.parse(BEGIN + text), allowed)


def shown(text: str) -> list[str]:
    log = kernellog.parse(BEGIN + text)
    return kernellog.excerpt(log, kernellog.problems(log))


def unsound(state: str, kernel: str = "debug", tainted: str = "", before: str = BEGIN + KASAN_READY) -> list[str]:
    return kernellog.unsound(kernellog.parse(before + state), "amd64", kernel, tainted)


def leak(*frames: str) -> str:
    return 'unreferenced object 0xffff888100000000 (size 64):\n  comm "x", pid 1, jiffies 1\n  backtrace (crc 0):\n' + "".join(f"    {f}\n" for f in frames)


class State(unittest.TestCase):
    def test_what_is_expected_passes(self):
        self.assertEqual(unsound(SOUND), [])
        # Built outside of the tree (4096) and not signed (8192), on a kernel without any detector.
        self.assertEqual(unsound("=== state ===\ntaint 12288\n", "stock"), [])

    def test_taint_is_a_fault_but_for_what_the_suite_brings_about(self):
        self.assertIn("tainted: W ", unsound("=== state ===\ntaint 4608\n", "stock")[0])
        self.assertEqual(unsound("=== state ===\ntaint 4608\n", "stock", "W"), [])
        self.assertIn("tainted: D ", unsound("=== state ===\ntaint 4736\n", "stock", "W")[0])
        # What it was before the first process (S, by the command line) is nobody's here.
        self.assertEqual(unsound("=== state ===\ntaint 4100\ntaint-at-boot 4\n", "stock"), [])
        self.assertIn("tainted: W ", unsound("=== state ===\ntaint 4612\ntaint-at-boot 4\n", "stock")[0])
        self.assertEqual(kernellog.taint(1 << 6 | 1 << 18), "UN")
        self.assertEqual(len(unsound("=== state ===\n", "stock")), 1)
        # Lines that are none of the state's, as of a program that complains.
        self.assertEqual(len(unsound("=== state ===\ncat: cannot open it\ntaint \n", "stock")), 1)
        self.assertEqual(kernellog.unsound(kernellog.parse(BEGIN + "=== state ===\n\n"), "ppc64le", "stock"), [])

    def test_a_dead_detector_is_a_fault(self):
        for name in ("lockdep", "kmemleak"):
            self.assertIn(name, unsound(SOUND.replace(f"{name} on", f"{name} off"))[0])
            self.assertIn(name, unsound(SOUND.replace(f"{name} on\n", ""))[0])
        self.assertIn("KernelAddressSanitizer", unsound(SOUND, before=BEGIN)[0])
        self.assertEqual(unsound("=== state ===\ntaint 0\nlockdep on\nkcsan on\n", "kcsan"), [])
        self.assertIn("kcsan is off", unsound("=== state ===\ntaint 0\nlockdep on\nkcsan off\n", "kcsan")[0])
        for line in ("INFO: lockdep is turned off.", "kmemleak: Kernel memory leak detector disabled", "Disabling lock debugging due to kernel taint"):
            self.assertEqual(bad(line + "\n"), [line])
        self.assertEqual(bad("kmemleak: Kernel memory leak detector initialized (mem pool available: 1)\n"), [])

    def test_a_log_whose_beginning_is_lost(self):
        log = kernellog.parse("[ 9.0] late\n" + SOUND, BEGIN + "[ 1.0] Oops: early\n[ 9.0] late\n")
        self.assertIn("beginning is lost", kernellog.unsound(log, "amd64", "stock")[0])
        self.assertEqual(kernellog.problems(log), ["[ 1.0] Oops: early"])

    def test_a_machine_that_did_not_end(self):
        log = kernellog.parse("", BEGIN + "BUG: KASAN: slab-out-of-bounds in x\n")
        self.assertFalse(log.ended)
        self.assertEqual(len(kernellog.problems(log)), 1)


class Lines(unittest.TestCase):
    def test_faults_that_only_a_stack_tells_of(self):
        for line in (
            'irq 16: nobody cared (try booting with the "irqpoll" option)',
            "sysfs: cannot create duplicate filename '/class/vfio/1'",
            "debugfs: 'vfio' already exists in '/'",
            "kobject: kobject_add_internal failed for 1 with -EEXIST, don't try to register things with the same name",
        ):
            self.assertEqual(bad(line + "\n"), [line])

    def test_a_stack_is_excused_with_its_cause_only(self):
        heads = "CPU: 0 UID: 0 PID: 8 Comm: unwind\nTainted: [O]=OOT_MODULE\nHardware name: QEMU\nRAX: 0000 RBX: 0001\nR10: 00\n"
        wanted = "unwind invoked oom-killer: gfp_mask=0xcc0\n" + heads + stack("a")
        self.assertEqual(bad(wanted, "invoked oom-killer: "), [])
        other = "irq 16: nobody cared\n" + heads + stack("a")
        self.assertEqual(bad(wanted + other, "invoked oom-killer: |irq \\d+: no"), [])
        self.assertEqual(bad(wanted + other, "invoked oom-killer: "), ["irq 16: nobody cared", "Call Trace:"])
        warning = (
            "WARNING: at remove_proc_entry+0x310/0x4b0, CPU#0: x/160\nModules linked in: vfio(O)\n" + heads + "RIP: 0010:remove_proc_entry+0x314/0x4b0\n"
            "Code: 89 e7 <67> 48\nRSP: 0018:ffffc9 EFLAGS: 00010286\nFS:  0000(0000) GS:ffff(0000)\nCS:  0010 DS: 0000\nCR2: 0000 CR3: 0000\n"
        )
        self.assertEqual(bad(warning + stack("kmemleak_alloc"), r"WARNING: at remove_proc_entry\+"), [])
        self.assertEqual(bad("something\n" + heads + "Call trace:\n x+0x1/0x2\n", "invoked oom-killer: "), ["Call trace:"])


class Races(unittest.TestCase):
    THEIRS = f"{FENCE}\nBUG: KCSAN: data-race in a / b\n\nwrite to 0x1 of 4 bytes by task 1 on cpu 0:\n a+0x1/0x2\n\nread to 0x1 of 4 bytes by task 2 on cpu 1:\n b+0x1/0x2\n"
    OURS = THEIRS.replace(" b+0x1/0x2", " b+0x1/0x2 [vfio]")

    def test_only_ours_count(self):
        self.assertEqual(bad(f"{self.THEIRS}{FENCE}\n"), [])
        self.assertEqual(bad(f"{self.OURS}{FENCE}\n"), ["BUG: KCSAN: data-race in a / b"])

    def test_a_report_without_its_end_swallows_nothing(self):
        after = f"WARNING: possible circular locking dependency detected\n{FENCE}\n"
        self.assertEqual(bad(self.THEIRS + after), [after.splitlines()[0]])
        warning = "WARNING: at vfio_pci_core_disable+0x10/0x40 [vfio_pci_core], CPU#1: insmod/99\n"
        self.assertEqual(bad(self.THEIRS + warning), [warning.rstrip()])
        # Nor what an innocent line is between.
        self.assertEqual(bad(self.THEIRS + "x\n" + after), [after.splitlines()[0]])
        self.assertEqual(len(bad(self.OURS + after)), 2)


class Ends(unittest.TestCase):
    def test_what_is_said_after_the_log_was_handed_over_counts(self):
        log = f"{BEGIN}[    1.500000] fine\n{SOUND}"
        late = "[    0.500000] WARNING: at early\n[    1.500001] WARNING: at late\n"
        self.assertEqual(kernellog.problems(kernellog.parse(log, late)), ["[    1.500001] WARNING: at late"])

    def test_counts_that_are_given_back_twice(self):
        self.assertEqual(len(bad("edu 0000:00:02.0: Runtime PM usage count underflow!\n" + SOUND)), 1)


class Inversions(unittest.TestCase):
    PCIEHP = (
        "WARNING: possible circular locking dependency detected\nx/1 is trying to acquire lock:\n1 (a){.}, at: unplug+0x1/0x2\n"
        "but task is already holding lock:\n2 (b){.}, at: y+0x1/0x2\n-> #0 (a){.}:\n        unplug+0x1/0x2\nCall Trace:\n <TASK>\n  unplug+0x1/0x2\n </TASK>\n"
    )

    def left(self, text, known="unplug"):
        log = kernellog.without_inversion(kernellog.parse(BEGIN + text + SOUND.replace("lockdep on", "lockdep off")), known)
        return kernellog.problems(log), log.state["lockdep"]

    def test_a_known_one_is_dropped_and_no_more(self):
        self.assertEqual(self.left(self.PCIEHP), ([], "on"))
        self.assertEqual(len(self.left(self.PCIEHP + "WARNING: at x\n")[0]), 1)

    def test_none_is_dropped_that_is_not_known_or_has_a_function_of_ours(self):
        self.assertEqual(self.left(self.PCIEHP, "")[1], "off")
        self.assertEqual(self.left(self.PCIEHP, "else")[1], "off")
        ours, state = self.left(self.PCIEHP.replace("  unplug+0x1/0x2\n </TASK>", "  f+0x1/0x2 [vfio]\n </TASK>"))
        self.assertTrue(ours)
        self.assertEqual(state, "off")

    def test_one_of_the_c_modules_has_no_rust_in_it(self):
        theirs = self.PCIEHP.replace("unplug", "vfio_unmap").replace("</TASK>", " vfio_f+0x1/0x2 [vfio]\n </TASK>")
        self.assertEqual(self.left(theirs, "vfio_unmap"), ([], "on"))
        self.assertEqual(self.left(theirs.replace(" vfio_f+", " _RNvNtCs1_4vfio1f+"), "vfio_unmap")[1], "off")

    def test_nothing_goes_with_it(self):
        self.assertEqual(self.left(self.PCIEHP.replace("Call Trace", "BUG: KASAN: x\nCall Trace"))[1], "off")
        self.assertEqual(self.left(self.PCIEHP.replace("</TASK>", ""))[1], "off")


class Leaks(unittest.TestCase):
    def test_ours_and_those_of_modules_that_are_gone(self):
        for frame in ("open+0x1/0x2 [vfio_pci]", "0xffffffffa0123456", "0xc008000001234567", "0xffff800012345678"):
            self.assertEqual(len(bad(SOUND + leak("kmalloc+0x1/0x2", frame))), 5, frame)

    def test_those_of_others_are_told_and_do_not_count(self):
        text = SOUND + leak("kmalloc+0x1/0x2", "acpi_x+0x1/0x2") + leak("y+0x1/0x2")
        self.assertEqual(bad(text), [])
        told = kernellog.foreign_leaks(kernellog.parse(BEGIN + text))
        self.assertIn("2 that no VFIO module", told[0])
        self.assertIn("acpi_x+0x1/0x2", "\n".join(told))
        self.assertEqual(kernellog.foreign_leaks(kernellog.parse(BEGIN + SOUND)), [])


class Reports(unittest.TestCase):
    def test_kasan_is_whole(self):
        report = f"{FENCE}\nBUG: KASAN: slab-use-after-free in x\n{stack(*'abcdefghijklmnopqrstuvwxyz')}Allocated by task 1:\n a+0x1/0x2\n" + "m\n" * 40
        lines = shown(f"before\n{report}Freed by task 1:\n f+0x1/0x2\n{FENCE}\nbehind\n")
        self.assertIn("Freed by task 1:", lines)
        self.assertEqual((lines[0], lines[-1]), (FENCE, FENCE))

    def test_lockdep_is_whole(self):
        text = f"{FENCE}\nWARNING: possible circular locking dependency detected\n" + "chain\n" * 90 + f"stack backtrace:\n{stack('last')}behind\n"
        lines = shown(text)
        self.assertIn(" last+0x12/0x340 [vfio]", lines)
        self.assertEqual(lines[-1], " </TASK>")

    def test_a_warning_ends_with_its_mark(self):
        lines = shown(f"before\n------------[ cut here ]------------\nWARNING: at x, CPU#0\n{stack(*'abc')}irq event\n---[ end trace 0 ]---\nbehind\n")
        self.assertEqual(len(lines), 10)
        self.assertEqual(lines[-1], "---[ end trace 0 ]---")

    def test_a_flood_keeps_its_first_report_and_counts_the_rest(self):
        one = f"{FENCE}\nBUG: KASAN: slab-out-of-bounds in N\n" + "m\n" * 450 + f"last of N\n{FENCE}\n"
        lines = shown(one + "".join(f"BUG: KASAN: x {n}\n{FENCE}\n" for n in range(2000)))
        self.assertIn("last of N", lines)
        self.assertLess(len(lines), 1000)
        self.assertRegex(lines[-1], "and [0-9]+ bad lines more")

    def test_other_architectures_have_no_marks_around_a_stack(self):
        lines = shown("sysfs: cannot create duplicate filename 'x'\nCPU: 0 PID: 1\nCall trace:\n dump+0x1/0x2 (P)\n add+0x1/0x2\nbehind\n")
        self.assertEqual(lines[-1], " add+0x1/0x2")


class Provoked(unittest.TestCase):
    """What the suite `detectors` demands is found where it is, and only there."""

    def test_order(self):
        self.assertTrue(suites.in_order(["ab", "c", "d"], ("a", "d")))
        self.assertFalse(suites.in_order(["d", "ab"], ("a", "d")))
        self.assertFalse(suites.in_order([], ("a",)))


if __name__ == "__main__":
    unittest.main()

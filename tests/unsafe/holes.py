#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Ways around the unsafe gate, each planted in a copy of the tree: the gate has to refuse each, and to name the file."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import gate

TREE = Path(__file__).resolve().parents[2]
SPDX = "// SPDX-License-Identifier: GPL-2.0\n\n"
CODE = "pub(crate) fn f(p: *const u8) -> u8 {\n    // SAFETY: It is not.\n    unsafe { p.read() }\n}\n"

LEAF = "drivers/vfio/type1/dma.rs"
ROOT = "drivers/vfio/type1/type1_main.rs"
VARIANT = "samples/variant/variant_main.rs"
KUNIT = "drivers/vfio/kunit_main.rs"
KAPI = "drivers/vfio/kapi/eeh.rs"
ABI = "drivers/vfio/type1/abi.rs"


def new(name: str, text: str):
    """A file that is not there yet."""
    return lambda tree: (tree / name).write_text(text)


def add(name: str, text: str):
    """More at the end of a file."""

    def plant(tree: Path):
        with (tree / name).open("a") as file:
            file.write(text)

    return plant


def swap(name: str, old: str, text: str):
    """The first of something in a file made something else."""

    def plant(tree: Path):
        was = (tree / name).read_text()
        assert old in was, f"{name} has no {old!r} any more: mend tests/unsafe/holes.py"
        (tree / name).write_text(was.replace(old, text, 1))

    return plant


def every(name: str, old: str, text: str):
    """Each of something in a file made something else."""

    def plant(tree: Path):
        was = (tree / name).read_text()
        assert old in was, f"{name} has no {old!r} any more: mend tests/unsafe/holes.py"
        (tree / name).write_text(was.replace(old, text))

    return plant


def link(name: str, to: str):
    return lambda tree: (tree / name).symlink_to(to)


# What it is, the file that is to be named, and how it is done.
HOLES = (
    ("a block in a leaf crate", LEAF, add(LEAF, CODE)),
    ("a block behind a string that ends in a quote", LEAF, add(LEAF, 'const A: &str = "\\""; const B: u8 = unsafe { f() }; const C: &str = "";\n')),
    ("a block behind what looks like a comment", LEAF, add(LEAF, 'const A: &str = "//"; const B: u8 = unsafe { f() };\n')),
    ("a block behind a comment in a line", LEAF, add(LEAF, "const B: u8 = /* // */ unsafe { f() };\n")),
    ("a symbol that C can call", LEAF, add(LEAF, "#[no_mangle]\nfn memcpy() {}\n")),
    ("the same, in the words of a later edition", LEAF, add(LEAF, "#[unsafe(no_mangle)]\nfn memcpy() {}\n")),
    ("a section", LEAF, add(LEAF, '#[link_section = ".init.text"]\nfn init() {}\n')),
    ("assembly", LEAF, add(LEAF, 'core::arch::global_asm!("nop");\n')),
    ("assembly by another name", LEAF, add(LEAF, 'use core::arch::global_asm as g;\ng!("nop");\n')),
    ("a raw identifier", LEAF, add(LEAF, "#[r#no_mangle]\nfn memcpy() {}\n")),
    ("a lint let off by a raw identifier", LEAF, add(LEAF, "#[r#allow(r#unsafe_code)]\nmod inner {}\n")),
    ("code that is included by a raw identifier", LEAF, add(LEAF, 'core::r#include!("other.inc");\n')),
    ("words made of parts", LEAF, add(LEAF, "kernel::macros::paste! {\n    fn f() { [<un safe>] { g() } }\n}\n")),
    ("words made of parts, in kapi", KAPI, add(KAPI, "kernel::macros::paste! {\n    fn f() { [<un safe>] { g() } }\n}\n")),
    ("a lint let off in a file", LEAF, swap(LEAF, "use ", "#![allow(unsafe_code)]\nuse ")),
    ("a lint let off over some lines", ROOT, swap(ROOT, "mod abi;", "#[allow(\n    unsafe_code,\n    dead_code\n)]\nmod other;\nmod abi;")),
    ("a lint let off by condition", ROOT, swap(ROOT, "mod abi;", "#[cfg_attr(all(), allow(unsafe_code))]\nmod abi;")),
    ("a lint let off for a module inside", ROOT, swap(ROOT, "mod abi;", "mod abi;\n#[allow(unsafe_code)]\nmod inner {}")),
    ("proofs not asked for", KAPI, swap(KAPI, "use ", "#![allow(clippy::undocumented_unsafe_blocks)]\nuse ")),
    ("contracts not asked for", KAPI, swap(KAPI, "use ", "#![expect(clippy::missing_safety_doc)]\nuse ")),
    ("functions that are one block", KAPI, swap(KAPI, "use ", "#![allow(unsafe_op_in_unsafe_fn)]\nuse ")),
    (
        "a module of a sample that lets itself off",
        "samples/variant/other.rs",
        lambda tree: (new("samples/variant/other.rs", SPDX + "#![allow(unsafe_code)]\n" + CODE)(tree), add(VARIANT, "mod other;\n")(tree)),
    ),
    (
        "a module of the tests that lets itself off",
        "tests/kunit/other.rs",
        lambda tree: (
            new("tests/kunit/other.rs", SPDX + "#![allow(unsafe_code)]\n" + CODE)(tree),
            add(KUNIT, '#[path = "../../tests/kunit/other.rs"]\nmod other;\n')(tree),
        ),
    ),
    (
        "a module that is not called .rs",
        ROOT,
        lambda tree: (new("drivers/vfio/type1/other.inc", CODE)(tree), add(ROOT, '#[path = "other.inc"]\nmod other;\n')(tree)),
    ),
    (
        "the same from a file that may have modules from elsewhere",
        KUNIT,
        lambda tree: (new("tests/kunit/other.inc", CODE)(tree), add(KUNIT, '#[path = "../../tests/kunit/other.inc"]\nmod other;\n')(tree)),
    ),
    ("a module from outside of the tree", KUNIT, add(KUNIT, '#[path = "../../../other.rs"]\nmod other;\n')),
    ("a path by condition", ROOT, add(ROOT, '#[cfg_attr(all(), path = "dma.rs")]\nmod other;\n')),
    ("code that is included", ROOT, add(ROOT, 'include!("other.inc");\n')),
    (
        "one more file of an edge",
        "drivers/vfio/type1/abi/anything.rs",
        lambda tree: (
            (tree / "drivers/vfio/type1/abi").mkdir(),
            new("drivers/vfio/type1/abi/anything.rs", SPDX + CODE)(tree),
            add(ABI, "mod anything;\n")(tree),
        ),
    ),
    ("an edge in a folder that has none", "samples/variant/abi.rs", lambda tree: (new("samples/variant/abi.rs", SPDX + CODE)(tree), add(VARIANT, "mod abi;\n")(tree))),
    ("a file that no crate has", "drivers/vfio/type1/other.rs", new("drivers/vfio/type1/other.rs", SPDX)),
    ("a link", "drivers/vfio/type1/other.rs", link("drivers/vfio/type1/other.rs", "/etc/hostname")),
    ("a link to a folder", "drivers/vfio/other", link("drivers/vfio/other", "/tmp")),
    ("another Kbuild", "samples/variant/Kbuild", new("samples/variant/Kbuild", "obj-m := variant_main.o\n")),
    ("lints that are capped", "drivers/vfio/Kbuild", add("drivers/vfio/Kbuild", "rustflags-y += --cap-lints=allow\n")),
    ("lints let off by a flag", "drivers/vfio/Kbuild", add("drivers/vfio/Kbuild", "rustflags-y += -Aunsafe_op_in_unsafe_fn\n")),
    (
        "a crate that is not on its guard",
        "samples/variant/new_main.rs",
        lambda tree: (new("samples/variant/new_main.rs", SPDX)(tree), add("drivers/vfio/Kbuild", "obj-m += samples/variant/new_main.o\n")(tree)),
    ),
    ("a leaf crate that denies nothing", ROOT, swap(ROOT, "#![deny(unsafe_code)]", "")),
    ("rules that only deny", "drivers/vfio/logic/lib.rs", swap("drivers/vfio/logic/lib.rs", "#![forbid(unsafe_code)]", "#![deny(unsafe_code)]")),
    ("a macro that carries a block into other crates", KAPI, add(KAPI, "#[macro_export]\nmacro_rules! read {\n    ($p:expr) => { /* SAFETY: It is not. */ unsafe { $p.read() } };\n}\n")),
    ("the same by name", KAPI, add(KAPI, "macro_rules! read {\n    ($p:expr) => { /* SAFETY: It is not. */ unsafe { $p.read() } };\n}\npub use read;\n")),
    ("no proof of a file for another configuration", KAPI, every(KAPI, "// SAFETY:", "// Safe, as")),
    ("a block without proof", "drivers/vfio/kapi/vma.rs", add("drivers/vfio/kapi/vma.rs", "fn f() {\n    unsafe { g() }\n}\n")),
    ("a block with the mark only", "drivers/vfio/kapi/vma.rs", add("drivers/vfio/kapi/vma.rs", "fn f() {\n    // SAFETY:\n    unsafe { g() }\n}\n")),
    ("a block behind the proof of another", "drivers/vfio/kapi/vma.rs", add("drivers/vfio/kapi/vma.rs", "fn f() {\n    // SAFETY: It is fine.\n    unsafe { g() };\n    unsafe { h() };\n}\n")),
    ("an arm behind the proof of another", "drivers/vfio/kapi/vma.rs", add("drivers/vfio/kapi/vma.rs", "fn f(a: u8) {\n    match a {\n        // SAFETY: It is fine.\n        0 => unsafe { g() },\n        _ => unsafe { h() },\n    }\n}\n")),
    ("an implementation without proof", "drivers/vfio/kapi/vma.rs", add("drivers/vfio/kapi/vma.rs", "/// A thing.\nstruct Thing(*mut u8);\nunsafe impl Send for Thing {}\n")),
    ("a function without contract", "drivers/vfio/kapi/vma.rs", add("drivers/vfio/kapi/vma.rs", "/// Does it.\nunsafe fn f() {}\n")),
    ("an entry point without contract", ABI, add(ABI, '/// Does it.\n///\n/// Context: any.\n#[no_mangle]\nunsafe extern "C" fn f() {}\n')),
    ("a trait without contract", "drivers/vfio/kapi/vma.rs", add("drivers/vfio/kapi/vma.rs", "/// A kind.\nunsafe trait Kind {}\n")),
    ("something of C that is safe for no reason", ABI, every(ABI, "// SAFETY:", "// Safe, as")),
    ("more than README.md says", "README.md", add("drivers/vfio/kapi/vma.rs", "fn f() {\n" + "    // SAFETY: It is fine.\n    unsafe { g() };\n" * 100 + "}\n")),
)


def contents(tree: Path) -> dict[Path, bytes | str]:
    """All files, and where links lead."""
    files = {path: str(path.readlink()) for path in tree.rglob("*") if path.is_symlink()}
    return files | {path: path.read_bytes() for path in tree.rglob("*") if path.is_file() and path not in files}


def restore(tree: Path, was: dict[Path, bytes | str]):
    now = contents(tree)
    for path in now.keys() - was.keys():
        path.unlink()
    for path, text in was.items():
        if now.get(path) != text:
            path.write_bytes(text)


def main() -> int:
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        for top in ("drivers", "include", "samples", "tests"):
            shutil.copytree(TREE / top, tree / top, symlinks=True, ignore=shutil.ignore_patterns("target", "*.txt", "suites"))
        shutil.copy(TREE / "README.md", tree)
        was = contents(tree)
        # As a program, as `make check` does; the others only ask it what it finds.
        done = subprocess.run([sys.executable, "-B", gate.__file__, tree], capture_output=True, text=True)
        if done.returncode != 0:
            print(f"the tree as it is is refused:\n{done.stderr}")
            return 1
        for what, name, plant in HOLES:
            plant(tree)
            found, _ = gate.check(tree)
            if not any(problem.startswith(name + ":") for problem in found):
                print("\n    ".join([f"not refused: {what}, in {name}", *found[-5:]]))
                failed += 1
            restore(tree, was)
        HOLES[0][2](tree)
        if subprocess.run([sys.executable, "-B", gate.__file__, tree], capture_output=True).returncode != 1:
            print("what is wrong is no failure")
            failed += 1
    print(f"{len(HOLES) - failed} of {len(HOLES)} ways around the gate are refused")
    return 1 if failed else 0


sys.exit(main())

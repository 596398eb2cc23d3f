/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What rust/kernel/bug.rs asks of an architecture and arch/powerpc/include/asm/bug.h of 7.3 lacks:
 * the trap of a warning in Rust code, with its entry in the table of bugs. The layout is that of
 * _EMIT_BUG_ENTRY with DEBUG_BUGVERBOSE. Included by force when the kernel's Rust crates are built
 * (KCPPFLAGS).
 */
#ifndef ARCH_WARN_ASM
#define ARCH_WARN_ASM(file, line, flags, size)		\
	"1:	twi 31, 0, 0\n"				\
	"	.pushsection __bug_table,\"aw\"\n"	\
	"2:	.4byte 1b - .\n"			\
	"	.4byte " file " - .\n"			\
	"	.short " line ", " flags "\n"		\
	"	.org 2b + " size "\n"			\
	"	.popsection"
#define ARCH_WARN_REACHABLE
#endif

// SPDX-License-Identifier: GPL-2.0
/*
 * A plugin of QEMU that counts the instructions of each block of code while vfio_bench measures, and writes
 * for each announcement, and each of the two operations that it may announce, address and number:
 * `make bench PROFILE=1`.
 *
 * vfio_bench marks where operations are announced, and where each measurement begins and ends, with no-ops
 * that no compiler emits. Only what is used of QEMU's plugin interface is declared here, as Debian does not
 * package its header.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define MARK 0x56460000u
#define ANNOUNCE (MARK | 1)
#define FIRST (MARK | 2)
#define SECOND (MARK | 3)
#define END (MARK | 4)

typedef uint64_t qemu_plugin_id_t;
struct qemu_info;
struct qemu_plugin_tb;
struct qemu_plugin_insn;

extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
		void (*cb)(struct qemu_plugin_tb *tb, void *data), void *data);
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb,
		void (*cb)(unsigned int vcpu, void *data), int flags, void *data);
extern void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn,
		void (*cb)(unsigned int vcpu, void *data), int flags, void *data);
extern void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id,
		void (*cb)(void *data), void *data);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
extern uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
extern size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *insn, void *data, size_t len);

EXPORT int qemu_plugin_version = 7;

/* Executions of a block during the operation that is measured. */
struct block {
	struct block *next, *touched;
	uint64_t address, instructions, count[2];
};

#define BUCKETS 65536

static struct block *buckets[BUCKETS], *touched;
static unsigned int announcement, operation;
static bool measuring;
static FILE *out;

static void flush(void)
{
	for (; touched; touched = touched->touched)
		for (int i = 0; i < 2; i++) {
			if (touched->count[i])
				fprintf(out, "%u %d %llx %llu\n", announcement, i,
					(unsigned long long)touched->address,
					(unsigned long long)(touched->instructions * touched->count[i]));
			touched->count[i] = 0;
		}
}

static void mark(unsigned int vcpu, void *data)
{
	uint32_t which = (uintptr_t)data;

	(void)vcpu;
	if (which == ANNOUNCE) {
		flush();
		announcement++;
	}
	measuring = which == FIRST || which == SECOND;
	operation = which == SECOND;
}

static void executed(unsigned int vcpu, void *data)
{
	struct block *block = data;

	(void)vcpu;
	if (!measuring)
		return;
	if (!block->count[0] && !block->count[1]) {
		block->touched = touched;
		touched = block;
	}
	block->count[operation]++;
}

static struct block *lookup(uint64_t address, uint64_t instructions)
{
	struct block **bucket = &buckets[(address >> 1 ^ instructions << 7) % BUCKETS], *block;

	for (block = *bucket; block; block = block->next)
		if (block->address == address && block->instructions == instructions)
			return block;
	block = calloc(1, sizeof(*block));
	if (!block)
		abort();
	block->address = address;
	block->instructions = instructions;
	block->next = *bucket;
	*bucket = block;
	return block;
}

static void translated(struct qemu_plugin_tb *tb, void *data)
{
	size_t i, count = qemu_plugin_tb_n_insns(tb);
	uint8_t code[8];
	uint32_t which;

	(void)data;
	for (i = 0; i < count; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);

		/* nopl MARK(%rax,%rax,1) */
		if (qemu_plugin_insn_data(insn, code, sizeof(code)) != 8 || memcmp(code, "\x0f\x1f\x84\x00", 4))
			continue;
		memcpy(&which, code + 4, sizeof(which));
		if (which >= ANNOUNCE && which <= END)
			qemu_plugin_register_vcpu_insn_exec_cb(insn, mark, 0, (void *)(uintptr_t)which);
	}
	qemu_plugin_register_vcpu_tb_exec_cb(tb, executed, 0, lookup(qemu_plugin_tb_vaddr(tb), count));
}

static void end(void *data)
{
	(void)data;
	flush();
	fclose(out);
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info, int argc, char **argv)
{
	(void)info;
	if (argc != 1 || strncmp(argv[0], "out=", 4))
		return -1;
	out = fopen(argv[0] + 4, "w");
	if (!out)
		return -1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated, NULL);
	qemu_plugin_register_atexit_cb(id, end, NULL);
	return 0;
}

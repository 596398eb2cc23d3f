// SPDX-License-Identifier: GPL-2.0
/*
 * What the pure functions that vfio.ko and vfio-pci-core.ko export answer, as
 * text in /proc/vfio_tables. On the C modules it makes tests/host/tables (make
 * tables); on ours the same has to come out.
 *
 * Each table names the arguments it runs through, so that the host tests, which
 * read them, have no list of their own. Left out are arguments that C does not
 * survive or warns about:
 *  - a capability of 0 bytes (C writes the header behind the buffer), or
 *    added by a copy of less than its header (C copies size - 8 bytes);
 *    shifting no capability (null), twice, or by no multiple of 8 (warning);
 *  - no ranges at all, or fewer than the caller says (warning);
 *  - a current migration state that the device does not have (warning).
 */
#include <linux/interval_tree.h>
#include <linux/limits.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/vfio.h>
#include <linux/vfio_pci_core.h>

/* Results as characters, repetitions counted: "a3b" is "aaab". */
struct run {
	struct seq_file *m;
	char c;
	unsigned int count;
};

static void run_end(struct run *run)
{
	if (!run->count)
		return;
	seq_putc(run->m, run->c);
	if (run->count > 1)
		seq_printf(run->m, "%u", run->count);
	run->count = 0;
}

static void run_add(struct run *run, char c)
{
	if (run->count && run->c != c)
		run_end(run);
	run->c = c;
	run->count++;
}

#define LIST(m, list) show_list(m, #list, list, ARRAY_SIZE(list))

static void show_list(struct seq_file *m, const char *name, const u32 *list,
		      int count)
{
	int i;

	seq_printf(m, "%s:", name);
	for (i = 0; i < count; i++)
		seq_printf(m, " %x", list[i]);
	seq_putc(m, '\n');
}

/*
 * A line for each set of flags and state: the answer for each target.
 * A digit: the next state. `n`: EINVAL, next_fsm is left alone. `e`: EINVAL,
 * next_fsm is ERROR.
 */
static int migration_show(struct seq_file *m, void *unused)
{
	static const u32 flags[] = {
		0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0xa, 0xb, 0xc, 0xd, 0xe, 0xf, ~0U,
	};
	static const u32 to[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0x7fffffff, ~0U };
	static const u32 needs[] = {
		~0U, 1, 1, 1, 1, 1 | 2, 1 | 4, 1 | 2 | 4,
	};
	struct vfio_device *device = kzalloc(sizeof(*device), GFP_KERNEL);
	unsigned int f, from, t;

	if (!device)
		return -ENOMEM;
	LIST(m, flags);
	LIST(m, to);
	for (f = 0; f < ARRAY_SIZE(flags); f++) {
		device->migration_flags = flags[f];
		for (from = 0; from < ARRAY_SIZE(needs); from++) {
			if ((flags[f] & needs[from]) != needs[from])
				continue;
			seq_printf(m, "%x %x ", flags[f], from);
			for (t = 0; t < ARRAY_SIZE(to); t++) {
				enum vfio_device_mig_state next = 0x55;
				int ret = vfio_mig_get_next_state(device, from,
								  to[t], &next);

				if (!ret)
					seq_printf(m, "%x", next);
				else if (ret == -EINVAL && (next == 0x55 || !next))
					seq_putc(m, next ? 'n' : 'e');
				else
					seq_printf(m, "[%d,%x]", ret, next);
			}
			seq_putc(m, '\n');
		}
	}
	kfree(device);
	return 0;
}

/*
 * `n`: EINVAL, the size is left alone; `z`: EINVAL, it is set to 0; `0`, `1`,
 * `4`: that many bytes for each interrupt. A line runs through argsz, start,
 * count, the last one fastest.
 */
static void irq_set_one(struct run *run, struct vfio_irq_set *set, int num,
			int kinds, bool has_size)
{
	size_t size = 0x5555555555555555;
	int ret = vfio_set_irqs_validate_and_prepare(set, num, kinds,
						     has_size ? &size : NULL);
	char c = '?';

	if (ret == -EINVAL)
		c = size ? 'n' : 'z';
	else if (!ret && (!size || !has_size))
		c = '0';
	else if (!ret && size == set->count)
		c = '1';
	else if (!ret && size == 4ULL * set->count)
		c = '4';
	/* All of the size was written, or nothing. */
	if (ret && size && size != 0x5555555555555555)
		c = '!';
	run_add(run, c);
}

static int irq_set_show(struct seq_file *m, void *unused)
{
	static const u32 argsz[] = {
		0, 0x13, 0x14, 0x15, 0x17, 0x18, 0x1c, 0x33, 0x34, 0x7fffffff,
		0xfffffffe, 0xffffffff,
	};
	static const u32 flags[] = {
		0, 1, 2, 3, 4, 5, 6, 7, 0x21, 0x22, 0x24, 0x3a, 0x40, 0x41,
		0x80000001, 0xffffffff,
	};
	static const u32 starts[] = {
		0, 1, 2, 7, 8, 9, 0x7ffffffe, 0x7fffffff, 0x80000000,
		0xfffffffe, 0xffffffff,
	};
	static const u32 counts[] = {
		0, 1, 2, 8, 9, 0x3fffffff, 0x40000000, 0x7fffffff, 0x80000000,
		0xfffffffe, 0xffffffff,
	};
	static const u32 nums[] = {
		0, 1, 2, 8, 9, 0x7fffffff, 0x80000000, 0xffffffff,
	};
	static const u32 indices[] = {
		0, 1, 4, 5, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff,
	};
	static const u32 kinds[] = { 0, 1, 5, 0x7fffffff, 0x80000000, 0xffffffff };
	struct vfio_irq_set set = {};
	struct run run = { .m = m };
	unsigned int a, f, s, c, n, i, k, has_size;

	LIST(m, argsz);
	LIST(m, flags);
	LIST(m, starts);
	LIST(m, counts);
	LIST(m, nums);
	LIST(m, indices);
	LIST(m, kinds);
	for (has_size = 0; has_size < 2; has_size++)
		for (n = 0; n < ARRAY_SIZE(nums); n++)
			for (f = 0; f < ARRAY_SIZE(flags); f++) {
				seq_printf(m, "r %x %x %x ", has_size, nums[n], flags[f]);
				set.flags = flags[f];
				set.index = 4;
				for (a = 0; a < ARRAY_SIZE(argsz); a++)
					for (s = 0; s < ARRAY_SIZE(starts); s++)
						for (c = 0; c < ARRAY_SIZE(counts); c++) {
							set.argsz = argsz[a];
							set.start = starts[s];
							set.count = counts[c];
							irq_set_one(&run, &set, nums[n], 5, has_size);
						}
				run_end(&run);
				seq_putc(m, '\n');
			}
	/* A line runs through the flags. */
	set.argsz = 0x18;
	set.start = 0;
	set.count = 1;
	for (i = 0; i < ARRAY_SIZE(indices); i++)
		for (k = 0; k < ARRAY_SIZE(kinds); k++) {
			seq_printf(m, "i %x %x ", indices[i], kinds[k]);
			set.index = indices[i];
			for (f = 0; f < ARRAY_SIZE(flags); f++) {
				set.flags = flags[f];
				irq_set_one(&run, &set, 2, kinds[k], true);
			}
			run_end(&run);
			seq_putc(m, '\n');
		}
	return 0;
}

/*
 * A line: the offset of the shift, then for each capability `a` (added empty) or
 * `c` (added as a copy) and its size; then the chain by words of 8 bytes, `.`
 * for a zero. The n-th capability has ID 0x1234 + n, version 0x8001 + n, and its
 * copy has bytes 0x10 * n + 1 and so on.
 */
static void info_cap_one(struct seq_file *m, u32 offset, const u32 *how,
			 int count)
{
	struct vfio_info_cap caps = {};
	int i, j;

	seq_printf(m, "%x", offset);
	for (i = 0; i < count; i++) {
		u32 size = how[i] >> 1;
		int ret = 0;

		seq_printf(m, " %c%x", how[i] & 1 ? 'c' : 'a', size);
		if (how[i] & 1) {
			u8 buf[64] __aligned(8);
			struct vfio_info_cap_header *cap = (void *)buf;

			for (j = 0; j < sizeof(buf); j++)
				buf[j] = 0x10 * i + 1 + j - sizeof(*cap);
			cap->id = 0x1234 + i;
			cap->version = 0x8001 + i;
			cap->next = 0x55555555;
			ret = vfio_info_add_capability(&caps, cap, size);
		} else {
			size_t at = caps.size;
			struct vfio_info_cap_header *cap =
				vfio_info_cap_add(&caps, size, 0x1234 + i,
						  0x8001 + i);

			if (IS_ERR(cap))
				ret = PTR_ERR(cap);
			else if ((void *)cap != (void *)caps.buf + at)
				ret = 1;
		}
		if (ret)
			seq_printf(m, "[%d]", ret);
	}
	if (caps.buf)
		vfio_info_cap_shift(&caps, offset);
	seq_puts(m, " =");
	for (i = 0; i < caps.size / 8; i++) {
		u64 word = ((u64 *)caps.buf)[i];

		if (word)
			seq_printf(m, " %llx", word);
		else
			seq_puts(m, " .");
	}
	seq_putc(m, '\n');
	kfree(caps.buf);
}

static int info_cap_show(struct seq_file *m, void *unused)
{
	/* Size, and whether it is added as a copy. */
	static const u32 hows[] = {
		1 << 1, 7 << 1, 8 << 1, 9 << 1, 15 << 1, 16 << 1, 20 << 1,
		8 << 1 | 1, 9 << 1 | 1, 15 << 1 | 1, 16 << 1 | 1, 17 << 1 | 1,
		20 << 1 | 1, 32 << 1 | 1,
	};
	static const u32 offsets[] = { 0, 8, 0x18, 0x1000, 0x7fffff00 };
	static const u32 more[][5] = {
		{ 8 << 1 | 1, 8 << 1, 8 << 1 | 1, 8 << 1, 8 << 1 | 1 },
		{ 40 << 1 | 1, 12 << 1 | 1, 12 << 1, 9 << 1 | 1, 40 << 1 | 1 },
	};
	unsigned int a, b, c, o;

	for (o = 0; o < ARRAY_SIZE(offsets); o++) {
		info_cap_one(m, offsets[o], NULL, 0);
		for (a = 0; a < ARRAY_SIZE(hows); a++) {
			info_cap_one(m, offsets[o], &hows[a], 1);
			for (b = 0; b < ARRAY_SIZE(hows); b++) {
				u32 how[] = { hows[a], hows[b], 0 };

				info_cap_one(m, offsets[o], how, 2);
				for (c = a % 3; o == 2 && c < ARRAY_SIZE(hows); c += 3) {
					how[2] = hows[c];
					info_cap_one(m, offsets[o], how, 3);
				}
			}
		}
		for (a = 0; a < ARRAY_SIZE(more); a++)
			info_cap_one(m, offsets[o], more[a], 5);
	}
	return 0;
}

/*
 * A line: the number of ranges that the caller says there are and that it wants;
 * the ranges; those that are left, each with its number among the old ones.
 */
#define RANGES 40

static void iova_ranges_one(struct seq_file *m, const unsigned long (*in)[2],
			    unsigned int count, u32 said, u32 wanted)
{
	struct interval_tree_node *nodes, *node;
	struct rb_root_cached root = RB_ROOT_CACHED;
	unsigned int i;

	nodes = kcalloc(count, sizeof(*nodes), GFP_KERNEL);
	if (!nodes)
		return;
	seq_printf(m, "%x %x", said, wanted);
	for (i = 0; i < count; i++) {
		nodes[i].start = in[i][0];
		nodes[i].last = in[i][1];
	}
	for (i = 0; i < count; i++)
		seq_printf(m, " %lx-%lx", in[i][0], in[i][1]);
	/* Mixed up, for trees of other shapes. */
	for (i = 0; i < count; i += 2)
		interval_tree_insert(&nodes[i], &root);
	for (i = 1; i < count; i += 2)
		interval_tree_insert(&nodes[i], &root);
	vfio_combine_iova_ranges(&root, said, wanted);
	seq_puts(m, " =");
	for (node = interval_tree_iter_first(&root, 0, ULONG_MAX); node;
	     node = interval_tree_iter_next(node, 0, ULONG_MAX))
		seq_printf(m, " %x:%lx-%lx", (unsigned int)(node - nodes),
			   node->start, node->last);
	seq_putc(m, '\n');
	kfree(nodes);
}

static int iova_ranges_show(struct seq_file *m, void *unused)
{
	static const unsigned long gaps[] = { 1, 2, 5 };
	static const unsigned long edges[][2] = {
		{ 0, 0 },
		{ 1, 1 },
		{ 0x1000, 0x1fff },
		{ 0x2000, 0x2fff },
		{ LONG_MAX, 1UL << 63 },
		{ ULONG_MAX - 1, ULONG_MAX - 1 },
		{ ULONG_MAX, ULONG_MAX },
	};
	static const unsigned long ends[][2] = {
		{ 0, 0 }, { ULONG_MAX, ULONG_MAX },
	};
	unsigned long ranges[RANGES][2];
	unsigned int n, i, code, codes, want;
	u32 random = 1;

	/* Up to four gaps, each one of those above. */
	for (n = 1, codes = 1; n <= 5; n++, codes *= ARRAY_SIZE(gaps))
		for (code = 0; code < codes; code++) {
			unsigned long at = 0x10;
			unsigned int rest = code;

			for (i = 0; i < n; i++) {
				ranges[i][0] = at;
				ranges[i][1] = at + 3;
				at += 3 + gaps[rest % ARRAY_SIZE(gaps)];
				rest /= ARRAY_SIZE(gaps);
			}
			for (want = 1; want <= n; want++)
				iova_ranges_one(m, ranges, n, n, want);
		}
	for (want = 1; want <= ARRAY_SIZE(edges) + 1; want++)
		iova_ranges_one(m, edges, ARRAY_SIZE(edges),
				ARRAY_SIZE(edges), want);
	/* Fewer than there are; one is then one all the same. */
	for (n = 1; n <= ARRAY_SIZE(edges); n++)
		for (want = 1; want <= n; want++)
			iova_ranges_one(m, edges, ARRAY_SIZE(edges), n, want);
	iova_ranges_one(m, ends, 2, 2, 1);
	iova_ranges_one(m, ends, 1, 1, 1);
	iova_ranges_one(m, ends + 1, 1, 1, 1);
	for (n = 6; n <= RANGES; n += 17) {
		for (i = 0; i < n; i++) {
			random = random * 1103515245 + 12345;
			ranges[i][0] = (i ? ranges[i - 1][1] : 0) + 1 +
				       (random >> 16 & 0xff);
			ranges[i][1] = ranges[i][0] + (random >> 8 & 0x3f);
		}
		for (want = 1; want <= n; want += 1 + n / 12)
			iova_ranges_one(m, ranges, n, n, want);
	}
	return 0;
}

/*
 * A line: the buffer's start, length, and the register's start; then, for each
 * length of the register, where they meet: offset in the buffer, in the
 * register, length; or `-`.
 */
static int overlap_show(struct seq_file *m, void *unused)
{
	static const u32 starts[] = { 0, 1, 2, 3, 4, 6, 8, 0x7fffffff, 0xffffffff };
	static const u32 lengths[] = { 0, 1, 2, 4, 8, 0x7fffffff, 0xffffffff };
	unsigned int a, b, c, d;

	LIST(m, starts);
	LIST(m, lengths);
	for (a = 0; a < ARRAY_SIZE(starts); a++)
		for (b = 0; b < ARRAY_SIZE(lengths); b++)
			for (c = 0; c < ARRAY_SIZE(starts); c++) {
				seq_printf(m, "%x %x %x =", starts[a],
					   lengths[b], starts[c]);
				for (d = 0; d < ARRAY_SIZE(lengths); d++) {
					loff_t buf = -1;
					size_t count = -1, reg = -1;

					if (vfio_pci_core_range_intersect_range(
						    starts[a], lengths[b], starts[c],
						    lengths[d], &buf, &count, &reg))
						seq_printf(m, " %llx,%zx,%zx", buf, reg, count);
					else
						seq_puts(m, buf == -1 && count == -1 &&
							 reg == -1 ? " -" : " !");
				}
				seq_putc(m, '\n');
			}
	return 0;
}

static int __init vfio_tables_init(void)
{
	struct proc_dir_entry *dir = proc_mkdir("vfio_tables", NULL);

	if (!dir)
		return -ENOMEM;
	if (!proc_create_single("migration", 0444, dir, migration_show) ||
	    !proc_create_single("irq_set", 0444, dir, irq_set_show) ||
	    !proc_create_single("info_cap", 0444, dir, info_cap_show) ||
	    !proc_create_single("iova_ranges", 0444, dir, iova_ranges_show) ||
	    !proc_create_single("overlap", 0444, dir, overlap_show)) {
		proc_remove(dir);
		return -ENOMEM;
	}
	return 0;
}

static void __exit vfio_tables_exit(void)
{
	remove_proc_subtree("vfio_tables", NULL);
}

module_init(vfio_tables_init);
module_exit(vfio_tables_exit);
MODULE_DESCRIPTION("Tables of what the pure functions of VFIO answer");
MODULE_LICENSE("GPL");

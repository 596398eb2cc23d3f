// SPDX-License-Identifier: GPL-2.0
/*
 * A variant driver of vfio-pci in C, over any PCI function, that uses all that vfio-pci-core.ko exports (but what is
 * for iommufd only): vfio_device_ops that call the core, regions of its own, one of them mapped by the core's help, and
 * an ioctl by which a user program (variant_user) calls the rest with arguments of its choice.
 *
 * /proc/vfio_test_variant has the public fields of struct vfio_pci_core_device, as they were at each step of a device's
 * life. On our core they have to be as on the C one.
 */
/* Declares the accesses of 64 bits. */
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/pci-p2pdma.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>
#include <linux/vfio_pci_core.h>

#include "vfio_test_variant.h"

/* Exported, but declared only beside the core. */
ssize_t vfio_pci_config_rw_single(struct vfio_pci_core_device *vdev, char __user *buf, size_t count, loff_t *ppos,
				  bool iswrite);

static int fail_open;
module_param(fail_open, int, 0644);
MODULE_PARM_DESC(fail_open, "Errno that opening fails with after the core has enabled the device");

static int fail_init;
module_param(fail_init, int, 0644);
MODULE_PARM_DESC(fail_init, "Errno that binding fails with after the core has initialized the device");

static int incomplete;
module_param(incomplete, int, 0644);
MODULE_PARM_DESC(incomplete, "Register with incomplete operations: 1 migration, 2 no flags for it, 3 logging");

static bool claim;
module_param(claim, bool, 0644);
MODULE_PARM_DESC(claim, "Claim BAR 0 when binding, so that the core cannot");

struct variant {
	struct vfio_pci_core_device core;
	bool claimed;
	int window_bar;
};

#define LOG_SIZE (512 * 1024)
static DEFINE_MUTEX(log_lock);
static char *log_text;
static size_t log_len;

static __printf(1, 2) void note(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_len += vscnprintf(log_text + log_len, LOG_SIZE - log_len, format, args);
	va_end(args);
}

/* With log_lock held; what it returns is good for one note(). */
static const char *state_of(const void *p)
{
	static char error[16];

	if (!IS_ERR(p))
		return p ? "set" : "none";
	scnprintf(error, sizeof(error), "%ld", PTR_ERR(p));
	return error;
}

static struct variant *to_variant(struct vfio_pci_core_device *core)
{
	return container_of(core, struct variant, core);
}

static struct vfio_pci_core_device *to_core(struct vfio_device *vdev)
{
	return container_of(vdev, struct vfio_pci_core_device, vdev);
}

/* Configuration space as the core remembers it: which capability each byte belongs to, and its virtual contents. */
static void dump_config(struct vfio_pci_core_device *core)
{
	int size = core->pdev->cfg_size, i, start = 0;

	note("  vconfig %s map %s\n", state_of(core->vconfig), state_of(core->pci_config_map));
	if (!core->vconfig || !core->pci_config_map)
		return;
	for (i = 1; i <= size; i++) {
		if (i < size && core->pci_config_map[i] == core->pci_config_map[start])
			continue;
		note("  map %03x-%03x %02x\n", start, i - 1, core->pci_config_map[start]);
		start = i;
	}
	/* Of what belongs to no capability it remembers nothing. */
	for (i = 0; i < size; i += 16) {
		u8 row[16], n;

		for (n = 0; n < sizeof(row); n++)
			row[n] = core->pci_config_map[i + n] == 0xff ? 0 : core->vconfig[i + n];
		if (memchr_inv(row, 0, sizeof(row)))
			note("  vconfig %03x %*ph\n", i, (int)sizeof(row), row);
	}
}

static void dump(struct vfio_pci_core_device *core, const char *phase, bool config)
{
	int i;

	mutex_lock(&log_lock);
	note("%s %s:\n", pci_name(core->pdev), phase);
	note("  barmap");
	for (i = 0; i < PCI_STD_NUM_BARS; i++)
		note(" %s", state_of(core->barmap[i]));
	note("\n  mappable");
	for (i = 0; i < PCI_STD_NUM_BARS; i++)
		note(" %d", core->bar_mmap_supported[i]);
	note("\n  rbar");
	for (i = 0; i < ARRAY_SIZE(core->rbar); i++)
		note(" %x", core->rbar[i]);
	note("\n  virq_disabled %d irq_type %d num_regions %d region %s\n", core->virq_disabled, core->irq_type,
	     core->num_regions, state_of(core->region));
	for (i = 0; i < core->num_regions; i++)
		note("  region %x %x size %zx flags %x\n", core->region[i].type, core->region[i].subtype,
		     core->region[i].size, core->region[i].flags);
	note("  msi_qmax %u msix bar %u size %u offset %x\n", core->msi_qmax, core->msix_bar, core->msix_size,
	     core->msix_offset);
	note("  has_dyn_msix %d pci_2_3 %d reset_works %d extended_caps %d has_vga %d nointx %d needs_pm_restore %d\n",
	     core->has_dyn_msix, core->pci_2_3, core->reset_works, core->extended_caps, core->has_vga, core->nointx,
	     core->needs_pm_restore);
	note("  disable_idle_d3 %d nointxmask %d disable_vga %d\n", core->disable_idle_d3, core->nointxmask,
	     core->disable_vga);
	note("  needs_reset %d pm_intx_masked %d pm_runtime_engaged %d sriov_active %d\n", core->needs_reset,
	     core->pm_intx_masked, core->pm_runtime_engaged, core->sriov_active);
	note("  ioeventfds %d err %s req %s wakeup %s\n", core->ioeventfds_nr,
	     state_of(rcu_access_pointer(core->err_trigger)), state_of(rcu_access_pointer(core->req_trigger)),
	     state_of(core->pm_wake_eventfd_ctx));
	note("  memory_lock %s\n", rwsem_is_locked(&core->memory_lock) ? "held" : "free");
	if (config)
		dump_config(core);
	mutex_unlock(&log_lock);
}

/* The window on a BAR: read and written by the core, mapped by the core's help, with a capability. */

static ssize_t window_rw(struct vfio_pci_core_device *core, char __user *buf, size_t count, loff_t *ppos, bool iswrite)
{
	unsigned int i = VFIO_PCI_OFFSET_TO_INDEX(*ppos) - VFIO_PCI_NUM_REGIONS;
	loff_t pos = *ppos & VFIO_PCI_OFFSET_MASK;
	void __iomem *io = vfio_pci_core_get_iomap(core, to_variant(core)->window_bar);
	ssize_t done;

	if (IS_ERR(io))
		return PTR_ERR(io);
	if (pos >= core->region[i].size)
		return -EINVAL;
	count = min_t(size_t, count, core->region[i].size - pos);
	/* Bytes 0x10 to 0x1b are kept from the user. */
	done = vfio_pci_core_do_io_rw(core, true, io, buf, pos, count, 0x10, 0x1c, iswrite, VFIO_PCI_IO_WIDTH_4);
	if (done > 0)
		*ppos += done;
	return done;
}

static vm_fault_t window_huge_fault(struct vm_fault *vmf, unsigned int order)
{
	struct vfio_pci_core_device *core = vmf->vma->vm_private_data;
	unsigned long addr = vmf->address & ~((PAGE_SIZE << order) - 1);
	unsigned long mask = VFIO_PCI_OFFSET_MASK >> PAGE_SHIFT;
	unsigned long pfn = PHYS_PFN(pci_resource_start(core->pdev, to_variant(core)->window_bar)) +
			    (vmf->vma->vm_pgoff & mask) + ((addr - vmf->vma->vm_start) >> PAGE_SHIFT);
	vm_fault_t ret = VM_FAULT_FALLBACK;

	if (!is_aligned_for_order(vmf->vma, addr, pfn, order))
		return ret;
	scoped_guard(rwsem_read, &core->memory_lock)
		ret = vfio_pci_vmf_insert_pfn(core, vmf, pfn, order);
	mutex_lock(&log_lock);
	note("%s fault of order %u: %x\n", pci_name(core->pdev), order, ret);
	mutex_unlock(&log_lock);
	return ret;
}

static vm_fault_t window_fault(struct vm_fault *vmf)
{
	return window_huge_fault(vmf, 0);
}

static const struct vm_operations_struct window_vm_ops = {
	.fault = window_fault,
#ifdef CONFIG_ARCH_SUPPORTS_HUGE_PFNMAP
	.huge_fault = window_huge_fault,
#endif
};

static int window_mmap(struct vfio_pci_core_device *core, struct vfio_pci_region *region, struct vm_area_struct *vma)
{
	unsigned long start = vma->vm_pgoff & (VFIO_PCI_OFFSET_MASK >> PAGE_SHIFT);

	if ((start << PAGE_SHIFT) + vma->vm_end - vma->vm_start > region->size)
		return -EINVAL;
	vma->vm_private_data = core;
	vma->vm_page_prot = pgprot_noncached(vma->vm_page_prot);
	vm_flags_set(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_ops = &window_vm_ops;
	return 0;
}

static int window_capability(struct vfio_pci_core_device *core, struct vfio_pci_region *region,
			     struct vfio_info_cap *caps)
{
	struct vfio_region_info_cap_type cap = {
		.header.id = VARIANT_REGION_CAP,
		.header.version = 3,
		.type = region->type,
		.subtype = region->size,
	};

	return vfio_info_add_capability(caps, &cap.header, sizeof(cap));
}

static void region_release(struct vfio_pci_core_device *core, struct vfio_pci_region *region)
{
	mutex_lock(&log_lock);
	note("%s releases region %u with %s\n", pci_name(core->pdev), region->subtype, (char *)region->data);
	mutex_unlock(&log_lock);
}

static const struct vfio_pci_regops window_ops = {
	.rw = window_rw,
	.mmap = window_mmap,
	.add_capability = window_capability,
	.release = region_release,
};

static ssize_t config_rw(struct vfio_pci_core_device *core, char __user *buf, size_t count, loff_t *ppos, bool iswrite)
{
	loff_t pos = *ppos & VFIO_PCI_OFFSET_MASK;
	size_t done = 0;

	while (done < count) {
		ssize_t ret = vfio_pci_config_rw_single(core, buf + done, count - done, &pos, iswrite);

		if (ret < 0)
			return ret;
		pos += ret;
		done += ret;
	}
	*ppos += done;
	return done;
}

static const struct vfio_pci_regops config_ops = {
	.rw = config_rw,
	.release = region_release,
};

static int add_regions(struct vfio_pci_core_device *core)
{
	static char data[] = "data";
	resource_size_t size = 0;
	int i, ret;

	for (i = 0; i < PCI_STD_NUM_BARS; i++)
		if (pci_resource_flags(core->pdev, i) & IORESOURCE_MEM && pci_resource_len(core->pdev, i) > size) {
			to_variant(core)->window_bar = i;
			size = pci_resource_len(core->pdev, i);
		}
	ret = vfio_pci_core_register_dev_region(core, VARIANT_REGION_TYPE, VARIANT_REGION_WINDOW, &window_ops, size,
						VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE |
						VFIO_REGION_INFO_FLAG_MMAP, data);
	ret = ret ?: vfio_pci_core_register_dev_region(core, VARIANT_REGION_TYPE, VARIANT_REGION_CONFIG, &config_ops,
						       core->pdev->cfg_size, VFIO_REGION_INFO_FLAG_READ, data);
	return ret ?: vfio_pci_core_register_dev_region(core, VARIANT_REGION_TYPE, VARIANT_REGION_EMPTY, &config_ops,
							PAGE_SIZE, VFIO_REGION_INFO_FLAG_MMAP, data);
}

/* What user programs have called. */

#define IO(size)									\
	case size / 8: {								\
		u##size value = call->in[4];						\
		if (write)								\
			return vfio_pci_core_iowrite##size(core, call->in[3], value, io); \
		ret = vfio_pci_core_ioread##size(core, call->in[3], &value, io);		\
		call->out[0] = ret ? 0 : value;						\
		return ret;								\
	}

static s64 call_io(struct vfio_pci_core_device *core, struct variant_call *call, bool write)
{
	void __iomem *io;
	int ret;

	if (call->in[0] >= PCI_STD_NUM_BARS || call->in[1] + 8 > pci_resource_len(core->pdev, call->in[0]))
		return -ERANGE;
	io = vfio_pci_core_get_iomap(core, call->in[0]);
	if (IS_ERR(io))
		return PTR_ERR(io);
	io += call->in[1];
	switch (call->in[2]) {
	IO(8)
	IO(16)
	IO(32)
	IO(64)
	}
	return -ENXIO;
}

static s64 call_io_rw(struct vfio_pci_core_device *core, struct variant_call *call)
{
	u64 *in = call->in;
	void __iomem *io;

	if (in[0] >= PCI_STD_NUM_BARS || in[2] > PAGE_SIZE || in[1] + in[2] > pci_resource_len(core->pdev, in[0]))
		return -ERANGE;
	io = vfio_pci_core_get_iomap(core, in[0]);
	if (IS_ERR(io))
		return PTR_ERR(io);
	return vfio_pci_core_do_io_rw(core, in[7], io, u64_to_user_ptr(call->data), in[1], in[2], in[3], in[4], in[5],
				      in[6]);
}

#define MAX_RANGES 3

static s64 call_phys(struct vfio_pci_core_device *core, struct variant_call *call, bool dmabuf)
{
	struct vfio_region_dma_range ranges[MAX_RANGES];
	struct phys_vec vec[MAX_RANGES] = {};
	struct p2pdma_provider *provider = NULL;
	u64 *range = call->in + (dmabuf ? 2 : 3), base = 0;
	size_t i, count = call->in[dmabuf ? 1 : 2];
	int ret;

	if (count > MAX_RANGES)
		return -ERANGE;
	for (i = 0; i < count; i++) {
		ranges[i].offset = range[2 * i];
		ranges[i].length = range[2 * i + 1];
	}
	if (dmabuf) {
		ret = vfio_pci_core_get_dmabuf_phys(core, &provider, call->in[0], vec, ranges, count);
		call->out[7] = !!provider;
		base = call->in[0] < PCI_STD_NUM_BARS ? pci_resource_start(core->pdev, call->in[0]) : 0;
	} else {
		ret = vfio_pci_core_fill_phys_vec(vec, ranges, count, call->in[0], call->in[1]);
	}
	for (i = 0; i < count && !ret; i++) {
		call->out[2 * i] = vec[i].paddr - base;
		call->out[2 * i + 1] = vec[i].len;
	}
	return ret;
}

static s64 call_match(struct vfio_pci_core_device *core, struct variant_call *call)
{
	char name[128] = {};

	if (strncpy_from_user(name, u64_to_user_ptr(call->data), sizeof(name) - 1) < 0)
		return -EFAULT;
	return vfio_pci_core_match(&core->vdev, name);
}

static s64 call_match_uuid(struct vfio_pci_core_device *core, struct variant_call *call)
{
	uuid_t uuid;

	if (call->in[0] && copy_from_user(&uuid, u64_to_user_ptr(call->data), sizeof(uuid)))
		return -EFAULT;
	return vfio_pci_core_match_token_uuid(&core->vdev, call->in[0] ? &uuid : NULL);
}

static s64 call_config(struct vfio_pci_core_device *core, struct variant_call *call)
{
	loff_t pos = call->in[0];
	ssize_t ret = vfio_pci_config_rw_single(core, u64_to_user_ptr(call->data), call->in[1], &pos, call->in[2]);

	call->out[0] = pos;
	return ret;
}

static s64 call_intersect(struct variant_call *call)
{
	loff_t offset = -1;
	size_t count = -1, reg = -1;
	bool ret = vfio_pci_core_range_intersect_range(call->in[0], call->in[1], call->in[2], call->in[3], &offset,
						       &count, &reg);

	call->out[0] = offset;
	call->out[1] = count;
	call->out[2] = reg;
	return ret;
}

static s64 call_memory_enabled(struct vfio_pci_core_device *core)
{
	guard(rwsem_read)(&core->memory_lock);
	return __vfio_pci_memory_enabled(core);
}

static s64 do_call(struct vfio_pci_core_device *core, struct variant_call *call)
{
	switch (call->what) {
	case VARIANT_IOREAD:
	case VARIANT_IOWRITE:
		return call_io(core, call, call->what == VARIANT_IOWRITE);
	case VARIANT_IO_RW:
		return call_io_rw(core, call);
	case VARIANT_MEMORY_ENABLED:
		return call_memory_enabled(core);
	case VARIANT_INTERSECT:
		return call_intersect(call);
	case VARIANT_FILL_PHYS:
	case VARIANT_DMABUF_PHYS:
		return call_phys(core, call, call->what == VARIANT_DMABUF_PHYS);
	case VARIANT_ERROR:
		/* The table that drivers use as it is, and its function for tables of their own. */
		if (vfio_pci_core_err_handlers.mmio_enabled || vfio_pci_core_err_handlers.slot_reset ||
		    vfio_pci_core_err_handlers.resume || vfio_pci_core_err_handlers.reset_prepare ||
		    vfio_pci_core_err_handlers.reset_done || vfio_pci_core_err_handlers.cor_error_detected ||
		    vfio_pci_core_err_handlers.error_detected != vfio_pci_core_aer_err_detected)
			return -EBADE;
		return vfio_pci_core_aer_err_detected(core->pdev, call->in[0]);
	case VARIANT_REQUEST:
		vfio_pci_core_request(&core->vdev, call->in[0]);
		return 0;
	case VARIANT_MATCH:
		return call_match(core, call);
	case VARIANT_MATCH_UUID:
		return call_match_uuid(core, call);
	case VARIANT_CONFIG:
		return call_config(core, call);
	case VARIANT_DUMP:
		dump(core, "now", call->in[0]);
		return 0;
	case VARIANT_MAPPABLE:
		if (call->in[0] >= PCI_STD_NUM_BARS)
			return -ERANGE;
		core->bar_mmap_supported[call->in[0]] = call->in[1];
		return 0;
	}
	return -ENOTTY;
}

static long variant_ioctl(struct vfio_device *vdev, unsigned int cmd, unsigned long arg)
{
	struct variant_call call;

	if (cmd != VARIANT_CALL)
		return vfio_pci_core_ioctl(vdev, cmd, arg);
	if (copy_from_user(&call, (void __user *)arg, sizeof(call)))
		return -EFAULT;
	call.ret = do_call(to_core(vdev), &call);
	return copy_to_user((void __user *)arg, &call, sizeof(call)) ? -EFAULT : 0;
}

/* The core's answer, and a sparse area for BAR 0. */
static int variant_region_info(struct vfio_device *vdev, struct vfio_region_info *info, struct vfio_info_cap *caps)
{
	struct {
		struct vfio_region_info_cap_sparse_mmap cap;
		struct vfio_region_sparse_mmap_area area;
	} sparse = {
		.cap.header.id = VFIO_REGION_INFO_CAP_SPARSE_MMAP,
		.cap.header.version = 1,
		.cap.nr_areas = 1,
		.area.offset = PAGE_SIZE,
		.area.size = PAGE_SIZE,
	};
	int ret = vfio_pci_ioctl_get_region_info(vdev, info, caps);

	if (ret || info->index != VFIO_PCI_BAR0_REGION_INDEX)
		return ret;
	return vfio_info_add_capability(caps, &sparse.cap.header, sizeof(sparse));
}

static int variant_init(struct vfio_device *vdev)
{
	int ret = vfio_pci_core_init_dev(vdev);

	if (!ret)
		dump(to_core(vdev), "initialized", true);
	return ret ?: -fail_init;
}

static void variant_release(struct vfio_device *vdev)
{
	dump(to_core(vdev), "released", true);
	vfio_pci_core_release_dev(vdev);
}

static int variant_open(struct vfio_device *vdev)
{
	struct vfio_pci_core_device *core = to_core(vdev);
	int ret;

	ret = vfio_pci_core_enable(core);
	if (ret)
		return ret;
	dump(core, "enabled", true);
	ret = add_regions(core);
	if (ret || fail_open) {
		vfio_pci_core_disable(core);
		dump(core, "disabled", true);
		return ret ?: -fail_open;
	}
	vfio_pci_core_finish_enable(core);
	dump(core, "opened", false);
	return 0;
}

static void variant_close(struct vfio_device *vdev)
{
	dump(to_core(vdev), "closing", false);
	vfio_pci_core_close_device(vdev);
	dump(to_core(vdev), "closed", true);
}

static ssize_t variant_read(struct vfio_device *vdev, char __user *buf, size_t count, loff_t *ppos)
{
	return vfio_pci_core_read(vdev, buf, count, ppos);
}

static ssize_t variant_write(struct vfio_device *vdev, const char __user *buf, size_t count, loff_t *ppos)
{
	return vfio_pci_core_write(vdev, buf, count, ppos);
}

static int variant_mmap(struct vfio_device *vdev, struct vm_area_struct *vma)
{
	return vfio_pci_core_mmap(vdev, vma);
}

static void variant_request(struct vfio_device *vdev, unsigned int count)
{
	vfio_pci_core_request(vdev, count);
}

static const struct vfio_device_ops variant_ops = {
	.name = "vfio-test-variant",
	.init = variant_init,
	.release = variant_release,
	.open_device = variant_open,
	.close_device = variant_close,
	.ioctl = variant_ioctl,
	.get_region_info_caps = variant_region_info,
	.device_feature = vfio_pci_core_ioctl_feature,
	.read = variant_read,
	.write = variant_write,
	.mmap = variant_mmap,
	.request = variant_request,
	.match = vfio_pci_core_match,
	.match_token_uuid = vfio_pci_core_match_token_uuid,
#if IS_ENABLED(CONFIG_IOMMUFD)
	.bind_iommufd = vfio_iommufd_physical_bind,
	.unbind_iommufd = vfio_iommufd_physical_unbind,
	.attach_ioas = vfio_iommufd_physical_attach_ioas,
	.detach_ioas = vfio_iommufd_physical_detach_ioas,
#endif
};

/* BAR 0 is found by this driver, the others by the core. */
static int variant_dmabuf_phys(struct vfio_pci_core_device *core, struct p2pdma_provider **provider,
			       unsigned int region, struct phys_vec *phys, struct vfio_region_dma_range *ranges,
			       size_t count)
{
	if (region)
		return vfio_pci_core_get_dmabuf_phys(core, provider, region, phys, ranges, count);
	*provider = pcim_p2pdma_provider(core->pdev, 0);
	if (!*provider)
		return -EINVAL;
	/* All but its last page. */
	return vfio_pci_core_fill_phys_vec(phys, ranges, count, pci_resource_start(core->pdev, 0),
					   pci_resource_len(core->pdev, 0) - PAGE_SIZE);
}

static const struct vfio_pci_device_ops variant_pci_ops = {
	.get_dmabuf_phys = variant_dmabuf_phys,
};

static const struct vfio_migration_ops no_migration_ops;
static const struct vfio_log_ops no_log_ops;

static int variant_get_state(struct vfio_device *vdev, enum vfio_device_mig_state *state)
{
	*state = VFIO_DEVICE_STATE_RUNNING;
	return 0;
}

static struct file *variant_set_state(struct vfio_device *vdev, enum vfio_device_mig_state state)
{
	return ERR_PTR(-EINVAL);
}

static int variant_data_size(struct vfio_device *vdev, unsigned long *size)
{
	*size = 0x123;
	return 0;
}

static const struct vfio_migration_ops migration_ops = {
	.migration_get_state = variant_get_state,
	.migration_set_state = variant_set_state,
	.migration_get_data_size = variant_data_size,
};

static int variant_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct variant *variant;
	int ret;

	variant = vfio_alloc_device(variant, core.vdev, &pdev->dev, &variant_ops);
	if (IS_ERR(variant))
		return PTR_ERR(variant);
	dev_set_drvdata(&pdev->dev, &variant->core);
	variant->core.pci_ops = &variant_pci_ops;
	switch (incomplete) {
	case 0:
		variant->core.vdev.mig_ops = &migration_ops;
		variant->core.vdev.migration_flags = VFIO_MIGRATION_STOP_COPY;
		break;
	case 1:
		variant->core.vdev.mig_ops = &no_migration_ops;
		variant->core.vdev.migration_flags = VFIO_MIGRATION_STOP_COPY;
		break;
	case 2:
		variant->core.vdev.mig_ops = &migration_ops;
		break;
	case 3:
		variant->core.vdev.log_ops = &no_log_ops;
		break;
	}
	variant->claimed = claim && !pci_request_region(pdev, 0, "vfio_test_variant");
	ret = vfio_pci_core_register_device(&variant->core);
	mutex_lock(&log_lock);
	note("%s registers: %d\n", pci_name(pdev), ret);
	mutex_unlock(&log_lock);
	if (ret) {
		if (variant->claimed)
			pci_release_region(pdev, 0);
		vfio_put_device(&variant->core.vdev);
		return ret;
	}
	dump(&variant->core, "registered", true);
	return 0;
}

static void variant_remove(struct pci_dev *pdev)
{
	struct vfio_pci_core_device *core = dev_get_drvdata(&pdev->dev);

	vfio_pci_core_unregister_device(core);
	dump(core, "unregistered", true);
	if (to_variant(core)->claimed)
		pci_release_region(pdev, 0);
	vfio_put_device(&core->vdev);
}

static int variant_sriov(struct pci_dev *pdev, int count)
{
	struct vfio_pci_core_device *core = dev_get_drvdata(&pdev->dev);
	int ret = vfio_pci_core_sriov_configure(core, count);

	mutex_lock(&log_lock);
	note("%s virtual functions %d: %d\n", pci_name(pdev), count, ret);
	mutex_unlock(&log_lock);
	dump(core, "reconfigured", false);
	return ret;
}

static const struct pci_device_id variant_ids[] = {
	{ PCI_DRIVER_OVERRIDE_DEVICE_VFIO(PCI_ANY_ID, PCI_ANY_ID) },
	{}
};

static struct pci_driver variant_driver = {
	.name = "vfio-test-variant",
	.id_table = variant_ids,
	.probe = variant_probe,
	.remove = variant_remove,
	.sriov_configure = variant_sriov,
	.err_handler = &vfio_pci_core_err_handlers,
	.driver_managed_dma = true,
};

static int log_show(struct seq_file *m, void *unused)
{
	mutex_lock(&log_lock);
	seq_write(m, log_text, log_len);
	log_len = 0;
	mutex_unlock(&log_lock);
	return 0;
}

static int log_open(struct inode *inode, struct file *file)
{
	return single_open_size(file, log_show, NULL, LOG_SIZE + PAGE_SIZE);
}

/* What was read is gone. */
static const struct proc_ops log_ops = {
	.proc_open = log_open,
	.proc_read = seq_read,
	.proc_lseek = seq_lseek,
	.proc_release = single_release,
};

static int __init variant_module_init(void)
{
	int ret;

	log_text = kvzalloc(LOG_SIZE, GFP_KERNEL);
	if (!log_text)
		return -ENOMEM;
	if (!proc_create("vfio_test_variant", 0444, NULL, &log_ops)) {
		kvfree(log_text);
		return -ENOMEM;
	}
	ret = pci_register_driver(&variant_driver);
	if (ret) {
		remove_proc_entry("vfio_test_variant", NULL);
		kvfree(log_text);
	}
	return ret;
}

static void __exit variant_module_exit(void)
{
	pci_unregister_driver(&variant_driver);
	remove_proc_entry("vfio_test_variant", NULL);
	kvfree(log_text);
}

module_init(variant_module_init);
module_exit(variant_module_exit);
MODULE_DESCRIPTION("A variant driver that uses all that vfio-pci-core.ko exports");
MODULE_LICENSE("GPL");

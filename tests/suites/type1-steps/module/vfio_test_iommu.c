// SPDX-License-Identifier: GPL-2.0
/*
 * An IOMMU that is a table in memory, with devices behind it that do nothing, to have several domains in a container.
 * vfio-test-iommu.0, .1 and .7 can share a domain; .2 can reach fewer addresses and has others reserved; .3 enforces
 * cache coherency; .4 has its doorbell mapped by the kernel, and is told of smaller pages than the CPU has; .5 can only
 * reach addresses that .2 cannot; .6 has them all reserved; .7 has the first ones reserved.
 *
 * It warns if a page is mapped that is not pinned, or unpinned while a device may still reach it, or in a domain that is
 * freed.
 *
 * As devices keep the module: write 0 to its parameter `devices` before removing it.
 */
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/property.h>
#include <linux/sizes.h>
#include <linux/vfio.h>
#include <linux/xarray.h>

struct region {
	u64 start, length;
	enum iommu_resv_type type;
};

static const struct kind {
	u64 first, last;
	unsigned long pgsizes;
	bool coherent;
	/* Domains of devices of the same family can be shared. */
	int family;
	struct region reserved[4];
} kinds[] = {
	{
		.last = (1ull << 39) - 1,
		.pgsizes = SZ_4K | SZ_2M | SZ_1G,
		.reserved = { { 0xfee00000, SZ_1M, IOMMU_RESV_MSI } },
	},
	{
		.family = 1,
		.first = SZ_64K,
		.last = (1ull << 33) - 1,
		.pgsizes = SZ_4K | SZ_2M,
		.reserved = {
			{ 0x380000, SZ_64K, IOMMU_RESV_RESERVED },
			{ 0x388000, SZ_64K, IOMMU_RESV_RESERVED },
			{ 0x3c0000, SZ_64K, IOMMU_RESV_DIRECT_RELAXABLE },
			{ 0xfee00000, SZ_1M, IOMMU_RESV_MSI },
		},
	},
	{
		.family = 2,
		.last = ~0ull,
		.pgsizes = SZ_4K,
		.coherent = true,
		.reserved = { { 0x3e0000, SZ_4K, IOMMU_RESV_RESERVED } },
	},
	{
		.family = 3,
		.last = (1ull << 48) - 1,
		.pgsizes = SZ_2K | SZ_4K | SZ_2M,
		.reserved = {
			{ 0x8000000, SZ_1M, IOMMU_RESV_SW_MSI },
			/* Ends where the address space does. */
			{ (1ull << 48) - SZ_1M, SZ_1M, IOMMU_RESV_RESERVED },
		},
	},
	{
		.family = 4,
		.first = 1ull << 33,
		.last = (1ull << 34) - 1,
		.pgsizes = SZ_4K,
	},
	{
		.family = 5,
		.last = SZ_1M - 1,
		.pgsizes = SZ_4K,
		.reserved = { { SZ_512K, SZ_1M, IOMMU_RESV_RESERVED }, { 0, SZ_512K, IOMMU_RESV_MSI } },
	},
	{
		.last = (1ull << 39) - 1,
		.pgsizes = SZ_4K | SZ_2M | SZ_1G,
		.reserved = { { 0, SZ_64K, IOMMU_RESV_RESERVED } },
	},
	{
		.family = 6,
		.last = (1ull << 39) - 1,
		.pgsizes = SZ_64K | SZ_2M,
	},
};

static const u8 kind_of[] = { 0, 0, 1, 2, 3, 4, 5, 6, 7 };

#define DEVICES ARRAY_SIZE(kind_of)

static int fail_map;
module_param(fail_map, int, 0644);
MODULE_PARM_DESC(fail_map, "the so many-th page table update from now on fails");

static int fail_attach;
module_param(fail_attach, int, 0644);
MODULE_PARM_DESC(fail_attach, "the so many-th attachment from now on fails");

static int cut_unmap;
module_param(cut_unmap, int, 0644);
MODULE_PARM_DESC(cut_unmap, "the so many-th unmap from now on does nothing");

static unsigned int left_mapped;
module_param(left_mapped, uint, 0644);
MODULE_PARM_DESC(left_mapped, "pages that were mapped in domains when those were freed");

static unsigned int msi_cookies;
module_param(msi_cookies, uint, 0444);
MODULE_PARM_DESC(msi_cookies, "domains with doorbells mapped by the kernel that were freed so far");

static unsigned int largest_shift;
module_param(largest_shift, uint, 0644);
MODULE_PARM_DESC(largest_shift, "log2 of the size of the largest page that was mapped since 0 was written");

struct domain {
	struct iommu_domain domain;
	const struct kind *kind;
	/* Addresses by the device's; pages that devices may still reach. */
	struct xarray entries, stale;
};

static struct iommu_device iommu;

static const struct kind *device_kind(struct device *dev)
{
	return &kinds[kind_of[to_platform_device(dev)->id]];
}

static bool fails(int *count)
{
	return *count > 0 && !--*count;
}

/* Pages that are nobody's memory cannot be pinned. */
static bool pinned(unsigned long pfn)
{
	return !pfn_valid(pfn) || PageReserved(pfn_to_page(pfn)) ||
	       folio_maybe_dma_pinned(page_folio(pfn_to_page(pfn)));
}

static int attach(struct iommu_domain *domain, struct device *dev, struct iommu_domain *old)
{
	struct domain *d = container_of(domain, struct domain, domain);

	if (d->kind->family != device_kind(dev)->family)
		return -EINVAL;
	return fails(&fail_attach) ? -ENOMEM : 0;
}

static int attach_static(struct iommu_domain *domain, struct device *dev, struct iommu_domain *old)
{
	return 0;
}

static int map_pages(struct iommu_domain *domain, unsigned long iova, phys_addr_t paddr, size_t pgsize, size_t pgcount,
		     int prot, gfp_t gfp, size_t *mapped)
{
	struct domain *d = container_of(domain, struct domain, domain);
	size_t size = pgsize * pgcount;

	if (fails(&fail_map))
		return -ENOMEM;
	largest_shift = max(largest_shift, (unsigned int)__fls(pgsize));
	for (size_t done = 0; done < size; done += PAGE_SIZE) {
		WARN_ONCE(!pinned(PHYS_PFN(paddr + done)), "mapped but not pinned");
		if (xa_err(xa_store(&d->entries, (iova + done) >> PAGE_SHIFT, (void *)(paddr + done), gfp)))
			return -ENOMEM;
		*mapped += PAGE_SIZE;
	}
	return 0;
}

static size_t unmap_pages(struct iommu_domain *domain, unsigned long iova, size_t pgsize, size_t pgcount,
			  struct iommu_iotlb_gather *gather)
{
	struct domain *d = container_of(domain, struct domain, domain);
	size_t done, size = pgsize * pgcount;

	if (fails(&cut_unmap))
		return 0;
	for (done = 0; done < size; done += PAGE_SIZE) {
		phys_addr_t paddr = (phys_addr_t)xa_erase(&d->entries, (iova + done) >> PAGE_SHIFT);

		if (!paddr)
			break;
		xa_store(&d->stale, PHYS_PFN(paddr), xa_mk_value(1), GFP_KERNEL);
	}
	iommu_iotlb_gather_add_range(gather, iova, done);
	return done;
}

static void sync(struct iommu_domain *domain, struct iommu_iotlb_gather *gather)
{
	struct domain *d = container_of(domain, struct domain, domain);
	unsigned long pfn;
	void *entry;

	xa_for_each(&d->stale, pfn, entry) {
		WARN_ONCE(!pinned(pfn), "unpinned before it was flushed");
		xa_erase(&d->stale, pfn);
	}
}

static phys_addr_t iova_to_phys(struct iommu_domain *domain, dma_addr_t iova)
{
	struct domain *d = container_of(domain, struct domain, domain);
	phys_addr_t paddr = (phys_addr_t)xa_load(&d->entries, iova >> PAGE_SHIFT);

	return paddr ? paddr + offset_in_page(iova) : 0;
}

static bool enforce_coherency(struct iommu_domain *domain)
{
	return container_of(domain, struct domain, domain)->kind->coherent;
}

static void free_domain(struct iommu_domain *domain)
{
	struct domain *d = container_of(domain, struct domain, domain);
	unsigned long index;
	void *entry;

	xa_for_each(&d->entries, index, entry) {
		WARN_ONCE(!pinned(PHYS_PFN((phys_addr_t)entry)), "unpinned while it was mapped");
		left_mapped++;
	}
	msi_cookies += domain->cookie_type == IOMMU_COOKIE_DMA_MSI;
	xa_destroy(&d->entries);
	xa_destroy(&d->stale);
	kfree(d);
}

static const struct iommu_domain_ops domain_ops = {
	.attach_dev = attach,
	.map_pages = map_pages,
	.unmap_pages = unmap_pages,
	.iotlb_sync = sync,
	.iova_to_phys = iova_to_phys,
	.enforce_cache_coherency = enforce_coherency,
	.free = free_domain,
};

static struct iommu_domain *alloc_domain(struct device *dev)
{
	struct domain *d = kzalloc(sizeof(*d), GFP_KERNEL);

	if (!d)
		return ERR_PTR(-ENOMEM);
	d->kind = device_kind(dev);
	xa_init(&d->entries);
	xa_init(&d->stale);
	d->domain.ops = &domain_ops;
	d->domain.pgsize_bitmap = d->kind->pgsizes;
	d->domain.geometry.aperture_start = d->kind->first;
	d->domain.geometry.aperture_end = d->kind->last;
	d->domain.geometry.force_aperture = true;
	return &d->domain;
}

static struct iommu_device *probe_device(struct device *dev)
{
	return &iommu;
}

static bool capable_of(struct device *dev, enum iommu_cap cap)
{
	return cap == IOMMU_CAP_CACHE_COHERENCY;
}

static void get_resv_regions(struct device *dev, struct list_head *list)
{
	const struct kind *kind = device_kind(dev);

	for (int i = 0; i < ARRAY_SIZE(kind->reserved) && kind->reserved[i].length; i++) {
		const struct region *r = &kind->reserved[i];
		struct iommu_resv_region *region = iommu_alloc_resv_region(r->start, r->length, 0, r->type, GFP_KERNEL);

		if (region)
			list_add_tail(&region->list, list);
	}
}

static int identity(struct device *dev)
{
	return IOMMU_DOMAIN_IDENTITY;
}

static const struct iommu_domain_ops static_ops = { .attach_dev = attach_static };
static struct iommu_domain identity_domain = { .type = IOMMU_DOMAIN_IDENTITY, .ops = &static_ops };
static struct iommu_domain blocked_domain = { .type = IOMMU_DOMAIN_BLOCKED, .ops = &static_ops };

static const struct iommu_ops iommu_ops = {
	.owner = THIS_MODULE,
	.capable = capable_of,
	.domain_alloc_paging = alloc_domain,
	.probe_device = probe_device,
	.device_group = generic_device_group,
	.get_resv_regions = get_resv_regions,
	.def_domain_type = identity,
	.identity_domain = &identity_domain,
	.blocked_domain = &blocked_domain,
	.default_domain_ops = &domain_ops,
};

struct nothing {
	struct vfio_device vdev;
};

static int nothing_open(struct vfio_device *vdev)
{
	return 0;
}

static void nothing_close(struct vfio_device *vdev)
{
}

static const struct vfio_device_ops nothing_ops = {
	.name = "vfio-test-iommu",
	.open_device = nothing_open,
	.close_device = nothing_close,
	.bind_iommufd = vfio_iommufd_physical_bind,
	.unbind_iommufd = vfio_iommufd_physical_unbind,
	.attach_ioas = vfio_iommufd_physical_attach_ioas,
	.detach_ioas = vfio_iommufd_physical_detach_ioas,
};

static int probe(struct platform_device *pdev)
{
	struct nothing *nothing = vfio_alloc_device(nothing, vdev, &pdev->dev, &nothing_ops);
	int ret;

	if (IS_ERR(nothing))
		return PTR_ERR(nothing);
	ret = vfio_register_group_dev(&nothing->vdev);
	if (ret)
		vfio_put_device(&nothing->vdev);
	else
		platform_set_drvdata(pdev, nothing);
	return ret;
}

static void remove(struct platform_device *pdev)
{
	struct nothing *nothing = platform_get_drvdata(pdev);

	vfio_unregister_group_dev(&nothing->vdev);
	vfio_put_device(&nothing->vdev);
}

static struct platform_driver driver = {
	.probe = probe,
	.remove = remove,
	.driver.name = "vfio-test-iommu",
	.driver_managed_dma = true,
};

static struct platform_device *devices[DEVICES];
static bool there;

static void remove_devices(void)
{
	for (int i = 0; i < DEVICES; i++) {
		platform_device_unregister(devices[i]);
		devices[i] = NULL;
	}
	there = false;
}

static int add_devices(void)
{
	int ret = 0;

	for (int i = 0; i < DEVICES && !ret; i++) {
		struct platform_device *pdev = platform_device_alloc("vfio-test-iommu", i);

		if (!pdev)
			return -ENOMEM;
		ret = iommu_fwspec_init(&pdev->dev, iommu.fwnode);
		if (!ret)
			ret = platform_device_add(pdev);
		if (ret)
			platform_device_put(pdev);
		else
			devices[i] = pdev;
	}
	if (ret)
		remove_devices();
	else
		there = true;
	return ret;
}

static int set_devices(const char *value, const struct kernel_param *param)
{
	bool wanted;
	int ret = kstrtobool(value, &wanted);

	if (ret || wanted == there || !iommu.ready)
		return ret;
	if (wanted)
		return add_devices();
	remove_devices();
	return 0;
}

static const struct kernel_param_ops devices_ops = { .set = set_devices, .get = param_get_bool };
module_param_cb(devices, &devices_ops, &there, 0600);
MODULE_PARM_DESC(devices, "whether the devices are there");

static int __init test_iommu_init(void)
{
	int ret;

	iommu.fwnode = fwnode_create_software_node(NULL, NULL);
	if (IS_ERR(iommu.fwnode))
		return PTR_ERR(iommu.fwnode);
	ret = iommu_device_sysfs_add(&iommu, NULL, NULL, "vfio-test-iommu");
	if (ret)
		goto out_node;
	ret = iommu_device_register(&iommu, &iommu_ops, NULL);
	if (ret)
		goto out_sysfs;
	ret = platform_driver_register(&driver);
	if (ret)
		goto out_iommu;
	ret = add_devices();
	if (!ret)
		return 0;
	platform_driver_unregister(&driver);
out_iommu:
	iommu_device_unregister(&iommu);
out_sysfs:
	iommu_device_sysfs_remove(&iommu);
out_node:
	fwnode_remove_software_node(iommu.fwnode);
	return ret;
}

static void __exit test_iommu_exit(void)
{
	platform_driver_unregister(&driver);
	iommu_device_unregister(&iommu);
	iommu_device_sysfs_remove(&iommu);
	fwnode_remove_software_node(iommu.fwnode);
}

module_init(test_iommu_init);
module_exit(test_iommu_exit);
MODULE_DESCRIPTION("An IOMMU for tests");
MODULE_LICENSE("GPL");

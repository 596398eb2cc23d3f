/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the programs on POWER share: the calls of the backend, and edu's DMA.
 */
#ifndef SPAPR_H
#define SPAPR_H

#include "../proc.h"
#include "../transcript.h"

#include <endian.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#define P 0x10000UL

static struct vfio_user u;
static uint8_t *buffer;

static inline int map_raw(uint32_t argsz, uint32_t flags, uint64_t vaddr, uint64_t iova, uint64_t size)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = argsz, .flags = flags, .vaddr = vaddr, .iova = iova, .size = size,
	};

	return ioctl(u.container, VFIO_IOMMU_MAP_DMA, &map);
}

static inline int map(uint32_t flags, const void *vaddr, uint64_t iova, uint64_t size)
{
	return map_raw(32, flags, (uint64_t)vaddr, iova, size);
}

#define RW (VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)

static inline int unmap_raw(uint32_t argsz, uint32_t flags, uint64_t iova, uint64_t size)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = argsz, .flags = flags, .iova = iova, .size = size,
	};

	return ioctl(u.container, VFIO_IOMMU_UNMAP_DMA, &unmap);
}

static inline int unmap(uint64_t iova, uint64_t size)
{
	return unmap_raw(24, 0, iova, size);
}

static inline int memory_op(unsigned long op, uint32_t argsz, uint32_t flags, uint64_t vaddr, uint64_t size)
{
	struct vfio_iommu_spapr_register_memory param = {
		.argsz = argsz, .flags = flags, .vaddr = vaddr, .size = size,
	};

	return ioctl(u.container, op, &param);
}

static inline int reg(const void *vaddr, uint64_t size)
{
	return memory_op(VFIO_IOMMU_SPAPR_REGISTER_MEMORY, 24, 0, (uint64_t)vaddr, size);
}

static inline int unreg(const void *vaddr, uint64_t size)
{
	return memory_op(VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY, 24, 0, (uint64_t)vaddr, size);
}

static uint64_t start;

static inline int create_raw(uint32_t argsz, uint32_t flags, uint32_t shift, uint64_t size, uint32_t levels)
{
	struct vfio_iommu_spapr_tce_create create = {
		.argsz = argsz, .flags = flags, .page_shift = shift, .window_size = size, .levels = levels,
	};
	int ret = ioctl(u.container, VFIO_IOMMU_SPAPR_TCE_CREATE, &create);

	start = ret ? 0 : create.start_addr;
	return ret;
}

static inline int create(uint32_t shift, uint64_t size, uint32_t levels)
{
	return create_raw(sizeof(struct vfio_iommu_spapr_tce_create), 0, shift, size, levels);
}

static inline int remove_raw(uint32_t argsz, uint32_t flags, uint64_t at)
{
	struct vfio_iommu_spapr_tce_remove remove = { .argsz = argsz, .flags = flags, .start_addr = at };

	return ioctl(u.container, VFIO_IOMMU_SPAPR_TCE_REMOVE, &remove);
}

static inline int remove_window(uint64_t at)
{
	return remove_raw(sizeof(struct vfio_iommu_spapr_tce_remove), 0, at);
}

/* What the group can do. */
static inline struct vfio_iommu_spapr_tce_info read_info(void)
{
	struct vfio_iommu_spapr_tce_info info = { .argsz = sizeof(info) };

	if (ioctl(u.container, VFIO_IOMMU_SPAPR_TCE_GET_INFO, &info))
		fail("GET_INFO");
	return info;
}

static inline void info(uint32_t argsz)
{
	struct vfio_iommu_spapr_tce_info info;
	int ret;

	memset(&info, 0x5a, sizeof(info));
	info.argsz = argsz;
	ret = ASK(ioctl(u.container, VFIO_IOMMU_SPAPR_TCE_GET_INFO, &info), "GET_INFO argsz %u", argsz);
	if (!ret)
		hex("info", &info, sizeof(info));
}

/* --- edu: its registers have the byte order of the machine that QEMU thinks of, which is big-endian. --- */

static off_t bar;
static bool swap;

static inline void edu_write(unsigned int offset, uint64_t value)
{
	value = swap ? htobe64(value) : htole64(value);
	if (pwrite(u.device, &value, 8, bar + offset) != 8)
		fail("edu register %x", offset);
}

static inline uint64_t edu_read(unsigned int offset)
{
	uint64_t value;

	if (pread(u.device, &value, 8, bar + offset) != 8)
		fail("edu register %x", offset);
	return swap ? be64toh(value) : le64toh(value);
}

static inline void edu_write32(unsigned int offset, uint32_t value)
{
	value = swap ? htobe32(value) : htole32(value);
	if (pwrite(u.device, &value, 4, bar + offset) != 4)
		fail("edu register %x", offset);
}

static inline void edu_open(void)
{
	struct vfio_region_info region = { .argsz = sizeof(region), .index = VFIO_PCI_BAR0_REGION_INDEX };
	struct vfio_region_info config = { .argsz = sizeof(config), .index = VFIO_PCI_CONFIG_REGION_INDEX };
	uint32_t id;
	uint16_t command;

	if (ioctl(u.device, VFIO_DEVICE_GET_REGION_INFO, &region) ||
	    ioctl(u.device, VFIO_DEVICE_GET_REGION_INFO, &config))
		fail("regions");
	bar = region.offset;
	if (pread(u.device, &command, 2, config.offset + 4) != 2)
		fail("command");
	command |= htole16(6);
	if (pwrite(u.device, &command, 2, config.offset + 4) != 2)
		fail("command");
	if (pread(u.device, &id, 4, bar) != 4)
		fail("identification");
	swap = le32toh(id) != 0x010000ed;
	printf("edu %08x\n", swap ? be32toh(id) : le32toh(id));
}

static inline void edu_dma(uint64_t from, uint64_t to, uint64_t count, bool to_memory)
{
	edu_write(0x80, from);
	edu_write(0x88, to);
	edu_write(0x90, count);
	edu_write(0x98, to_memory ? 3 : 1);
	for (int i = 0; i < 2000 && (edu_read(0x98) & 1); i++)
		usleep(10000);
	if (edu_read(0x98) & 1)
		printf("edu is still busy\n");
}

#define EDU_BUFFER 0x40000

/* Memory to edu at one address, and from there to another: what arrived. */
static inline bool dma_works(uint64_t iova, uint8_t *vaddr, uint64_t to_iova, uint8_t *to)
{
	static int number;
	char text[64] = {};

	/* Never the same, as edu keeps what it has read before. */
	snprintf(text, sizeof(text), "%d: through %#llx and %#llx", number++, (unsigned long long)iova,
		 (unsigned long long)to_iova);
	memset(vaddr, 0, sizeof(text));
	memcpy(vaddr, text, sizeof(text));
	memset(to, 0x11, sizeof(text));
	edu_dma(iova, EDU_BUFFER, sizeof(text), false);
	edu_dma(EDU_BUFFER, to_iova, sizeof(text), true);
	return !memcmp(to, text, sizeof(text));
}

static inline void dma(uint64_t iova, uint8_t *vaddr, uint64_t to_iova, uint8_t *to)
{
	printf("DMA %#llx -> %#llx: %s\n", (unsigned long long)iova, (unsigned long long)to_iova,
	       dma_works(iova, vaddr, to_iova, to) ? "arrived" : "did not arrive");
}

static inline int eeh(uint32_t argsz, uint32_t flags, uint32_t op, uint32_t type, uint32_t func)
{
	struct vfio_eeh_pe_op param = { .argsz = argsz, .flags = flags, .op = op };

	param.err.type = type;
	param.err.func = func;
	return ioctl(u.container, VFIO_EEH_PE_OP, &param);
}

#ifndef FAULTS_H
static int failures __attribute__((unused));
#endif

static inline void expect(bool ok, const char *format, ...)
{
	va_list args;

	printf("%s - ", ok ? "right" : "WRONG");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	failures += !ok;
}

#define REFUSED(call, error, ...) ({ \
	errno = 0; \
	int ret_ = (call); \
	expect(ret_ == -1 && errno == (error), __VA_ARGS__); \
})
#define WORKS(call, ...) expect((call) == 0, __VA_ARGS__)

/* The modules that are selected have opened the device: the first thing that each program does. */
static inline void begin(const char *bdf, bool v1)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (sysconf(_SC_PAGESIZE) != P)
		fail("pages of %ld bytes", sysconf(_SC_PAGESIZE));
	buffer = memory(64 * P);
	memset(buffer, 0, 64 * P);
	u = open_all(bdf, v1 ? VFIO_SPAPR_TCE_IOMMU : VFIO_SPAPR_TCE_v2_IOMMU);
}

#endif

// SPDX-License-Identifier: GPL-2.0
/*
 * The calls of the backend on POWER, each allocation and each copy of them failing once. usage: spapr_faults BDF OTHER
 * The devices are bound to vfio-pci and in groups of their own. Where a group leaves a container the platform gives it its
 * own windows back, and warns if it cannot: that is not tried.
 */
#include "../faults/faults.h"
#include "spapr.h"

static const char *bdf, *other;
static int second = -1;

static void put(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void put_all(long result)
{
	put(&u.device);
	put(&second);
	put(&u.group);
	put(&u.container);
}

static bool have_group(void)
{
	u.container = open_container();
	u.group = open_group(bdf);
	return true;
}

static bool have_member(void)
{
	return have_group() && !ioctl(u.group, VFIO_GROUP_SET_CONTAINER, &u.container);
}

static bool have_v1(void)
{
	return have_member() && !ioctl(u.container, VFIO_SET_IOMMU, VFIO_SPAPR_TCE_IOMMU);
}

static bool have_v2(void)
{
	return have_member() && !ioctl(u.container, VFIO_SET_IOMMU, VFIO_SPAPR_TCE_v2_IOMMU);
}

static bool have_second(void)
{
	if (!have_v2())
		return false;
	second = open_group(other);
	return true;
}

static bool have_enabled(void)
{
	/* The window that is there without asking is made by the first use. */
	return have_v1() && !ioctl(u.container, VFIO_IOMMU_ENABLE) && !map(RW, buffer, 0, P) && !unmap(0, P);
}

static bool have_mapped_v1(void)
{
	return have_enabled() && !map(RW, buffer, 0, 16 * P);
}

static bool have_memory(void)
{
	return have_v2() && !reg(buffer, 16 * P);
}

static bool have_default(void)
{
	return have_memory() && !map(RW, buffer, 0, P) && !unmap(0, P);
}

static bool have_window(void)
{
	return have_memory() && !remove_window(0) && !create(16, 1ULL << 32, 2);
}

static bool have_mapped(void)
{
	return have_window() && !map(RW, buffer, start, 16 * P);
}

static long choose_v1(void)
{
	return ioctl(u.container, VFIO_SET_IOMMU, VFIO_SPAPR_TCE_IOMMU);
}

static long choose_v2(void)
{
	return ioctl(u.container, VFIO_SET_IOMMU, VFIO_SPAPR_TCE_v2_IOMMU);
}

static long join_second(void)
{
	return ioctl(second, VFIO_GROUP_SET_CONTAINER, &u.container);
}

static struct vfio_iommu_spapr_tce_info answer;

static long get_info(void)
{
	memset(&answer, 0, sizeof(answer));
	answer.argsz = sizeof(answer);
	return ioctl(u.container, VFIO_IOMMU_SPAPR_TCE_GET_INFO, &answer);
}

static long enable(void)
{
	return ioctl(u.container, VFIO_IOMMU_ENABLE);
}

static long map_v1(void)
{
	return map(RW, buffer, 0, 16 * P);
}

static long unmap_v1(void)
{
	return unmap(0, 16 * P);
}

static long registers(void)
{
	return reg(buffer, 16 * P);
}

static long unregisters(void)
{
	return unreg(buffer, 16 * P);
}

static long map_default(void)
{
	return map(RW, buffer, 0, P);
}

static long create_one(void)
{
	return create(16, 1ULL << 30, 1);
}

static long create_three(void)
{
	return create(12, 1ULL << 40, 3);
}

static long removes(void)
{
	return remove_window(start);
}

static long maps(void)
{
	return map(RW, buffer, start, 16 * P);
}

/* Each page in another part of the table. */
static long maps_apart(void)
{
	return map(RW, buffer, start, 4 * P) ?: map(RW, buffer + 4 * P, start + (1ULL << 31), 4 * P);
}

static long unmaps(void)
{
	return unmap(start, 16 * P);
}

static long endpoint(void)
{
	return eeh(12, 0, VFIO_EEH_PE_GET_STATE, 0, 0);
}

static char text[4096];

static long debugfs(void)
{
	int fd = open("/sys/kernel/debug/vfio/spapr_tce/containers", O_RDONLY | O_CLOEXEC), error;
	long len;

	if (fd < 0)
		return -1;
	len = read(fd, text, sizeof(text));
	error = errno;
	close(fd);
	errno = error;
	return len;
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	bdf = argv[1];
	other = argv[2];
	watched_devices[0] = bdf;
	buffer = memory(64 * P);
	memset(buffer, 0, 64 * P);

	OPERATION("SET_IOMMU v1", .ready = have_member, .run = choose_v1, .undo = put_all);
	OPERATION("SET_IOMMU v2", .ready = have_member, .run = choose_v2, .undo = put_all);
	OPERATION("SET_CONTAINER second", .ready = have_second, .run = join_second, .undo = put_all);
	OPERATION("GET_INFO", .ready = have_v2, .run = get_info, .undo = put_all, .answer = &answer, .size = sizeof(answer));
	OPERATION("ENABLE", .ready = have_v1, .run = enable, .undo = put_all);
	OPERATION("MAP v1", .ready = have_enabled, .run = map_v1, .undo = put_all);
	OPERATION("UNMAP v1", .ready = have_mapped_v1, .run = unmap_v1, .undo = put_all);
	OPERATION("REGISTER", .ready = have_v2, .run = registers, .undo = put_all);
	OPERATION("UNREGISTER", .ready = have_memory, .run = unregisters, .undo = put_all);
	OPERATION("MAP default", .ready = have_memory, .run = map_default, .undo = put_all);
	OPERATION("CREATE", .ready = have_default, .run = create_one, .undo = put_all);
	OPERATION("CREATE levels", .ready = have_default, .run = create_three, .undo = put_all);
	OPERATION("REMOVE", .ready = have_mapped, .run = removes, .undo = put_all);
	OPERATION("MAP", .ready = have_window, .run = maps, .undo = put_all);
	OPERATION("MAP apart", .ready = have_window, .run = maps_apart, .undo = put_all);
	OPERATION("UNMAP", .ready = have_mapped, .run = unmaps, .undo = put_all);
	OPERATION("EEH_PE_OP", .ready = have_v2, .run = endpoint, .undo = put_all);
	if (!access("/sys/kernel/debug/vfio/spapr_tce", F_OK))
		OPERATION("debugfs", .ready = have_mapped, .run = debugfs, .undo = put_all);
	printf("done\n");
	return !!failures;
}

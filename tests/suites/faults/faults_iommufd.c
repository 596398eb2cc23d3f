// SPDX-License-Identifier: GPL-2.0
/*
 * Devices by their own nodes and iommufd, and iommufd as a container, with failures. usage: faults_iommufd all BDF
 * The device is bound to vfio-pci and alone in its group.
 */
#include "faults.h"

#include "../iommufd/iommufd_user.h"

static const char *bdf;
static int node = -1, iommufd = -1, group = -1, device = -1;
static uint32_t ioas, other_ioas;

static void put(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void put_all(long result)
{
	put(&device);
	put(&group);
	put(&node);
	put(&iommufd);
}

static long open_the_node(void)
{
	return open_node(bdf);
}

static void close_result(long fd)
{
	close(fd);
}

static bool opened(void)
{
	node = open_node(bdf);
	iommufd = open_iommufd();
	ioas = new_ioas(iommufd);
	other_ioas = new_ioas(iommufd);
	return node >= 0 && ioas && other_ioas;
}

static uint32_t id;

static long bind_it(void)
{
	return bind_device(node, iommufd, &id);
}

static bool bound(void)
{
	return opened() && !bind_it();
}

static long attach(void)
{
	return attach_device(node, ioas, NULL);
}

static long attach_other(void)
{
	return attach_device(node, other_ioas, NULL);
}

static bool attached(void)
{
	return bound() && !attach();
}

static long detach(void)
{
	return detach_device(node);
}

static long close_node(void)
{
	put(&node);
	return 0;
}

static struct vfio_device_info info;

static long get_info(void)
{
	info.argsz = sizeof(info);
	return ioctl(node, VFIO_DEVICE_GET_INFO, &info);
}

/* A reset of the bus, proved by owning all devices in the iommufd. */
static long hot_reset(void)
{
	struct vfio_pci_hot_reset arg = { .argsz = sizeof(arg) };

	return ioctl(node, VFIO_DEVICE_PCI_HOT_RESET, &arg);
}

static union {
	struct vfio_pci_hot_reset_info info;
	char bytes[256];
} reset_info;

static long get_reset_info(void)
{
	memset(&reset_info, 0, sizeof(reset_info));
	reset_info.info.argsz = sizeof(reset_info);
	return ioctl(node, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &reset_info);
}

/* --- iommufd in the place of a container --- */

static bool have_group(void)
{
	iommufd = open_iommufd();
	group = open_group(bdf);
	return iommufd >= 0;
}

static long join(void)
{
	return ioctl(group, VFIO_GROUP_SET_CONTAINER, &iommufd);
}

static bool joined(void)
{
	return have_group() && !join();
}

static long choose(void)
{
	return ioctl(iommufd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
}

static bool chosen(void)
{
	return joined() && !choose();
}

static long get_device(void)
{
	return ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf);
}

static void put_result(long fd)
{
	close(fd);
	put_all(0);
}

static long leave(void)
{
	return ioctl(group, VFIO_GROUP_UNSET_CONTAINER);
}

static bool device_open(void)
{
	if (!chosen())
		return false;
	device = get_device();
	return device >= 0;
}

static long close_device(void)
{
	put(&device);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	watched_devices[0] = bdf = argv[2];
	OPERATION("open-node", .run = open_the_node, .undo = close_result);
	OPERATION("bind", .ready = opened, .run = bind_it, .undo = put_all);
	OPERATION("attach", .ready = bound, .run = attach, .undo = put_all);
	OPERATION("replace", .ready = attached, .run = attach_other, .undo = put_all);
	OPERATION("detach", .ready = attached, .run = detach, .undo = put_all);
	OPERATION("close-node", .ready = attached, .run = close_node, .undo = put_all);
	if (!attached())
		fail("not attached");
	OPERATION("info", .run = get_info, .answer = &info, .size = sizeof(info));
	OPERATION("reset-info", .run = get_reset_info, .answer = &reset_info, .size = sizeof(reset_info));
	if (hot_reset())
		printf("# no hot reset: %s\n", strerror(errno));
	else
		OPERATION("hot-reset", .run = hot_reset);
	put_all(0);
	OPERATION("compat-set-container", .ready = have_group, .run = join, .undo = put_all);
	OPERATION("compat-set-iommu", .ready = joined, .run = choose, .undo = put_all);
	OPERATION("compat-open-device", .ready = chosen, .run = get_device, .undo = put_result);
	OPERATION("compat-close-device", .ready = device_open, .run = close_device, .undo = put_all);
	OPERATION("compat-unset-container", .ready = chosen, .run = leave, .undo = put_all);
	return !!failures;
}

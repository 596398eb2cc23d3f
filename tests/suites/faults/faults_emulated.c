// SPDX-License-Identifier: GPL-2.0
/*
 * Emulated devices, with failures: pages that they pin, by type1 and by iommufd; migration and its logs.
 * usage: faults_emulated register|pins|iommufd DEVICE, a device of vfio_test_emulated.ko
 *        faults_emulated migration DEVICE, a mediated one of the kernel's mtty.ko
 */
#include "faults.h"

#include "../dirty.h"
#include "../emulated/emulated.h"
#include "../iommufd/iommufd_user.h"

static const char *name;
static struct vfio_user u = { -1, -1, -1 };

#define IOVA (16 * MIB)
#define PAGES 64

static char *ram;

/* What a call of emulated.h answered, as operations have it. */
static long answered(long ret)
{
	if (ret >= 0)
		return ret;
	errno = -ret;
	return -1;
}

/* Has the device do something. Where the module cannot copy a command or its answer, which is none of VFIO's, it is told once
 * more: what is pinned twice then is unpinned when the device is closed.
 */
static long tell(struct test_emulated c)
{
	bool again = write(u.device, &c, sizeof(c)) != sizeof(c);

	if (again && write(u.device, &c, sizeof(c)) != sizeof(c))
		fail("a command to %s", name);
	return again && c.command == TEST_UNPIN && c.ret == -ENOENT ? 0 : answered(c.ret);
}

/* --- the driver's side --- */

static long driver(const char *file)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/sys/bus/platform/drivers/vfio-test-emulated/%s", file);
	return put_text(path, name) ? 0 : -1;
}

static long register_it(void)
{
	return driver("bind");
}

static long unregister_it(void)
{
	return driver("unbind");
}

static bool unregistered(void)
{
	return !unregister_it();
}

static bool registered(void)
{
	return true;
}

static void register_again(long result)
{
	if (register_it())
		fail("%s", name);
}

static void registration(void)
{
	OPERATION("register", .ready = unregistered, .run = register_it, .also = { ENODEV });
	OPERATION("unregister", .ready = registered, .run = unregister_it, .undo = register_again);
}

/* --- pages, by type1 --- */

static bool opened(void)
{
	u = open_all(name, VFIO_TYPE1v2_IOMMU);
	return true;
}

static void closed(long result)
{
	close_all(&u);
}

static bool joined(void)
{
	u = (struct vfio_user){ .container = open_container(), .group = open_group(name), .device = -1 };
	return !ioctl(u.group, VFIO_GROUP_SET_CONTAINER, &u.container) && !ioctl(u.container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
}

static long get_device(void)
{
	return u.device = ioctl(u.group, VFIO_GROUP_GET_DEVICE_FD, name);
}

static bool mapped(void)
{
	return opened() && !map(u.container, IOVA, ram, PAGES * PAGE, READ | WRITE);
}

static long pin_some(void)
{
	return tell((struct test_emulated){ .command = TEST_PIN, .iova = IOVA + PAGE, .count = 20, .prot = READ | WRITE });
}

static long unpin_some(void)
{
	return tell((struct test_emulated){ .command = TEST_UNPIN, .iova = IOVA + PAGE });
}

static bool pinned_some(void)
{
	return mapped() && pin_some() > 0;
}

static char buffer[3 * PAGE];

static long rw(enum test_command what)
{
	long ret = tell((struct test_emulated){ .command = what, .iova = IOVA + PAGE / 2, .count = sizeof(buffer), .address = (uintptr_t)buffer });

	/* The module cannot reach the buffer. */
	if (ret < 0 && errno == ENOBUFS)
		errno = EFAULT;
	return ret;
}

static long dma_read(void)
{
	return rw(TEST_READ);
}

static long dma_write(void)
{
	return rw(TEST_WRITE);
}

/* The device is told, and unpins. */
static long unmap_all(void)
{
	return answered(unmap(u.container, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL));
}

static long close_device(void)
{
	close(u.device);
	u.device = -1;
	return 0;
}

static long leave(void)
{
	return ioctl(u.group, VFIO_GROUP_UNSET_CONTAINER);
}

static bool left_behind(void)
{
	return pinned_some() && !close_device();
}

static long track(void)
{
	return tracking(u.container, VFIO_IOMMU_DIRTY_PAGES_FLAG_START);
}

static bool tracked(void)
{
	return pinned_some() && !track();
}

static uint64_t bitmap[8];

static long get_dirty(void)
{
	return read_dirty(u.container, IOVA, PAGES * PAGE, bitmap, sizeof(bitmap));
}

static void pins(void)
{
	OPERATION("open", .ready = joined, .run = get_device, .undo = closed);
	OPERATION("pin", .ready = mapped, .run = pin_some, .undo = closed);
	OPERATION("pin-tracked", .ready = tracked, .run = pin_some, .undo = closed);
	OPERATION("unpin", .ready = pinned_some, .run = unpin_some, .undo = closed);
	OPERATION("dma-read", .ready = mapped, .run = dma_read, .undo = closed, .answer = buffer, .size = sizeof(buffer));
	OPERATION("dma-write", .ready = mapped, .run = dma_write, .undo = closed);
	OPERATION("unmap-pinned", .ready = pinned_some, .run = unmap_all, .undo = closed, .may_be_done = true);
	OPERATION("dirty-start-pinned", .ready = pinned_some, .run = track, .undo = closed);
	OPERATION("dirty-get-pinned", .ready = tracked, .run = get_dirty, .undo = closed, .answer = bitmap, .size = sizeof(bitmap));
	OPERATION("close-pinned", .ready = pinned_some, .run = close_device, .undo = closed);
	OPERATION("leave", .ready = left_behind, .run = leave, .undo = closed);
}

/* --- pages, by iommufd --- */

static int iommufd = -1;
static uint32_t ioas, other_ioas;

static bool node_opened(void)
{
	u = (struct vfio_user){ .container = -1, .group = -1, .device = open_node(name) };
	iommufd = open_iommufd();
	ioas = new_ioas(iommufd);
	other_ioas = new_ioas(iommufd);
	return u.device >= 0 && !map_ioas(iommufd, ioas, ram, IOVA, PAGES * PAGE) &&
	       !map_ioas(iommufd, other_ioas, ram, IOVA, PAGES * PAGE);
}

static void node_closed(long result)
{
	close(u.device);
	close(iommufd);
}

static long bind_it(void)
{
	return bind_device(u.device, iommufd, NULL);
}

static bool bound(void)
{
	return node_opened() && !bind_it();
}

static long attach(void)
{
	return attach_device(u.device, ioas, NULL);
}

static long replace(void)
{
	return attach_device(u.device, other_ioas, NULL);
}

static bool attached(void)
{
	return bound() && !attach();
}

static bool attached_and_pinned(void)
{
	return attached() && pin_some() > 0;
}

static long detach(void)
{
	return detach_device(u.device);
}

static long unmap_the_ioas(void)
{
	return unmap_ioas(iommufd, ioas, 0, UINT64_MAX);
}

static void by_iommufd(void)
{
	OPERATION("iommufd-bind", .ready = node_opened, .run = bind_it, .undo = node_closed);
	OPERATION("iommufd-attach", .ready = bound, .run = attach, .undo = node_closed);
	OPERATION("iommufd-replace", .ready = attached, .run = replace, .undo = node_closed);
	OPERATION("iommufd-pin", .ready = attached, .run = pin_some, .undo = node_closed);
	OPERATION("iommufd-dma-write", .ready = attached, .run = dma_write, .undo = node_closed);
	OPERATION("iommufd-unmap-pinned", .ready = attached_and_pinned, .run = unmap_the_ioas, .undo = node_closed, .may_be_done = true);
	OPERATION("iommufd-detach-pinned", .ready = attached_and_pinned, .run = detach, .undo = node_closed);
	OPERATION("iommufd-close-pinned", .ready = attached_and_pinned, .run = close_device, .undo = node_closed);
}

/* --- migration --- */

static int data = -1;

static long feature(uint32_t flags, void *arg, size_t size)
{
	static union {
		struct vfio_device_feature head;
		char bytes[128];
	} f;
	long ret;

	f.head.argsz = sizeof(f.head) + size;
	f.head.flags = flags;
	memcpy(f.head.data, arg, size);
	ret = ioctl(u.device, VFIO_DEVICE_FEATURE, &f);
	memcpy(arg, f.head.data, size);
	return ret;
}

/* The file with the data is `data`, if there is one. */
static long set_state(enum vfio_device_mig_state to)
{
	struct vfio_device_feature_mig_state state = { .device_state = to, .data_fd = -1 };
	long ret = feature(VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, &state, sizeof(state));

	if (!ret && state.data_fd >= 0)
		data = state.data_fd;
	return ret;
}

static long get_state(void)
{
	static struct vfio_device_feature_mig_state state;

	return feature(VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, &state, sizeof(state));
}

static long data_size(void)
{
	struct vfio_device_feature_mig_data_size size = {};

	return feature(VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_MIG_DATA_SIZE, &size, sizeof(size));
}

static long stop(void)
{
	return set_state(VFIO_DEVICE_STATE_STOP);
}

static long save(void)
{
	return set_state(VFIO_DEVICE_STATE_STOP_COPY);
}

static long save_early(void)
{
	return set_state(VFIO_DEVICE_STATE_PRE_COPY);
}

static bool stopped(void)
{
	return !stop();
}

static long resume(void)
{
	return set_state(VFIO_DEVICE_STATE_RESUMING);
}

static void running(long result)
{
	/* What is resumed without all of its data does not run. */
	if (set_state(VFIO_DEVICE_STATE_RUNNING) && ioctl(u.device, VFIO_DEVICE_RESET))
		fail("it does not run");
	if (data >= 0)
		close(data);
	data = -1;
}

static long log_start(void)
{
	static struct vfio_device_feature_dma_logging_range ranges[] = { { 0, 16 * PAGE }, { 32 * PAGE, 8 * PAGE }, { MIB, MIB } };
	struct vfio_device_feature_dma_logging_control control = {
		.page_size = PAGE, .num_ranges = ARRAY_SIZE(ranges), .ranges = (uintptr_t)ranges,
	};

	return feature(VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_DMA_LOGGING_START, &control, sizeof(control));
}

static long log_stop(void)
{
	return ioctl(u.device, VFIO_DEVICE_FEATURE, &(struct vfio_device_feature){
		sizeof(struct vfio_device_feature), VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP });
}

static void logged(long result)
{
	log_stop();
}

static bool logging(void)
{
	return !log_start();
}

static long log_report(void)
{
	struct vfio_device_feature_dma_logging_report report = {
		.iova = 0, .length = 16 * PAGE, .page_size = PAGE, .bitmap = (uintptr_t)bitmap,
	};

	return feature(VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT, &report, sizeof(report));
}

static void migration(void)
{
	u = open_all(name, VFIO_TYPE1v2_IOMMU);
	OPERATION("state", .run = get_state);
	OPERATION("data-size", .run = data_size);
	OPERATION("stop", .run = stop, .undo = running, .may_be_done = true);
	/* A file that does not arrive is gone, and the state is the new one. */
	OPERATION("stop-copy", .run = save, .undo = running, .may_be_done = true);
	OPERATION("pre-copy", .run = save_early, .undo = running, .may_be_done = true);
	OPERATION("resuming", .ready = stopped, .run = resume, .undo = running, .may_be_done = true);
	OPERATION("log-start", .run = log_start, .undo = logged);
	OPERATION("log-report", .ready = logging, .run = log_report, .undo = logged);
	OPERATION("log-stop", .ready = logging, .run = log_stop, .undo = logged);
	close_all(&u);
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	name = argv[2];
	ram = memory(PAGES * PAGE);
	memset(ram, 1, PAGES * PAGE);
	if (!strcmp(argv[1], "register"))
		registration();
	else if (!strcmp(argv[1], "pins"))
		pins();
	else if (!strcmp(argv[1], "iommufd"))
		by_iommufd();
	else
		migration();
	return !!failures;
}

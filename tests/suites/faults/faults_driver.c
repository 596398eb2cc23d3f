// SPDX-License-Identifier: GPL-2.0
/*
 * Loading and unloading the modules, binding and unbinding devices, and what root reads and writes in sysfs, with failures.
 * usage: faults_driver modules DIRECTORY | bind BDF | unbind BDF | sriov BDF | token BDF
 */
#include "faults.h"

#include <sys/syscall.h>
#include <sys/wait.h>

static const char *bdf;

/* --- modules --- */

static const struct {
	const char *file;
	const char *name;
} modules[] = {
	{ "vfio", "vfio" },
	{ "vfio_iommu_type1", "vfio_iommu_type1" },
	{ "vfio-pci-core", "vfio_pci_core" },
	{ "vfio-pci", "vfio_pci" },
};

static const char *directory;
static size_t current;

static long load(size_t i)
{
	char path[PATH_MAX];
	int fd, error;
	long ret;

	snprintf(path, sizeof(path), "%s/%s.ko", directory, modules[i].file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fail("%s", path);
	ret = syscall(SYS_finit_module, fd, "", 0);
	error = errno;
	close(fd);
	errno = error;
	return ret;
}

static long unload(size_t i)
{
	return syscall(SYS_delete_module, modules[i].name, O_NONBLOCK);
}

static long load_current(void)
{
	return load(current);
}

static long unload_current(void)
{
	return unload(current);
}

static bool loaded(void)
{
	return !load_current();
}

static void unloaded(long result)
{
	if (unload_current())
		fail("unloading %s", modules[current].name);
}

static void all_modules(void)
{
	char name[64];

	for (current = 0; current < ARRAY_SIZE(modules); current++) {
		snprintf(name, sizeof(name), "load-%s", modules[current].file);
		/* EINVAL is what the driver core says when it has no memory for a driver's links to its module. */
		operation(&(struct operation){ .name = name, .run = load_current, .undo = unloaded, .also = { EINVAL } });
		snprintf(name, sizeof(name), "unload-%s", modules[current].file);
		operation(&(struct operation){ .name = name, .ready = loaded, .run = unload_current });
		load_current();
	}
	while (current--)
		unloaded(0);
}

/* --- binding --- */

static long bind_it(void)
{
	return put_text("/sys/bus/pci/drivers/vfio-pci/bind", bdf) ? 0 : -1;
}

static bool bound(void)
{
	return !bind_it();
}

static long unbind_it(void)
{
	return put_text("/sys/bus/pci/drivers/vfio-pci/unbind", bdf) ? 0 : -1;
}

static void unbound(long result)
{
	unbind_it();
}

static struct vfio_user u;
static pid_t user;

/* Another process has it open until it is asked for it. */
static bool bound_and_used(void)
{
	int ready[2];
	char byte;

	if (!bound() || pipe2(ready, O_CLOEXEC))
		return false;
	user = fork();
	if (!user) {
		struct {
			struct vfio_irq_set head;
			int eventfd;
		} asked = {
			{ sizeof(asked), VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER, VFIO_PCI_REQ_IRQ_INDEX, 0, 1 },
			eventfd(0, EFD_CLOEXEC),
		};
		uint64_t count;

		u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
		if (ioctl(u.device, VFIO_DEVICE_SET_IRQS, &asked) || write(ready[1], "", 1) != 1)
			fail("the user");
		_exit(read(asked.eventfd, &count, sizeof(count)) != sizeof(count));
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		fail("no user");
	close(ready[0]);
	return true;
}

static void user_gone(long result)
{
	int status;

	if (waitpid(user, &status, 0) != user || status)
		fail("the user ended with %x", status);
}

static void set_override(const char *text)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver_override", bdf);
	if (!put_text(path, text))
		fail("%s", path);
}

/* No device has it. */
static const char id[] = "1af4 fffe";

static long add_id(void)
{
	return put_text("/sys/bus/pci/drivers/vfio-pci/new_id", id) ? 0 : -1;
}

static long remove_id(void)
{
	return put_text("/sys/bus/pci/drivers/vfio-pci/remove_id", id) ? 0 : -1;
}

static void id_removed(long result)
{
	remove_id();
}

static bool id_added(void)
{
	return !add_id();
}

static char text[4096];
static const char *readable;

static long read_file(void)
{
	int fd = open(readable, O_RDONLY | O_CLOEXEC), error;
	long ret;

	if (fd < 0)
		return -1;
	ret = read(fd, text, sizeof(text));
	error = errno;
	close(fd);
	errno = error;
	return ret;
}

/* Every file below a directory, once. */
static void read_all(const char *where)
{
	DIR *dir = opendir(where);
	struct dirent *entry;
	char path[PATH_MAX];

	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", where, entry->d_name);
		if (entry->d_type == DT_DIR) {
			read_all(path);
		} else if (entry->d_type == DT_REG) {
			readable = path;
			operation(&(struct operation){ .name = path, .run = read_file, .also = { EAGAIN, EINVAL } });
		}
	}
	if (dir)
		closedir(dir);
}

static void binding(void)
{
	set_override("vfio-pci");
	OPERATION("bind", .run = bind_it, .undo = unbound, .also = { ENODEV });
	bind_it();
	read_all("/sys/kernel/debug/vfio");
	unbind_it();
	set_override("\n");
	OPERATION("new-id", .run = add_id, .undo = id_removed);
	OPERATION("remove-id", .ready = id_added, .run = remove_id);
}

static bool overridden_and_bound(void)
{
	set_override("vfio-pci");
	return bound();
}

static long remove_device(void)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/remove", bdf);
	return put_text(path, "1") ? 0 : -1;
}

static void found_again(long result)
{
	if (!put_text("/sys/bus/pci/rescan", "1"))
		fail("rescan");
}

static void unbinding(void)
{
	set_override("vfio-pci");
	OPERATION("unbind", .ready = bound, .run = unbind_it);
	OPERATION("unbind-in-use", .ready = bound_and_used, .run = unbind_it, .undo = user_gone);
	set_override("\n");
	/* Linux gives it another place in memory than the firmware did. */
	remove_device();
	found_again(0);
	OPERATION("remove-device", .ready = overridden_and_bound, .run = remove_device, .undo = found_again);
}

/* --- functions of a device --- */

static long functions(const char *count)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/sriov_numvfs", bdf);
	return put_text(path, count) ? 0 : -1;
}

static long make_functions(void)
{
	return functions("2");
}

static long remove_functions(void)
{
	return functions("0");
}

static void functions_removed(long result)
{
	if (remove_functions())
		fail("sriov_numvfs");
}

static bool functions_made(void)
{
	return !make_functions();
}

static bool opened(void)
{
	u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	return true;
}

static long set_token(void)
{
	struct {
		struct vfio_device_feature f;
		uint8_t uuid[16];
	} arg = { { sizeof(arg), VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_PCI_VF_TOKEN }, { 1, 2, 3 } };

	return ioctl(u.device, VFIO_DEVICE_FEATURE, &arg);
}

static void closed(long result)
{
	close_all(&u);
}

static bool joined_with_functions(void)
{
	if (!functions_made())
		return false;
	u = (struct vfio_user){ .container = open_container(), .group = open_group(bdf), .device = -1 };
	return !ioctl(u.group, VFIO_GROUP_SET_CONTAINER, &u.container) && !ioctl(u.container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
}

static long open_by_token(void)
{
	char name[64];

	snprintf(name, sizeof(name), "%s vf_token=12345678-9abc-def0-1234-56789abcdef0", bdf);
	return u.device = ioctl(u.group, VFIO_GROUP_GET_DEVICE_FD, name);
}

static void closed_without_functions(long result)
{
	close_all(&u);
	functions_removed(0);
}

static void functions_of(void)
{
	OPERATION("make-functions", .run = make_functions, .undo = functions_removed);
	OPERATION("remove-functions", .ready = functions_made, .run = remove_functions);
}

static void tokens(void)
{
	OPERATION("set-token", .ready = opened, .run = set_token, .undo = closed);
	OPERATION("open-by-token", .ready = joined_with_functions, .run = open_by_token, .undo = closed_without_functions);
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!strcmp(argv[1], "modules")) {
		directory = argv[2];
		all_modules();
		return !!failures;
	}
	bdf = watched_devices[0] = argv[2];
	if (!strcmp(argv[1], "bind"))
		binding();
	else if (!strcmp(argv[1], "unbind"))
		unbinding();
	else if (!strcmp(argv[1], "token"))
		tokens();
	else
		functions_of();
	return !!failures;
}

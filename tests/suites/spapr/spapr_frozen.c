// SPDX-License-Identifier: GPL-2.0
/*
 * A partitionable endpoint that freezes while its function is open: what its owner is told, and how it gets it back. All
 * of it has to be the same as on the C modules.
 *
 *   spapr_frozen BDF          the owner brings it back
 *   spapr_frozen BDF forced   the host is told to recover it: once for each endpoint, as the kernel, 7.3, waits for itself
 *                             the second time (pci_lock_rescan_remove() in eeh_pe_bus_get())
 */
#include "spapr.h"

static const char *name;

static void freeze(void)
{
	char command[64];

	snprintf(command, sizeof(command), "freeze %s", name);
	printf("freeze: %d\n", system(command));
}

static void tell(const char *file, const char *what)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/sys/kernel/debug/powerpc/%s", file);
	fd = open(path, O_WRONLY);
	ASK(fd < 0 ? -1 : write(fd, what, strlen(what)) == (ssize_t)strlen(what), "%s", file);
	close(fd);
}

static void op(uint32_t number, const char *text)
{
	ASK(eeh(12, 0, number, 0, 0), "%s", text);
}

static void state(void)
{
	op(VFIO_EEH_PE_GET_STATE, "GET_STATE");
}

static void works(void)
{
	edu_open();
	dma(0, buffer, P, buffer + P);
}

/* The host recovers an endpoint, however long that takes: to reset it takes seconds. */
static void recover(const char *endpoint)
{
	int kmsg = open("/dev/kmsg", O_WRONLY), tries = 0;
	char mark[32], look[128];

	snprintf(mark, sizeof(mark), "spapr-frozen-%d.", getpid());
	snprintf(look, sizeof(look), "dmesg | sed '1,/%s/d' | grep -q 'EEH: Recovery successful'", mark);
	if (kmsg < 0 || write(kmsg, mark, strlen(mark)) < 0)
		fail("kmsg");
	close(kmsg);
	tell("eeh_force_recover", endpoint);
	while (system(look) && tries++ < 120)
		sleep(1);
	printf("%s\n", tries < 120 ? "recovered" : "not recovered");
}

static int error = -1, request = -1;

static int event(uint32_t index)
{
	struct {
		struct vfio_irq_set set;
		int32_t fd;
	} arg = {
		.set = {
			.argsz = sizeof(arg), .index = index, .count = 1,
			.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
		},
		.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	};

	ASK(ioctl(u.device, VFIO_DEVICE_SET_IRQS, &arg), "SET_IRQS %u", index);
	return arg.fd;
}

static void events(void)
{
	uint64_t count[2] = {};

	usleep(300000);
	if (read(error, &count[0], 8) + read(request, &count[1], 8) == 16)
		printf("both ");
	printf("errors %llu, requests %llu\n", (unsigned long long)count[0], (unsigned long long)count[1]);
}

static void owner(void)
{
	heading("unfreeze");
	freeze();
	state();
	op(VFIO_EEH_PE_UNFREEZE_IO, "UNFREEZE_IO");
	state();
	op(VFIO_EEH_PE_UNFREEZE_DMA, "UNFREEZE_DMA");
	state();
	works();

	heading("not the host's business");
	freeze();
	tell("eeh_dev_check", name);
	events();
	state();
	ASK(map(RW, buffer, 4 * P, 4 * P), "MAP");
	ASK(unmap(4 * P, 4 * P), "UNMAP");

	heading("reset");
	op(VFIO_EEH_PE_RESET_HOT, "RESET_HOT");
	op(VFIO_EEH_PE_RESET_DEACTIVATE, "RESET_DEACTIVATE");
	op(VFIO_EEH_PE_CONFIGURE, "CONFIGURE");
	state();
	works();
	events();

	heading("enable");
	freeze();
	state();
	op(VFIO_EEH_PE_ENABLE, "ENABLE");
	state();
	works();
}

static void forced(void)
{
	char path[128], endpoint[32];
	unsigned int domain, pe;
	FILE *file;

	heading("recovered by force");
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/eeh_pe_config_addr", name);
	file = fopen(path, "r");
	if (!file || fscanf(file, "%x", &pe) != 1 || sscanf(name, "%x:", &domain) != 1)
		fail("%s", path);
	fclose(file);
	snprintf(endpoint, sizeof(endpoint), "%x:%x", domain, pe);
	freeze();
	recover(endpoint);
	events();
	state();
	op(VFIO_EEH_PE_ENABLE, "ENABLE");
	state();
	works();
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	name = argv[1];
	begin(name, false);
	error = event(VFIO_PCI_ERR_IRQ_INDEX);
	request = event(VFIO_PCI_REQ_IRQ_INDEX);
	ASK(reg(buffer, 4 * P), "REGISTER");
	ASK(map(RW, buffer, 0, 4 * P), "MAP");
	works();
	op(VFIO_EEH_PE_ENABLE, "ENABLE");
	state();
	if (argc > 2)
		forced();
	else
		owner();
	close_all(&u);
	printf("done\n");
	return 0;
}

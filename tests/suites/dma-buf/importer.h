/* SPDX-License-Identifier: GPL-2.0 */
/* The importer of dma-bufs, as the programs of suites use it. */
#ifndef IMPORTER_H
#define IMPORTER_H

#include "../vfio_user.h"
#include "module/vfio_test_importer.h"

/* How the importer is: it reaches other devices, can be told, and unmaps when told. */
enum { PEER = 1, REVOCABLE = 2, UNMAPS = 4 };

static inline int open_importer(void)
{
	int fd = open("/dev/vfio-test-importer", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		fail("/dev/vfio-test-importer");
	return fd;
}

/* Attaches a buffer, on behalf of the PCI function at that address. */
static inline int attach_buffer(int importer, int buffer, const char *bdf, int how)
{
	unsigned int domain, bus, slot, function;
	struct importer_attach arg = {
		.fd = buffer, .peer2peer = !!(how & PEER), .revocable = !!(how & REVOCABLE), .unmaps = !!(how & UNMAPS),
	};

	if (sscanf(bdf, "%x:%x:%x.%x", &domain, &bus, &slot, &function) != 4)
		fail("the address %s", bdf);
	arg.domain = domain;
	arg.bus = bus;
	arg.devfn = slot << 3 | function;
	return ioctl(importer, IMPORTER_ATTACH, &arg);
}

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What must be as it was before: memory locked and pinned, files, eventfds, modules, interrupts and devices in use.
 */
#ifndef STATE_H
#define STATE_H

#include "proc.h"
#include "vfio_user.h"

#include <sys/eventfd.h>

static const char *const watched_modules[] = {
	"vfio", "vfio_iommu_type1", "vfio_iommu_spapr_tce", "vfio_pci_core", "vfio_pci", "iommufd",
};
/* The devices whose configuration space has to stay as it was. */
static const char *watched_devices[4];

/* What nobody but the operation changes. */
struct state {
	long locked; /* kB */
	long pins; /* pages, of all processes */
	long files; /* open, in the whole machine */
	long eventfd; /* the number that the next eventfd gets: the lowest free one */
	long modules[ARRAY_SIZE(watched_modules)]; /* references */
	long enabled[ARRAY_SIZE(watched_devices)]; /* how often the device is */
	long interrupts; /* requested by VFIO */
	unsigned char config[ARRAY_SIZE(watched_devices)][64];
};

static inline long interrupts(void)
{
	FILE *f = fopen("/proc/interrupts", "r");
	char line[1024];
	long count = 0;

	while (f && fgets(line, sizeof(line), f))
		count += strstr(line, "vfio") != NULL;
	if (f)
		fclose(f);
	return count;
}

static inline long next_eventfd(void)
{
	char path[64];
	int fd = eventfd(0, EFD_CLOEXEC);
	long id;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	id = number_after(path, "eventfd-id:");
	close(fd);
	return id;
}

static inline struct state look(void)
{
	struct state s = {};
	char path[PATH_MAX];
	int fd;

	s.locked = locked_kib();
	/* Without it the counts of the processors are added up whenever the kernel likes. */
	s.pins = access("/proc/sys/vm/stat_refresh", W_OK) ? 0 : pins_of_all();
	s.files = number_after("/proc/sys/fs/file-nr", "");
	s.eventfd = next_eventfd();
	s.interrupts = interrupts();
	for (size_t i = 0; i < ARRAY_SIZE(watched_modules); i++) {
		snprintf(path, sizeof(path), "/sys/module/%s/refcnt", watched_modules[i]);
		s.modules[i] = number_after(path, "");
	}
	for (size_t i = 0; i < ARRAY_SIZE(watched_devices) && watched_devices[i]; i++) {
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/enable", watched_devices[i]);
		s.enabled[i] = number_after(path, "");
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", watched_devices[i]);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (pread(fd, s.config[i], sizeof(s.config[i]), 0) < 0)
			perror(path);
		close(fd);
	}
	return s;
}

#define CHANGED(what) ({ if (a->what != b->what) printf(" %s %ld -> %ld", #what, a->what, b->what); a->what != b->what; })

static inline bool differs(const struct state *a, const struct state *b)
{
	bool bad = CHANGED(locked);

	bad |= CHANGED(pins);
	bad |= CHANGED(files);
	bad |= CHANGED(eventfd);
	bad |= CHANGED(interrupts);
	for (size_t i = 0; i < ARRAY_SIZE(a->modules); i++)
		if (a->modules[i] != b->modules[i]) {
			printf(" references of %s %ld -> %ld", watched_modules[i], a->modules[i], b->modules[i]);
			bad = true;
		}
	for (size_t i = 0; i < ARRAY_SIZE(a->enabled); i++) {
		bad |= CHANGED(enabled[i]);
		for (size_t k = 0; k < sizeof(a->config[i]); k++)
			if (a->config[i][k] != b->config[i][k]) {
				printf(" config[%zx] of device %zu %02x -> %02x", k, i, a->config[i][k], b->config[i][k]);
				bad = true;
			}
	}
	return bad;
}

/* What it is like when nothing has changed for a while: what watches over the program before (busybox's timeout) keeps its
 * output open for up to a second after its end.
 */
static inline struct state settled(void)
{
	struct state then = look(), now;

	for (int tries = 0, quiet = 0; quiet < 15 && tries < 600; tries++) {
		usleep(100000);
		now = look();
		quiet = memcmp(&now, &then, sizeof(now)) ? 0 : quiet + 1;
		then = now;
	}
	return then;
}

/* Says what is not as it was `when`. Work that others still have to do gets time. */
static inline bool same(const struct state *before, const char *when)
{
	struct state now;

	for (int tries = 0; tries < 1000; tries++) {
		now = look();
		if (!memcmp(&now, before, sizeof(now)))
			return true;
		usleep(20000);
	}
	printf("# %s:", when);
	differs(before, &now);
	printf("\n");
	return false;
}

#endif

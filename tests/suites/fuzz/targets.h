/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The devices that are fuzzed, as sysfs shows them, so that neither set of modules has a say in it; and how they are put
 * back into the state they were found in.
 */
#ifndef FUZZ_TARGETS_H
#define FUZZ_TARGETS_H

#include "fuzz.h"

struct target {
	char bdf[16], group[32];
	uint64_t size[9]; /* of the regions: BARs, ROM, configuration space, VGA */
	unsigned caps[64], cap_count;
	unsigned pm, exp, af, msi, msix;
	int msix_bar;
	uint32_t id;
	unsigned data; /* BARs whose contents are the same on every run */
	unsigned writable; /* BARs that may be written: nothing comes of it but contents */
	bool slow; /* a reset takes a tenth of a second */
	bool removable; /* may be removed; the kernel does it one by one, so only the devices of one worker are */
	uint8_t baseline[4096];
};

#define EDU 0x11e81234
#define IVSHMEM 0x11101af4

static struct target targets[2];
static unsigned target_count;

static inline int open_sysfs(const struct target *t, const char *file, int flags)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%.15s/%.60s", t->bdf, file);
	return open(path, flags | O_CLOEXEC);
}

/* Reads configuration space behind VFIO's back. */
static inline unsigned read_config(const struct target *t, uint8_t *to)
{
	int fd = open_sysfs(t, "config", O_RDONLY);
	ssize_t len = fd < 0 ? -1 : pread(fd, to, 4096, 0);

	if (fd >= 0)
		close(fd);
	return len < 0 ? 0 : len;
}

static inline void find_caps(struct target *t, const uint8_t *config, unsigned size)
{
	unsigned pos, n;

	for (pos = config[PCI_CAPABILITY_LIST] & ~3, n = 0; pos >= 0x40 && n < 40; pos = config[pos + 1] & ~3, n++) {
		t->caps[t->cap_count++] = pos;
		switch (config[pos]) {
		case PCI_CAP_ID_PM: t->pm = pos; break;
		case PCI_CAP_ID_EXP: t->exp = pos; break;
		case PCI_CAP_ID_AF: t->af = pos; break;
		case PCI_CAP_ID_MSI: t->msi = pos; break;
		case PCI_CAP_ID_MSIX:
			t->msix = pos;
			t->msix_bar = config[pos + PCI_MSIX_TABLE] & PCI_MSIX_TABLE_BIR;
			break;
		}
	}
	for (pos = 0x100, n = 0; size > 256 && pos >= 0x100 && n < 20; n++) {
		uint32_t head = *(uint32_t *)(config + pos);

		if (!head)
			break;
		t->caps[t->cap_count++] = pos;
		pos = (head >> 20) & ~3;
	}
}

static inline void find_target(struct target *t, const char *bdf)
{
	uint8_t config[4096] = {};
	char line[128];
	FILE *file;
	unsigned size;
	int fd;

	snprintf(t->bdf, sizeof(t->bdf), "%s", bdf);
	snprintf(t->group, sizeof(t->group), "%.31s", group_path(bdf));
	size = read_config(t, config);
	if (size < 64)
		fail("configuration space of %s", bdf);
	t->size[VFIO_PCI_CONFIG_REGION_INDEX] = size;
	t->id = *(uint32_t *)config;
	t->msix_bar = -1;
	find_caps(t, config, size);
	fd = open_sysfs(t, "resource", O_RDONLY);
	file = fd < 0 ? NULL : fdopen(fd, "r");
	for (unsigned i = 0; file && i < 7 && fgets(line, sizeof(line), file); i++) {
		uint64_t start, end;

		if (sscanf(line, "%lx %lx", &start, &end) == 2 && end > start)
			t->size[i] = end - start + 1;
	}
	if (file)
		fclose(file);
	if (t->id == EDU) {
		t->data = t->writable = 1;
	} else if (t->id == IVSHMEM) {
		t->data = t->writable = 1 << 0 | 1 << 2;
	} else if (t->msix_bar > 0) {
		/* The table is not written, what is beside it has no effect. */
		t->writable = 1 << t->msix_bar;
	}
	t->removable = !strncmp(bdf, "0000:00", 7);
	t->slow = t->id != IVSHMEM && strncmp(bdf, "0000:00", 7);
}

/* Whether it may sleep; if not it is awake when this returns. */
static inline void may_sleep(const struct target *t, bool yes)
{
	const char *word = yes ? "auto" : "on";
	int fd = open_sysfs(t, "power/control", O_WRONLY);

	(void)!write(fd, word, strlen(word));
	close(fd);
}

/* The device is unplugged, as far as the kernel knows. */
static inline void unplug(const struct target *t)
{
	int fd = open_sysfs(t, "remove", O_WRONLY);

	(void)!write(fd, "1", 1);
	close(fd);
}

/* A device that was removed, perhaps, comes back; its driver is to be ours. */
static inline void plug_in(const struct target *t)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%.15s", t->bdf);
	if (access(path, F_OK)) {
		fd = open("/sys/bus/pci/rescan", O_WRONLY | O_CLOEXEC);
		(void)!write(fd, "1", 1);
		close(fd);
	}
	fd = open_sysfs(t, "driver_override", O_WRONLY);
	(void)!write(fd, "vfio-pci", 8);
	close(fd);
	fd = open("/sys/bus/pci/drivers_probe", O_WRONLY | O_CLOEXEC);
	(void)!write(fd, t->bdf, strlen(t->bdf));
	close(fd);
}

/* The kernel may have given a device that came back other addresses; these no user changes. */
static inline void find_bars(struct target *t)
{
	uint8_t now[4096] = {};

	may_sleep(t, false);
	read_config(t, now);
	may_sleep(t, true);
	memcpy(t->baseline + PCI_BASE_ADDRESS_0, now + PCI_BASE_ADDRESS_0, 24);
	memcpy(t->baseline + PCI_ROM_ADDRESS, now + PCI_ROM_ADDRESS, 4);
}

/* Where configuration space is not as it was found: notes it, and makes it so. */
static inline void restore_config(struct target *t, bool tell)
{
	uint8_t now[4096] = {};
	unsigned size;
	int fd;

	may_sleep(t, false);
	size = read_config(t, now);
	if (!memcmp(now, t->baseline, size)) {
		may_sleep(t, true);
		return;
	}
	fd = open_sysfs(t, "config", O_WRONLY);
	for (unsigned at = 0; at < size; at++) {
		if (now[at] == t->baseline[at])
			continue;
		/* The kernel's power management of links comes and goes. */
		if (tell && !(t->exp && at == t->exp + PCI_EXP_LNKCTL && !((now[at] ^ t->baseline[at]) & ~PCI_EXP_LNKCTL_ASPMC)))
			note(" %03x:%02x>%02x", at, t->baseline[at], now[at]);
		if (at / 2 != PCI_STATUS / 2)
			(void)!pwrite(fd, t->baseline + at, 1, at);
	}
	close(fd);
	may_sleep(t, true);
}

/* Registers and memory that no reset clears. Uses VFIO, which at that point nobody else does. */
static inline void scrub(const struct target *t)
{
	static const uint32_t edu[][2] = { { 0x64, ~0u }, { 0x04, 0 }, { 0x20, 0 }, { 0x80, 0 }, { 0x88, 0 }, { 0x90, 0 } };
	static const uint8_t zeroes[0x10000];
	struct vfio_user u;
	uint16_t command = 2;

	if (t->id != EDU && t->id != IVSHMEM)
		return;
	u = open_all(t->bdf, VFIO_TYPE1v2_IOMMU);
	(void)!pwrite(u.device, &command, 2, (7ULL << 40) + PCI_COMMAND);
	if (t->id == EDU) {
		for (unsigned i = 0; i < ARRAY_SIZE(edu); i++)
			(void)!pwrite(u.device, &edu[i][1], 4, edu[i][0]);
	} else {
		uint8_t *p = mmap(NULL, t->size[2], PROT_READ | PROT_WRITE, MAP_SHARED, u.device, 2ULL << 40);

		if (p == MAP_FAILED)
			fail("mmap of ivshmem");
		memcpy(p, zeroes, sizeof(zeroes));
		memcpy(p + t->size[2] / 2, zeroes, sizeof(zeroes));
		memcpy(p + t->size[2] - sizeof(zeroes), zeroes, sizeof(zeroes));
		/* INTRMASK and INTRSTATUS, which keeps what was written there until it is read. */
		(void)!pwrite(u.device, zeroes, 4, 0);
		(void)!pwrite(u.device, zeroes, 4, 4);
		munmap(p, t->size[2]);
	}
	close_all(&u);
}

#endif

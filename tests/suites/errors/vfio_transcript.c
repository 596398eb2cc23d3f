// SPDX-License-Identifier: GPL-2.0
/*
 * Asks VFIO many things, right and wrong, and prints what it answered, one line each.
 *
 * Nothing here knows the right answer: the suite runs it on the C modules and on ours and compares. So a line
 * holds only what is the same on every run: no addresses, no file descriptors, no times. Whatever is refused is
 * asked twice, since a refusal that changes something changes the second answer.
 *
 * usage: vfio_transcript SECTION BDF [BDF2]
 */
#include "../proc.h"
#include "../transcript.h"

static const char *bdf, *bdf2;

#include "transcript_container.h"
#include "transcript_type1.h"
#include "transcript_device.h"
#include "transcript_config.h"
#include "transcript_irqs.h"

static const struct {
	const char *name;
	void (*run)(void);
} sections[] = {
	{ "container", section_container },
	{ "viable", section_viable },
	{ "type1", section_type1 },
	{ "dirty", section_dirty },
	{ "limits", section_limits },
	{ "entries", section_entries },
	{ "maps-random", section_maps_random },
	{ "device", section_device },
	{ "runs", section_runs },
	{ "reset", section_reset },
	{ "config", section_config },
	{ "config-random", section_config_random },
	{ "irqs", section_irqs },
	{ "irqs-random", section_irqs_random },
	{ "msi-mask", section_msi_mask },
	{ "msi-messages", section_msi_messages },
};

int main(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "usage: %s SECTION BDF [BDF2]; sections:", argv[0]);
		for (unsigned int i = 0; i < ARRAY_SIZE(sections); i++)
			fprintf(stderr, " %s", sections[i].name);
		fprintf(stderr, "\n");
		return 2;
	}
	bdf = argv[2];
	bdf2 = argv[3];
	setvbuf(stdout, NULL, _IOFBF, 1 << 20);
	for (unsigned int i = 0; i < ARRAY_SIZE(sections); i++)
		if (!strcmp(argv[1], sections[i].name)) {
			sections[i].run();
			return 0;
		}
	fprintf(stderr, "there is no section %s\n", argv[1]);
	return 2;
}

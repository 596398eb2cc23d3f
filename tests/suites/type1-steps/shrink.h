/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Makes a script short by delta debugging: leaves out parts as long as the answers of the two implementations still
 * differ, at a step of the same kind. Loading modules takes long, so many shorter scripts are tried with each.
 */
#ifndef SHRINK_H
#define SHRINK_H

/* How many are tried at a time. */
#define TRIALS 32
/* Loading modules so often has to do. */
#define ROUNDS 60

struct script {
	int count;
	struct step *steps;
};

static const char *shrink_command;

static void load(const char *which)
{
	char command[300];

	snprintf(command, sizeof(command), "%s %s >/dev/null", shrink_command, which);
	fflush(NULL);
	if (system(command))
		fail("%s", command);
}

static const char *output(const char *which, int trial)
{
	static char path[80];

	sprintf(path, "/tmp/type1-steps.%s.%d", which, trial);
	return path;
}

static void answers_of(const char *which, const struct script *scripts, int count)
{
	load(which);
	for (int i = 0; i < count; i++) {
		FILE *out = fopen(output(which, i), "w");

		if (!out)
			fail("%s", output(which, i));
		memcpy(shared->steps, scripts[i].steps, scripts[i].count * sizeof(struct step));
		run_script(0, true, scripts[i].count, NULL, out);
		fclose(out);
	}
}

/* The number of the first line that differs, from 0; that of the lines if none does. */
static int first_difference(int trial)
{
	FILE *f[2] = { fopen(output("c", trial), "r"), NULL };
	char line[2][400];
	int at = 0;

	f[1] = fopen(output("ours", trial), "r");
	while (f[0] && f[1]) {
		char *got[2] = { fgets(line[0], sizeof(line[0]), f[0]), fgets(line[1], sizeof(line[1]), f[1]) };

		if ((!got[0] && !got[1]) || (!got[0] != !got[1]) || strcmp(line[0], line[1]))
			break;
		at++;
	}
	for (int i = 0; i < 2; i++)
		if (f[i])
			fclose(f[i]);
	return at;
}

/*
 * Tries all: for each, how long it is up to the step that differs; 0 if none does, or one of another kind than `kind`. The end
 * of a script, where everything is given back, counts as OPS.
 */
static void try(const struct script *scripts, int count, int kind, int *length)
{
	answers_of("c", scripts, count);
	answers_of("ours", scripts, count);
	for (int i = 0; i < count; i++) {
		const struct script *s = &scripts[i];
		int at = first_difference(i);

		length[i] = 0;
		if (at < s->count && (kind < 0 || s->steps[at].op == kind))
			length[i] = at + 1;
		else if (at < s->count + 2 && at >= s->count && (kind < 0 || kind == OPS))
			length[i] = s->count;
	}
}

/* `from` without the steps in the parts that are set, each of `size`; the last step stays unless the end is what differs. */
static void leave_out(struct script *to, const struct script *from, int size, const bool *parts)
{
	to->count = 0;
	for (int i = 0; i < from->count; i++)
		if (!parts[i / size])
			to->steps[to->count++] = from->steps[i];
}

/* Whether a step is one of those that others need: who is there, and what they may do. */
static bool sets_up(const struct step *s)
{
	switch (s->op) {
	case JOIN ... EXEC:
	case RLIMIT:
	case CAP_LOCK:
		return true;
	case PARAM:
		return s->a[0] == DMA_ENTRY_LIMIT;
	default:
		return false;
	}
}

static bool same_range(const struct step *a, const struct step *b)
{
	uint64_t size_a = a->op == MAP ? a->a[3] : a->a[2], size_b = b->op == MAP ? b->a[3] : b->a[2];

	return (a->op == MAP || a->op == UNMAP || a->op == DIRTY) && (b->op == MAP || b->op == UNMAP || b->op == DIRTY) &&
	       a->a[1] <= b->a[1] + (size_b - 1) && b->a[1] <= a->a[1] + (size_a - 1);
}

/* Guesses, before anything is tried part by part: the set-up and the last steps, or those on the same addresses. */
static void guess(struct script *best, struct script *trials, int kind)
{
	static const int lasts[] = { 1, 5, 25, 100, 300 };
	const struct step *last = &best->steps[best->count - 1];
	const int guesses = ARRAY_SIZE(lasts) * 2;
	int length[TRIALS];

	for (int i = 0; i < guesses; i++) {
		trials[i].count = 0;
		for (int k = 0; k < best->count; k++) {
			const struct step *s = &best->steps[k];

			if (k >= best->count - lasts[i / 2] || sets_up(s) || (i % 2 && same_range(s, last)))
				trials[i].steps[trials[i].count++] = *s;
		}
	}
	try(trials, guesses, kind, length);
	for (int i = 0; i < guesses; i++)
		if (length[i]) {
			best->count = length[i];
			memcpy(best->steps, trials[i].steps, length[i] * sizeof(struct step));
			return;
		}
}

/* One step shorter, or more; whether that was possible. */
static bool shorter(struct script *best, struct script *trials, int size, int *offset, int kind, int *rounds)
{
	static bool parts[MOST];
	int length[TRIALS], alone[TRIALS], found = 0, count = 0;
	int keep = kind == OPS ? best->count : best->count - 1, all = (keep + size - 1) / size;

	for (; count < TRIALS && *offset + count < all; count++) {
		memset(parts, 0, sizeof(parts));
		parts[*offset + count] = true;
		/* The last part may reach over the step that differs. */
		if (kind != OPS && (best->count - 1) / size == *offset + count) {
			struct script head = { best->count - 1, best->steps };

			leave_out(&trials[count], &head, size, parts);
			trials[count].steps[trials[count].count++] = best->steps[best->count - 1];
		} else {
			leave_out(&trials[count], best, size, parts);
		}
	}
	if (!count)
		return false;
	(*rounds)++;
	try(trials, count, kind, length);
	for (int i = 0; i < count; i++)
		if (length[i])
			alone[found++] = i;
	if (!found) {
		*offset += count;
		return shorter(best, trials, size, offset, kind, rounds);
	}
	/* As many of them together as possible. */
	struct step *last = &best->steps[best->count - 1];
	struct step saved = *last;
	bool own = kind != OPS && best->count > 1;

	for (int i = 0; i < found; i++) {
		struct script head = { own ? best->count - 1 : best->count, best->steps };

		memset(parts, 0, sizeof(parts));
		for (int k = 0; k <= i; k++)
			parts[*offset + alone[k]] = true;
		leave_out(&trials[i], &head, size, parts);
		if (own)
			trials[i].steps[trials[i].count++] = saved;
	}
	if (found > 1) {
		(*rounds)++;
		try(trials, found, kind, length);
	} else {
		length[0] = trials[0].count;
	}
	for (int i = found - 1; i >= 0; i--)
		if (length[i]) {
			best->count = length[i];
			memcpy(best->steps, trials[i].steps, length[i] * sizeof(struct step));
			*offset += found - i - 1 ? 0 : count - found;
			return true;
		}
	return false;
}

static void print_both(const struct script *best)
{
	char line[2][400] = { "", "" };
	FILE *f[2];

	answers_of("c", best, 1);
	answers_of("ours", best, 1);
	f[0] = fopen(output("c", 0), "r");
	f[1] = fopen(output("ours", 0), "r");
	while (fgets(line[0], sizeof(line[0]), f[0]) && fgets(line[1], sizeof(line[1]), f[1])) {
		bool same = !strcmp(line[0], line[1]);

		printf("%s%s", same ? "  " : "- ", line[0]);
		if (!same)
			printf("+ %s", line[1]);
	}
	fclose(f[0]);
	fclose(f[1]);
}

static int shrink(const char *path, const char *command)
{
	struct script best = { read_script(path) }, trials[TRIALS];
	int length, kind = -1, rounds = 2, whole = best.count;
	char name[200];

	shrink_command = command;
	best.steps = malloc((best.count + 1) * sizeof(struct step));
	memcpy(best.steps, shared->steps, best.count * sizeof(struct step));
	for (int i = 0; i < TRIALS; i++)
		trials[i].steps = malloc((best.count + 1) * sizeof(struct step));
	try(&best, 1, -1, &length);
	if (!length) {
		printf("the script of %d steps in %s, by itself, is answered the same\n", best.count, path);
		return 1;
	}
	best.count = length;
	kind = first_difference(0) < length ? best.steps[length - 1].op : OPS;
	guess(&best, trials, kind);
	for (int size = best.count / 2; size && rounds < ROUNDS; size /= 2) {
		int offset = 0;

		while (rounds < ROUNDS && shorter(&best, trials, size, &offset, kind, &rounds))
			;
		/* Those that were needed may not be any more. */
		if (size == 1 && best.count < whole) {
			whole = best.count;
			size = 2;
		}
	}
	printf("%d steps (modules were loaded %d times); lines with - are answers of C, with + of ours:\n", best.count, 2 * rounds);
	print_both(&best);
	snprintf(name, sizeof(name), "%s.short", path);
	write_script(name, best.steps, best.count);
	return 0;
}

#endif /* SHRINK_H */

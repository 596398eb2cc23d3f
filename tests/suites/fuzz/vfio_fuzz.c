// SPDX-License-Identifier: GPL-2.0
/*
 * Differential fuzzing: scripts of steps, made from a seed, run on the C modules and on ours; what they answer is compared
 * step by step, and a script that tells them apart is shortened to what is needed for that.
 *
 *   vfio_fuzz run DIR SEED STEPS WORKER...        on the modules that are loaded; transcripts into DIR
 *   vfio_fuzz compare SEED WORKER...              of the folders c and ours; shortens, which loads modules by turns
 *   vfio_fuzz script SEED NUMBER EPISODE WORKER    prints a script
 *   vfio_fuzz play FILE WORKER                    runs a script on the modules that are loaded, prints the transcript
 *   vfio_fuzz shrink FILE WORKER                  shortens a script that tells the modules apart
 *
 * A worker is BDF[,BDF][/SHARE]: the devices that its scripts use, and its share of the steps in percent. Workers run at
 * the same time, for most of it is waiting for resets. An episode is a process that begins with nothing open; after it
 * configuration space is put back to how it was first seen, and what of it had changed belongs to the transcript.
 */
#include "generate.h"

#include <sys/prctl.h>
#include <time.h>

#define SWAP "/vm/suite/swap.sh"

static const char *folder = "/tmp/fuzz";
static bool fresh = true; /* the modules were loaded since the last episode */

/* Steps of an episode, or a few more. */
static unsigned episode_steps(void)
{
	const char *steps = getenv("FUZZ_EPISODE");

	return steps ? atoi(steps) : 500;
}

/* --- one episode -------------------------------------------------------------------------------------------------- */

static void run_steps(const struct script *script, unsigned from, unsigned to, unsigned depth)
{
	char text[STEP_TEXT];

	for (unsigned i = from; i < to; i++) {
		const struct step *step = &script->steps[i];
		unsigned join = i + 1, level = 0;
		int status;
		pid_t pid;

		format_step(text, step);
		note("%u %s =", i, text);
		if (step->op != FORK) {
			if (((step->op == UNBIND || step->op == REMOVE) && depth) || (step->op == DIE && !depth))
				note(" skipped");
			else if (ops[step->op].run)
				ops[step->op].run(step->a);
			if (!depth)
				follow_leaving(lets_go(step->op));
			note("\n");
			continue;
		}
		for (; join < to && (script->steps[join].op != JOIN || level); join++)
			level += script->steps[join].op == FORK ? 1 : script->steps[join].op == JOIN ? -1 : 0;
		note(" {\n");
		pid = fork_quietly();
		if (!pid) {
			memset(lingering, 0, sizeof(lingering));
			run_steps(script, i + 1, join, depth + 1);
			_exit(0);
		}
		waitpid(pid, &status, 0);
		note("%u } %x", join, status);
		if (!depth)
			follow_leaving(true);
		note("\n");
		i = join;
	}
}

static void episode_process(const struct script *script)
{
	struct sigaction act = { .sa_handler = faulted, .sa_flags = SA_NODEFER };

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(120);
	sigaction(SIGBUS, &act, NULL);
	sigaction(SIGSEGV, &act, NULL);
	for (unsigned i = 0; i < SLOTS; i++)
		slots[i] = i >= OUTPUTS && i < BUFFERS ? eventfd(0, EFD_NONBLOCK) : -1;
	unsettled = true;
	settle();
	run_steps(script, 0, script->count, 0);
	_exit(0);
}

static bool is_bound(const struct target *t)
{
	int fd = open_sysfs(t, "driver/module/refcnt", O_RDONLY);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* Everything as it was found, whatever the last episode did. */
static void put_back(bool tell)
{
	for (unsigned i = 0; i < target_count; i++) {
		struct target *t = &targets[i];
		int fd = -1;

		if (!is_bound(t)) {
			plug_in(t);
			snprintf(t->group, sizeof(t->group), "%.31s", group_path(t->bdf));
			find_bars(t);
		}
		/* A file that was on its way in a socket is closed a little later. */
		for (int tries = 0; tries < 3000; tries++) {
			fd = open(t->group, O_RDWR | O_CLOEXEC);
			if (fd >= 0 || errno != EBUSY)
				break;
			usleep(1000);
		}
		if (fd < 0)
			note("group of device %u: %s\n", i, error_name(errno));
		else
			close(fd);
	}
	for (unsigned i = 0; i < target_count; i++) {
		if (tell)
			note("device %u:", i);
		restore_config(&targets[i], tell);
		if (tell)
			note("\n");
	}
	for (unsigned i = 0; i < target_count && transcript->written; i++)
		scrub(&targets[i]);
	transcript->written = false;
}

/* Runs a script; what it was answered is in the transcript. */
static void run_episode(const struct script *script)
{
	int status;
	pid_t pid;

	if (fresh) {
		transcript->written = true;
		put_back(false);
		fresh = false;
	}
	transcript->length = 0;
	transcript->compatible = false;
	transcript->low_power = false;
	pid = fork();
	if (!pid)
		episode_process(script);
	waitpid(pid, &status, 0);
	kill(-pid, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	note("ended %x\n", status);
	put_back(true);
	transcript->text[transcript->length] = 0;
}

/* --- workers ------------------------------------------------------------------------------------------------------ */

/* Makes this process the one that uses these devices. Returns the share. */
static unsigned become_worker(const char *worker)
{
	char text[128], path[64], *part, *save = NULL;
	unsigned share = 100;
	int fd;

	snprintf(text, sizeof(text), "%s", worker);
	part = strrchr(text, '/');
	if (part) {
		*part = 0;
		share = atoi(part + 1);
	}
	target_count = 0;
	fresh = true;
	for (part = strtok_r(text, ",", &save); part && target_count < 2; part = strtok_r(NULL, ",", &save)) {
		struct target *t = &targets[target_count++];

		memset(t, 0, sizeof(*t));
		find_target(t, part);
		/* As it was found the first time, on whichever modules. */
		snprintf(path, sizeof(path), "%s/config-%s", folder, part);
		fd = open(path, O_RDWR | O_CREAT, 0600);
		if (read(fd, t->baseline, sizeof(t->baseline)) <= 0) {
			struct vfio_user u;

			/* It comes back at an address that it keeps when it comes back again. */
			if (t->removable) {
				unplug(t);
				plug_in(t);
				snprintf(t->group, sizeof(t->group), "%.31s", group_path(t->bdf));
			}
			u = open_all(t->bdf, VFIO_TYPE1v2_IOMMU);
			close_all(&u);
			may_sleep(t, false);
			(void)!write(fd, t->baseline, read_config(t, t->baseline));
			may_sleep(t, true);
		}
		close(fd);
		find_bars(t);
	}
	if (!arena) {
		nice(19);
		prctl(PR_SET_CHILD_SUBREAPER, 1);
		make_arena();
		memset(pattern, 0xa5, sizeof(pattern));
		transcript = mmap(NULL, sizeof(*transcript), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		ram = mmap((void *)0x210000000000, RAM_PAGES * PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		if (transcript == MAP_FAILED || ram == MAP_FAILED)
			fail("memory");
		while (open("/dev/null", O_RDWR) < FIRST_FD - 1)
			;
	}
	return share;
}

static void run_worker(const char *dir, unsigned number, const char *worker, uint64_t seed, unsigned long steps)
{
	static struct script script;
	unsigned share = become_worker(worker);
	unsigned long done = 0;
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s/%u", folder, dir, number);
	file = fopen(path, "we");
	if (!file)
		fail("%s", path);
	for (unsigned episode = 0; done < steps * share / 100; episode++) {
		time_t start = time(NULL);

		generate(&script, seed, number, episode, episode_steps());
		run_episode(&script);
		if (time(NULL) - start > 20)
			printf("worker %u, episode %u took %ld s\n", number, episode, (long)(time(NULL) - start));
		fprintf(file, "== %u %u\n%s", number, episode, transcript->text);
		fflush(file);
		done += script.count;
	}
	fclose(file);
}

static int run(const char *dir, uint64_t seed, unsigned long steps, char **workers, unsigned count)
{
	char path[128];
	int failed = 0, status;

	mkdir(folder, 0700);
	snprintf(path, sizeof(path), "%s/%s", folder, dir);
	mkdir(path, 0700);
	for (unsigned i = 0; i < count; i++) {
		if (fork()) {
			/* Where waiting takes no time, one after the other is faster. */
			if (getenv("FUZZ_ALONE") && wait(&status) > 0)
				failed |= status;
			continue;
		}
		run_worker(dir, i, workers[i], seed, steps);
		exit(0);
	}
	while (wait(&status) > 0)
		failed |= status;
	return failed ? 1 : 0;
}

/* --- both sets of modules ----------------------------------------------------------------------------------------- */

static void swap(const char *which)
{
	char command[128];

	snprintf(command, sizeof(command), "sh " SWAP " %s %s %s >/dev/null 2>&1", which, targets[0].bdf,
		 target_count > 1 ? targets[1].bdf : "");
	if (system(command))
		fail("the modules cannot be exchanged (%s)", which);
	fresh = true;
}

/* Runs scripts on one set of modules; the transcripts are to be freed. */
static void run_all(const char *which, const struct script *const *scripts, unsigned count, char **texts)
{
	swap(which);
	for (unsigned i = 0; i < count; i++) {
		run_episode(scripts[i]);
		texts[i] = strdup(transcript->text);
	}
}

/* Which of these scripts tell the modules apart. The texts of the last one that does are kept in `c` and `ours`. */
static unsigned tell_apart(const struct script *const *scripts, unsigned count, bool *apart, char **c, char **ours)
{
	char *theirs[MAX_STEPS], *mine[MAX_STEPS];
	unsigned found = 0;

	run_all("c", scripts, count, theirs);
	run_all("ours", scripts, count, mine);
	for (unsigned i = 0; i < count; i++) {
		apart[i] = strcmp(theirs[i], mine[i]);
		found += apart[i];
		if (apart[i]) {
			free(*c);
			free(*ours);
			*c = theirs[i];
			*ours = mine[i];
		} else {
			free(theirs[i]);
			free(mine[i]);
		}
	}
	return found;
}

static struct script *without(const struct script *from, unsigned start, unsigned end)
{
	struct script *script = malloc(sizeof(*script));

	script->count = 0;
	for (unsigned i = 0; i < from->count; i++)
		if (i < start || i >= end)
			script->steps[script->count++] = from->steps[i];
	return script;
}

/* The number of the step whose line is the first that differs. */
static unsigned first_difference(const char *c, const char *ours)
{
	size_t at = 0, line = 0;

	for (; c[at] && c[at] == ours[at]; at++)
		if (c[at] == '\n')
			line = at + 1;
	return strtoul(c + line, NULL, 10);
}

static void print_difference(const char *c, const char *ours)
{
	const char *a = c, *b = ours, *from_a = c, *from_b = ours;

	for (; *a && *a == *b; a++, b++)
		if (*a == '\n')
			from_a = a + 1, from_b = b + 1;
	for (unsigned lines = 0; lines < 2 && (*from_a || *from_b); lines++) {
		printf("  c:    %.*s\n", (int)strcspn(from_a, "\n"), from_a);
		printf("  ours: %.*s\n", (int)strcspn(from_b, "\n"), from_b);
		from_a += strcspn(from_a, "\n");
		from_a += *from_a == '\n';
		from_b += strcspn(from_b, "\n");
		from_b += *from_b == '\n';
	}
}

static const char *last_lines(const char *text, unsigned lines)
{
	const char *at = text + strlen(text);

	while (at > text && (at[-1] != '\n' || lines--))
		at--;
	return at;
}

/*
 * Shortens a script that tells the modules apart: what is behind the first difference goes, then parts of it, in ever
 * smaller ones. All parts of one size are tried on each set of modules before the sets are exchanged.
 */
static void shrink(struct script *script, const char *worker, unsigned seconds)
{
	const struct script *candidates[MAX_STEPS];
	char *c = NULL, *ours = NULL, text[STEP_TEXT];
	time_t end = time(NULL) + seconds;
	bool apart[MAX_STEPS];
	unsigned step;

	candidates[0] = script;
	if (!tell_apart(candidates, 1, apart, &c, &ours)) {
		printf("the script does not tell the modules apart\n");
		return;
	}
	step = first_difference(c, ours);
	if (step + 1 < script->count) {
		struct script *start = without(script, step + 1, script->count);

		candidates[0] = start;
		if (tell_apart(candidates, 1, apart, &c, &ours))
			*script = *start;
		free(start);
	}
	for (unsigned size = (script->count + 7) / 8; size && time(NULL) < end;) {
		unsigned parts = (script->count + size - 1) / size, found, gone = 0;
		struct script *all;

		for (unsigned i = 0; i < parts; i++)
			candidates[i] = without(script, i * size, (i + 1) * size);
		found = tell_apart(candidates, parts, apart, &c, &ours);
		if (found > 1) {
			/* Perhaps all that can go can go together; if not, the first of them. */
			all = without(script, 0, 0);
			for (unsigned i = parts; i-- > 0;) {
				struct script *less;

				if (!apart[i])
					continue;
				less = without(all, i * size, (i + 1) * size);
				free(all);
				all = less;
			}
			candidates[parts] = all;
			if (tell_apart(candidates + parts, 1, apart + parts, &c, &ours)) {
				*script = *all;
				gone = found;
			}
			free(all);
		}
		for (unsigned i = 0; i < parts; i++) {
			if (apart[i] && !gone) {
				*script = *candidates[i];
				gone = 1;
			}
			free((void *)candidates[i]);
		}
		if (gone && script->count > 1 && size > 1)
			size = size < script->count ? size : (script->count + 1) / 2;
		else if (!gone)
			size /= 2;
		if (script->count <= 1)
			break;
	}
	candidates[0] = script;
	tell_apart(candidates, 1, apart, &c, &ours);
	printf("--- %u steps, as a file for `make fuzz-replay SCRIPT=<file>`:\n# worker %s\n", script->count, worker);
	for (unsigned i = 0; i < script->count; i++) {
		format_step(text, &script->steps[i]);
		printf("%s\n", text);
	}
	printf("--- and what is answered:\n");
	print_difference(c, ours);
	printf("--- on C:\n%s--- on ours:\n%s", last_lines(c, 40), last_lines(ours, 40));
	fflush(stdout);
	free(c);
	free(ours);
}

/* The text of the next episode, whose end becomes a zero; NULL at the end. */
static char *next_episode(char **at, unsigned *episode)
{
	char *start = *at, *end;
	unsigned worker;

	if (!start || sscanf(start, "== %u %u", &worker, episode) != 2)
		return NULL;
	end = strstr(start, "\n== ");
	*at = end ? end + 1 : NULL;
	if (end)
		*end = 0;
	return start;
}

static char *read_file(const char *path)
{
	FILE *file = fopen(path, "re");
	size_t length = 0, got;
	char *text = NULL;

	if (!file)
		fail("%s", path);
	do {
		text = realloc(text, length + (1 << 20) + 1);
		got = fread(text + length, 1, 1 << 20, file);
		length += got;
	} while (got);
	text[length] = 0;
	fclose(file);
	return text;
}

/*
 * Runs scripts several times on each set of modules. Whether the answers to one of them have nothing in common: the C modules
 * themselves do not always answer the same (after a reset, the kernel may still take a device for asleep), and what they answer
 * now and then is no difference. Prints the first that differs.
 */
static bool never_the_same(const struct script *const *scripts, unsigned count, unsigned rounds)
{
	char *texts[2][6][6];
	bool apart = false;

	for (unsigned set = 0; set < 2; set++) {
		swap(set ? "ours" : "c");
		for (unsigned round = 0; round < rounds; round++)
			for (unsigned i = 0; i < count; i++) {
				run_episode(scripts[i]);
				texts[set][round][i] = strdup(transcript->text);
			}
	}
	for (unsigned i = 0; i < count; i++) {
		bool common = false;

		for (unsigned j = 0; j < rounds * rounds; j++)
			common |= !strcmp(texts[0][j / rounds][i], texts[1][j % rounds][i]);
		if (!common && !apart && count > 1) {
			printf("only behind others:\n");
			print_difference(texts[0][0][i], texts[1][0][i]);
		}
		apart |= !common;
	}
	for (unsigned set = 0; set < 2; set++) {
		unsigned ways = 0;

		for (unsigned j = 0; j < rounds; j++) {
			bool first = true;

			for (unsigned k = 0; k < j; k++)
				first &= strcmp(texts[set][j][count - 1], texts[set][k][count - 1]) != 0;
			ways += first;
		}
		printf("  %s: %u ways to answer in %u runs\n", set ? "ours" : "c", ways, rounds);
		for (unsigned j = 0; j < rounds * count; j++)
			free(texts[set][j / count][j % count]);
	}
	return apart;
}

/* Whether an episode tells the modules apart when it is run again, by itself or behind those before it. */
static bool again(uint64_t seed, unsigned worker, unsigned episode)
{
	const struct script *scripts[6] = {};
	unsigned count = 0;
	bool apart;

	for (unsigned i = episode < 5 ? 0 : episode - 5; i <= episode; i++) {
		struct script *script = malloc(sizeof(*script));

		generate(script, seed, worker, i, episode_steps());
		scripts[count++] = script;
	}
	apart = never_the_same(scripts + count - 1, 1, 4) || never_the_same(scripts, count, 2);
	while (count)
		free((void *)scripts[--count]);
	return apart;
}

static int compare(uint64_t seed, char **workers, unsigned count)
{
	static struct script script;
	unsigned episodes = 0, differ = 0, real = 0;
	unsigned long lines = 0;
	char path[128];

	for (unsigned number = 0; number < count; number++) {
		char *c, *ours, *next_c, *next_ours, *one, *two;
		unsigned episode, other;

		snprintf(path, sizeof(path), "%s/c/%u", folder, number);
		c = next_c = read_file(path);
		snprintf(path, sizeof(path), "%s/ours/%u", folder, number);
		ours = next_ours = read_file(path);
		while ((one = next_episode(&next_c, &episode))) {
			two = next_episode(&next_ours, &other);
			episodes++;
			for (const char *at = one; (at = strchr(at, '\n')); at++)
				lines++;
			if (two && !strcmp(one, two))
				continue;
			differ++;
			printf("worker %u (%s), episode %u\n", number, workers[number], episode);
			print_difference(one, two ? two : "nothing\n");
			fflush(stdout);
			if (real > 2)
				continue;
			become_worker(workers[number]);
			/* A slow host tells them apart now and then, but not each time. */
			if (!again(seed, number, episode) || !again(seed, number, episode)) {
				printf("  not again: by chance\n");
				continue;
			}
			if (real++)
				continue;
			generate(&script, seed, number, episode, episode_steps());
			shrink(&script, workers[number], getenv("FUZZ_SHRINK") ? atoi(getenv("FUZZ_SHRINK")) : 240);
		}
		free(c);
		free(ours);
	}
	printf("%lu answers of %u episodes compared, %u episodes differ, %u of them each time\n", lines, episodes, differ, real);
	return real;
}

static void read_script(const char *path, struct script *script)
{
	FILE *file = fopen(path, "re");
	char line[512];

	if (!file)
		fail("%s", path);
	while (script->count < MAX_STEPS && fgets(line, sizeof(line), file))
		script->count += parse_step(line, &script->steps[script->count]);
	fclose(file);
}

int main(int argc, char **argv)
{
	static struct script script;
	const char *what = argc > 1 ? argv[1] : "";

	setvbuf(stdout, NULL, _IOLBF, 0);
	mkdir(folder, 0700);
	if (!strcmp(what, "run") && argc > 5)
		return run(argv[2], strtoull(argv[3], NULL, 0), strtoul(argv[4], NULL, 0), argv + 5, argc - 5);
	if (!strcmp(what, "compare") && argc > 3)
		return compare(strtoull(argv[2], NULL, 0), argv + 3, argc - 3);
	if (!strcmp(what, "script") && argc == 6) {
		char text[STEP_TEXT];

		become_worker(argv[5]);
		generate(&script, strtoull(argv[2], NULL, 0), atoi(argv[3]), atoi(argv[4]), episode_steps());
		for (unsigned i = 0; i < script.count; i++) {
			format_step(text, &script.steps[i]);
			puts(text);
		}
		return 0;
	}
	if ((!strcmp(what, "play") || !strcmp(what, "shrink")) && argc == 4) {
		read_script(argv[2], &script);
		become_worker(argv[3]);
		if (what[0] == 's') {
			shrink(&script, argv[3], 600);
			return 0;
		}
		run_episode(&script);
		fputs(transcript->text, stdout);
		return 0;
	}
	fprintf(stderr, "usage: see the source\n");
	return 2;
}

// SPDX-License-Identifier: GPL-2.0
/*
 * Random steps on a type1 container, the same on two implementations: MAP, UNMAP, DIRTY, GET_INFO by several
 * processes with and without limits, on every kind of memory, while groups join and leave, processes end, drivers of
 * emulated devices pin and the edu device does DMA.
 *
 * usage: type1_steps record|compare FILE SEED SCRIPTS STEPS	take them; keep the answers, or compare with those kept
 *        type1_steps show SEED STEPS				take one script, print steps and answers
 *        type1_steps replay SCRIPT				take those of a script, print the answers
 *        type1_steps shrink SCRIPT COMMAND			make a script short on which the answers differ; COMMAND with
 *							the argument `c` or `ours` loads these modules
 *
 * The world is in the environment: STEPS_WORLD="BDF GROUP[,GROUP...] [DEVICE GROUP]", where BDF is an edu in the first
 * group and DEVICE one of vfio_test_emulated.ko.
 *
 * A difference is written as a script to FILE.script.
 */
#include "generate.h"
#include "../proc.h"

#include <sys/prctl.h>
#include <time.h>

/* A script takes at most so many. */
#define MOST 65536

/* What the process that takes the steps of a script and the one that looks at the answers share. */
static struct shared {
	int count;		/* how many were taken */
	bool differs;		/* the last of them differs */
	bool lost;
	char text[300];		/* what came of the last one */
	uint32_t answers[MOST];
	struct step steps[MOST];
	/* By kind: taken, failed, skipped. */
	uint64_t taken[OPS], failed[OPS], skipped[OPS];
	/* In nanoseconds: the steps, looking at what is locked, scripts as a whole. */
	uint64_t time[OPS], looking, running;
} *shared;

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

/* What is locked is looked at after each step. */
static bool looks_always;

static pid_t pid_of[ACTORS];
static int status_of[ACTORS];

/* KiB that an actor has locked. */
static long locked(int who)
{
	char text[2048];
	ssize_t len = pread(status_of[who], text, sizeof(text) - 1, 0);
	char *at;

	text[len > 0 ? len : 0] = 0;
	at = strstr(text, "VmLck:");
	return at ? atol(at + 6) : -1;
}

static void begin_actor(int who, pid_t pid)
{
	char path[40];

	pid_of[who] = pid;
	sprintf(path, "/proc/%d/status", pid);
	status_of[who] = open(path, O_RDONLY | O_CLOEXEC);
}

static void spawn(const struct step *s)
{
	int who = s->a[0];
	char ready;
	pid_t pid;

	if (pipe(world->to[who]) || pipe(world->from[who]))
		fail("pipe");
	pid = fork();
	if (pid < 0)
		fail("fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(world->to[who][1]);
		close(world->from[who][0]);
		if (!s->a[1]) {
			close(DEVICE_FD);
			close(EMULATED_FD);
			forget_device();
		}
		/* What it has closed others may be waiting for. */
		if (write(world->from[who][1], "", 1) == 1)
			act(who);
		_exit(1);
	}
	close(world->to[who][0]);
	close(world->from[who][1]);
	if (read(world->from[who][0], &ready, 1) != 1)
		fail("actor %d", who);
	begin_actor(who, pid);
}

static struct answer tell(int who, const struct step *s)
{
	struct answer answer = { 0 };

	if (write(world->to[who][1], s, sizeof(*s)) != sizeof(*s))
		fail("actor %d", who);
	if (s->op != EXIT && read(world->from[who][0], &answer, sizeof(answer)) != sizeof(answer))
		fail("actor %d", who);
	return answer;
}

static void end_actor(int who)
{
	tell(who, &(struct step){ who, EXIT });
	waitpid(pid_of[who], NULL, 0);
	close(status_of[who]);
	close(world->to[who][1]);
	close(world->from[who][0]);
}

/* QEMU's edu: a buffer of its own at 0x40000, registers to copy from and to it. */
static void edu_copy(uint64_t from, uint64_t to, uint64_t command)
{
	const struct { uint64_t reg, value; } writes[] = { { 0x80, from }, { 0x88, to }, { 0x90, 8 }, { 0x98, command } };
	uint64_t value = 1;

	for (unsigned int i = 0; i < ARRAY_SIZE(writes); i++)
		if (pwrite(world->device, &writes[i].value, 8, world->bar + writes[i].reg) != 8)
			fail("edu");
	for (int i = 0; i < 4000 && value & 1; i++) {
		usleep(5000);
		if (pread(world->device, &value, 8, world->bar + 0x98) != 8)
			fail("edu");
	}
}

#define EDU_BUFFER 0x40000
#define BOUNCE_IOVA (128 * MIB)

/* Between the device's buffer and the bounce page, which is mapped for that only. */
static int edu_bounce(bool in, uint64_t *value)
{
	const struct step map = { 0, MAP, { 3, BOUNCE_IOVA, AREA(BOUNCE), PAGE, sizeof(struct vfio_iommu_type1_dma_map) } };
	const struct step unmap = { 0, UNMAP, { 0, BOUNCE_IOVA, PAGE, 0, 0, 0, sizeof(struct vfio_iommu_type1_dma_unmap) } };
	volatile uint64_t *page = (void *)AREA(BOUNCE);

	*page = *value;
	if (perform(&map).ret)
		return -1;
	if (in)
		edu_copy(BOUNCE_IOVA, EDU_BUFFER, 1);
	else
		edu_copy(EDU_BUFFER, BOUNCE_IOVA, 3);
	*value = *page;
	return perform(&unmap).ret;
}

/* The device writes to an address, what is mapped there sees it or not; the device reads it back, or what it had before. */
static struct answer dma(const struct step *s)
{
	uint64_t iova = s->a[0], seen = 0, value = s->a[1], other = ~s->a[1];
	struct map *m = map_at(iova);
	struct answer answer = { .ret = -1 };

	if (edu_bounce(true, &value))
		return answer;
	edu_copy(EDU_BUFFER, iova, 3);
	if (m && model.alive[m->who] && m->life == model.life[m->who] && !m->invalid) {
		struct iovec to = { &seen, 8 }, from = { (void *)(m->vaddr + (iova - m->iova)), 8 };

		if (process_vm_readv(pid_of[m->who], &to, 1, &from, 1, 0) != 8)
			seen = 1;
	}
	if (edu_bounce(true, &other))
		return answer;
	edu_copy(iova, EDU_BUFFER, 1);
	value = 0;
	if (edu_bounce(false, &value))
		return answer;
	return (struct answer){ .value = value, .hash = hash(&seen, 8) };
}

static struct answer take(const struct step *s)
{
	struct answer answer = { 0 };

	switch (s->op) {
	case SPAWN:
		spawn(s);
		break;
	case EXIT:
		end_actor(s->a[0]);
		break;
	case EXEC:
		answer = tell(s->a[0], s);
		break;
	case DMA:
		answer = dma(s);
		break;
	default:
		answer = s->who ? tell(s->who, s) : perform(s);
		break;
	}
	if (gets_bits(s) && !answer.ret)
		answer.hash = hash_more(dirty_hash(s->a[1], s->a[2]), &answer.hash, 4);
	model_learns(s, &answer);
	return answer;
}

static bool changes_nothing(enum op op)
{
	return op == INFO || op == EXTENSION || op == BAD_POINTER || op == NOTIFIED || op == PARAM || op == DIRTY;
}

/* Takes a step; the text of what came of it. */
static const char *take_and_say(const struct step *s)
{
	static char text[300];
	const char *skips = model_skips(s);
	struct answer answer;
	uint64_t begin, end;
	int len;

	if (skips) {
		shared->skipped[s->op]++;
		sprintf(text, "skipped: %s", skips);
		return text;
	}
	begin = now();
	answer = take(s);
	end = now();
	shared->time[s->op] += end - begin;
	shared->taken[s->op]++;
	shared->failed[s->op] += answer.ret < 0;
	len = sprintf(text, "%lld %s %llx %x", (long long)answer.ret, error_name(answer.error),
		      (unsigned long long)answer.value, answer.hash);
	if (model.lost) {
		shared->lost = true;
		len += sprintf(text + len, " NOT AS THE MODEL HAS IT");
		model.lost = false;
		printf("%s = %s\n", step_text(s), text);
		for (int i = 0; i < model.count; i++)
			printf("  %lx+%lx\n", model.maps[i].iova, model.maps[i].size);
	}
	if (changes_nothing(s->op) && !looks_always)
		return text;
	/* It takes longer than most steps, and what is wrong stays wrong. */
	for (int i = 0; i < ACTORS; i++)
		if (model.alive[i] && (looks_always || shared->count % (i == s->who ? 4 : 16) == 0))
			len += sprintf(text + len, " lck%d %ld", i, locked(i));
	shared->looking += now() - end;
	return text;
}

static void make_world(void)
{
	char bdf[64], groups[128], device[64], group[16], path[80];
	const char *text = getenv("STEPS_WORLD");
	int found, fd = memfd_create("world", 0);

	if (fd < 0 || ftruncate(fd, area_size[BITS] + PAGE))
		fail("memfd");
	/* Away from the numbers that close and open would use. */
	shared_memory(fcntl(fd, F_DUPFD, 100));
	close(fd);
	found = text ? sscanf(text, "%63s %127s %63s %15s", bdf, groups, device, group) : 0;
	if (found != 2 && found != 4)
		fail("STEPS_WORLD");
	world->emulated_group = world->device = world->emulated = -1;
	strcpy(world->name[0], bdf);
	for (char *at = strtok(groups, ","); at && world->groups < GROUPS - 1; at = strtok(NULL, ",")) {
		sprintf(path, "/dev/vfio/%s", at);
		world->group[world->groups++] = open(path, O_RDWR);
	}
	if (found == 4) {
		strcpy(world->name[1], device);
		sprintf(path, "/dev/vfio/%s", group);
		world->emulated_group = world->groups;
		world->group[world->groups++] = open(path, O_RDWR);
	}
	for (int i = 0; i < world->groups; i++)
		if (world->group[i] < 0)
			fail("group %d", i);
	world->container = open_container();
	make_memory();
	model.alive[0] = true;
	begin_actor(0, getpid());
}

/* Everything is given back, and the text says whether it is. */
static const char *end_world(void)
{
	static char text[200];
	int len = 0;

	for (int i = 1; i < ACTORS; i++)
		if (model.alive[i])
			end_actor(i);
	if (world->device >= 0)
		close_device(0);
	if (world->emulated >= 0)
		close_device(world->emulated_group);
	set_param(DMA_ENTRY_LIMIT, 65535);
	set_param(DISABLE_HUGEPAGES, 0);
	set_param(ALLOW_UNSAFE, 1);
	for (int i = 0; i < world->groups; i++)
		close(world->group[i]);
	close(world->container);
	munlock((void *)AREA(SMALL), AREA(BITS) - AREA(SMALL));
	for (int i = 0; i < 2; i++)
		munlock((void *)AREA(i), area_size[i]);
	len += sprintf(text + len, "locked %ld", locked(0));
	return text;
}

/*
 * One script in a process of its own: `count` steps from `seed`, or those in shared->steps if `given`. Compares with
 * the answers in `expected`, if any, and stops where they differ; prints to `out`, if there is one.
 */
static void run_script(uint64_t seed, bool given, int count, const uint32_t *expected, FILE *out)
{
	long before = pins_of_all(), left;
	uint64_t begin;
	const char *text;
	char line[300];
	int status;
	pid_t pid;

	shared->count = 0;
	shared->differs = false;
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		fail("fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		looks_always = given;
		make_world();
		generate_begins(seed);
		begin = now();
		for (int i = 0; i < count && !shared->differs && !shared->lost; i++) {
			struct step *s = &shared->steps[i];

			if (!given)
				generate(s);
			text = take_and_say(s);
			/* The step as well: what is generated depends on the answers. */
			shared->answers[i] = hash_more(hash(text, strlen(text)), s, sizeof(*s));
			shared->count = i + 1;
			strcpy(shared->text, text);
			shared->differs = expected && shared->answers[i] != expected[i];
			if (out)
				fprintf(out, "%s = %s\n", step_text(s), text);
		}
		shared->running += now() - begin;
		text = end_world();
		shared->answers[count] = hash(text, strlen(text));
		if (out)
			fprintf(out, "end = %s\n", text);
		fflush(NULL);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	left = pins_of_all() - before;
	sprintf(line, "status %x, pinned %ld", status, left);
	shared->answers[count] = hash_more(shared->answers[count], line, strlen(line));
	if (status || left)
		printf("seed %llu: the script ended with %s\n", (unsigned long long)seed, line);
	if (out)
		fprintf(out, "%s\n", line);
	if (expected && !shared->differs && shared->answers[count] != expected[count]) {
		printf("seed %llu: the end differs\n", (unsigned long long)seed);
		shared->differs = true;
	}
	if (expected && left)
		shared->differs = true;
}

static void write_script(const char *path, const struct step *steps, int count)
{
	FILE *f = fopen(path, "w");

	if (!f)
		fail("%s", path);
	for (int i = 0; i < count; i++)
		fprintf(f, "%s\n", step_text(&steps[i]));
	fclose(f);
}

static int read_script(const char *path)
{
	FILE *f = fopen(path, "r");
	char line[300];
	int count = 0;

	if (!f)
		fail("%s", path);
	while (count < MOST - 1 && fgets(line, sizeof(line), f))
		if (*line != '#' && step_parse(line, &shared->steps[count]))
			count++;
	fclose(f);
	return count;
}

static void report(uint64_t total, uint64_t time)
{
	printf("# %lu steps in %lu s, %lu a second; %lu s in scripts, %lu s in looking at what is locked; taken (failed, skipped, us each):",
	       total, time / 1000000000, total * 1000000000 / time, shared->running / 1000000000, shared->looking / 1000000000);
	for (int i = 0; i < OPS; i++)
		printf("%s %s %lu (%lu, %lu, %lu)", i % 4 ? "," : "\n#  ", ops[i].name, shared->taken[i], shared->failed[i],
		       shared->skipped[i], shared->taken[i] ? shared->time[i] / shared->taken[i] / 1000 : 0);
	printf("\n");
}

static int run(bool record, const char *path, uint64_t seed, int scripts, int count)
{
	size_t size = (count + 1) * sizeof(uint32_t);
	uint32_t *expected = malloc(size);
	FILE *f = fopen(path, record ? "w" : "r");
	uint64_t begin = now(), total = 0;

	if (!f || count >= MOST)
		fail("%s", path);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 0; i < scripts; i++) {
		if (!record && fread(expected, size, 1, f) != 1)
			fail("%s is too short", path);
		run_script(seed + i, false, count, record ? NULL : expected, NULL);
		total += shared->count;
		if (shared->differs || shared->count < count || shared->lost) {
			char script[200];

			snprintf(script, sizeof(script), "%s.script", path);
			write_script(script, shared->steps, shared->count);
			printf("seed %llu: step %d %s: %s = %s\n", (unsigned long long)(seed + i), shared->count,
			       shared->lost ? "is not as the model has it" : "differs",
			       step_text(&shared->steps[shared->count - 1]), shared->text);
			snprintf(script, sizeof(script), "%s.differs", path);
			f = fopen(script, "w");
			fprintf(f, "%llu %d\n", (unsigned long long)(seed + i), count);
			fclose(f);
			return 1;
		}
		if (record && fwrite(shared->answers, size, 1, f) != 1)
			fail("%s", path);
		if (scripts >= 100 && (i + 1) % (scripts / 20) == 0)
			printf("# %lu steps, %lu s\n", total, (now() - begin) / 1000000000);
	}
	fclose(f);
	report(total, now() - begin);
	return 0;
}

#include "shrink.h"

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";

	if (argc == 4 && !strcmp(what, "actor"))
		act_again(atoi(argv[2]), atoi(argv[3]));
	shared = mmap(NULL, sizeof(*shared), RW_PROT, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		fail("mmap");
	if (argc == 6 && (!strcmp(what, "record") || !strcmp(what, "compare")))
		return run(*what == 'r', argv[2], strtoull(argv[3], NULL, 0), atoi(argv[4]), atoi(argv[5]));
	if (argc == 4 && !strcmp(what, "show")) {
		run_script(strtoull(argv[2], NULL, 0), false, atoi(argv[3]), NULL, stdout);
		return 0;
	}
	if (argc == 3 && !strcmp(what, "replay")) {
		run_script(0, true, read_script(argv[2]), NULL, stdout);
		return 0;
	}
	if (argc == 4 && !strcmp(what, "shrink"))
		return shrink(argv[2], argv[3]);
	fprintf(stderr, "usage: %s record|compare FILE SEED SCRIPTS STEPS | show SEED STEPS | replay SCRIPT | shrink SCRIPT COMMAND\n", argv[0]);
	return 2;
}

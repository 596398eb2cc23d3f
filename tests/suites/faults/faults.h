/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Runs one operation again and again and has its first, second, ... allocation or copy from or to user space fail, until
 * it gets through without. What failed must have changed nothing and has to work when it is asked again.
 *
 * Failures are counted where a function of a module is on the stack (suite.sh), so what this program and the rest of the
 * kernel allocate by the way is not hit.
 */
#ifndef FAULTS_H
#define FAULTS_H

#include "../state.h"
#include "../transcript.h"

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/stat.h>

#define MIB (1ULL << 20)

/* An operation. What `run` does is under test; what it returns is negative with errno set, or for `undo` to take back. */
struct operation {
	const char *name;
	bool (*ready)(void); /* Makes what has to be there before. */
	long (*run)(void);
	void (*undo)(long result); /* Takes it all back, what `ready` made as well. */
	/* What may be answered but ENOMEM and EFAULT. */
	int also[4];
	/* What a run that succeeds leaves here is the same, failures or not. */
	void *answer;
	size_t size;
	/* Its answer is written last and what it did is not taken back for that, in C neither: EFAULT may mean done.
	 * Asked again it then has nothing to do, or says so.
	 */
	bool may_be_done;
};

static int failures; /* of the test */

/* Arms the n-th failure of this task; zero disarms. Answers how many were left to count: none if it was used. */
static inline unsigned int fail_nth(unsigned int n)
{
	static int fd = -1;
	char text[16];
	ssize_t len;

	if (fd < 0)
		fd = open("/proc/self/fail-nth", O_RDWR | O_CLOEXEC);
	len = pread(fd, text, sizeof(text) - 1, 0);
	if (fd < 0 || len < 0)
		fail("/proc/self/fail-nth");
	text[len] = 0;
	dprintf(fd, "%u", n);
	return atoi(text);
}

/* The answers that came, each once. */
struct answers {
	int list[16];
	size_t count;
};

static inline void collect(struct answers *answers, int error)
{
	for (size_t i = 0; i < answers->count; i++)
		if (answers->list[i] == error)
			return;
	if (answers->count < ARRAY_SIZE(answers->list))
		answers->list[answers->count++] = error;
}

static inline int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static inline bool sensible(const struct operation *op, int error)
{
	if (error == ENOMEM || error == EFAULT)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(op->also); i++)
		if (op->also[i] && op->also[i] == error)
			return true;
	return false;
}

#define REQUIRE(condition, ...) ({ \
	bool ok_ = (condition); \
	if (!ok_) { \
		printf("# %s, failure %u: ", op->name, n); \
		printf(__VA_ARGS__); \
		printf("\n"); \
		good = false; \
	} \
	ok_; })

/* What it was like before, and when all was made ready. */
struct before {
	struct state start, ready;
};

/* One run with the n-th failure. Answers whether it was there; `error` is what came of it. The first run, without a failure,
 * finds what it was like before; each later one has left it so, or the operation ends there.
 */
static inline bool once(const struct operation *op, unsigned int n, struct before *before, int *error, bool *fine)
{
	void *expected = NULL;
	bool good = true, used;
	long result;

	if (!n)
		before->start = look();
	if (op->ready && !op->ready())
		fail("%s: not ready", op->name);
	if (!n)
		before->ready = op->ready ? look() : before->start;
	if (op->answer && n > 1) {
		expected = malloc(op->size);
		memcpy(expected, op->answer, op->size);
		memset(op->answer, 0, op->size);
	}
	fail_nth(n);
	errno = 0;
	result = op->run();
	*error = result < 0 ? errno : 0;
	used = !fail_nth(0) && n;
	if (result < 0) {
		REQUIRE(used, "refused without a failure: %s", strerror(*error));
		REQUIRE(sensible(op, *error), "answers %s", error_name(*error));
		if (op->may_be_done && *error == EFAULT) {
			op->run();
			result = 0;
		} else {
			REQUIRE(same(&before->ready, "changed by what failed"), "left something");
			result = op->run();
			REQUIRE(result >= 0, "does not work afterwards: %s", error_name(errno));
		}
	}
	if (expected && result >= 0)
		REQUIRE(!memcmp(expected, op->answer, op->size), "answers something else");
	if (expected)
		memcpy(op->answer, expected, op->size);
	free(expected);
	if (op->undo)
		op->undo(result);
	REQUIRE(same(&before->start, "changed in the end"), "left something");
	*fine &= good;
	return used;
}

/* One result of the suite. */
static inline void operation(const struct operation *op)
{
	unsigned int most = getenv("FAULTS_MOST") ? atoi(getenv("FAULTS_MOST")) : 4000, n = 0;
	unsigned int failed = 0, survived = 0;
	struct answers answers = {};
	struct before before;
	bool good = true, used;
	static int number;
	int error;

	/* Once without, so that what is made only once is there. */
	fail_nth(0);
	if (op->answer)
		memset(op->answer, 0, op->size);
	once(op, 0, &before, &error, &good);
	do {
		used = once(op, ++n, &before, &error, &good);
		if (!used)
			break;
		error ? failed++ : survived++;
		if (error)
			collect(&answers, error);
	} while (good && n < most);
	REQUIRE(!used, "did not come to an end");
	qsort(answers.list, answers.count, sizeof(answers.list[0]), by_number);
	printf("# %s: %u failures:", op->name, n - 1);
	for (size_t i = 0; i < answers.count; i++)
		printf(" %s", error_name(answers.list[i]));
	printf("; %u of %u got through\n", survived, failed + survived);
	printf("%s %d %s\n", good ? "ok" : "not ok", ++number, op->name);
	fflush(stdout);
	failures += !good;
}

#define OPERATION(text, ...) operation(&(struct operation){ .name = text, __VA_ARGS__ })

#endif

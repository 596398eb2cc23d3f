/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What programs share whose answers are compared with those of the C modules: one line for each call, which holds
 * only what is the same on every run.
 */
#ifndef TRANSCRIPT_H
#define TRANSCRIPT_H

#include "vfio_user.h"

#include <sys/syscall.h>
#include <sys/wait.h>
#include <linux/capability.h>

/* One line: what was asked, what it returned (1 stands for any file descriptor), the errno. */
static inline long say(long ret, const char *format, ...)
{
	int error = ret < 0 ? errno : 0;
	va_list args;

	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf(" = %ld %s\n", ret, error_name(error));
	return ret;
}

#define ASK(call, ...) ({ errno = 0; say((call), __VA_ARGS__); })
/* Asked twice: a refusal must leave no change. */
#define TWICE(call, ...) ({ ASK(call, __VA_ARGS__); ASK(call, __VA_ARGS__); })
#define FD(call) ({ int fd_ = (call); if (fd_ >= 0) close(fd_); fd_ < 0 ? -1 : 1; })

static inline void heading(const char *text)
{
	printf("# %s\n", text);
}

static inline void hex(const char *label, const void *data, size_t size)
{
	const uint8_t *bytes = data;

	printf("%s:", label);
	for (size_t i = 0; i < size; i++)
		printf("%s%02x", i % 4 ? "" : " ", bytes[i]);
	printf("\n");
}

static uint32_t seed = 1;

static inline uint32_t rnd(uint32_t limit)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return limit ? seed % limit : seed;
}

#define PICK(array) ((array)[rnd(ARRAY_SIZE(array))])

/* No memory is mapped there; the compiler must not know. */
static void *volatile BAD __attribute__((unused)) = (void *)8;

static inline void *memory(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		fail("mmap");
	return p;
}

/* Without CAP_IPC_LOCK and the like, as an ordinary user has it. */
static inline void drop_capabilities(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {};

	if (syscall(SYS_capset, &head, data))
		fail("capset");
}

/* Runs a part in a process of its own, so that what it drops or breaks stays there. */
static inline void apart(void (*part)(void))
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		fail("fork");
	if (!pid) {
		part();
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	if (status)
		printf("part ended with status %x\n", status);
}

#endif

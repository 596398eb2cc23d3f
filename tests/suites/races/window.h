/* SPDX-License-Identifier: GPL-2.0 */
/* A page that nobody gets past until it is opened, and who waits. */
#ifndef WINDOW_H
#define WINDOW_H

#include "../proc.h"
#include "../vfio_user.h"

#include <dirent.h>
#include <poll.h>
#include <sys/syscall.h>
#include <linux/userfaultfd.h>

/* Seconds that something may take which has to happen. */
#define SECONDS 10

struct window {
	int uffd;
	char *page;
};

static inline struct window window_new(void)
{
	struct window w = { .uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK) };
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg;

	w.page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	reg = (struct uffdio_register){ .range = { (uint64_t)w.page, PAGE }, .mode = UFFDIO_REGISTER_MODE_MISSING };
	if (w.uffd < 0 && errno == ENOSYS)
		exit(4);
	if (w.uffd < 0 || w.page == MAP_FAILED || ioctl(w.uffd, UFFDIO_API, &api) || ioctl(w.uffd, UFFDIO_REGISTER, &reg))
		fail("userfaultfd");
	return w;
}

/* Whether somebody got there. */
static inline bool window_hit(struct window *w)
{
	struct pollfd p = { .fd = w->uffd, .events = POLLIN };
	struct uffd_msg msg;

	return poll(&p, 1, SECONDS * 1000) == 1 && read(w->uffd, &msg, sizeof(msg)) == sizeof(msg);
}

static inline void window_open(struct window *w, const void *data, size_t size)
{
	static char content[PAGE] __attribute__((aligned(4096)));
	struct uffdio_copy copy = { .dst = (uint64_t)w->page, .src = (uint64_t)content, .len = PAGE };

	memset(content, 0, PAGE);
	memcpy(content, data, size);
	if (ioctl(w->uffd, UFFDIO_COPY, &copy))
		fail("UFFDIO_COPY");
}

static inline void window_free(struct window *w)
{
	close(w->uffd);
	munmap(w->page, PAGE);
}

/* Whether a thread comes to wait in that ioctl. */
static inline bool waits_in(unsigned long cmd)
{
	char path[300], text[200], wanted[40];
	bool found = false;

	snprintf(wanted, sizeof(wanted), " 0x%lx ", cmd);
	for (int i = 0; i < SECONDS * 100 && !found; i++, usleep(10000)) {
		DIR *tasks = opendir("/proc/self/task");

		for (struct dirent *entry; tasks && !found && (entry = readdir(tasks));) {
			FILE *f;

			snprintf(path, sizeof(path), "/proc/self/task/%s/syscall", entry->d_name);
			f = fopen(path, "r");
			found = f && fgets(text, sizeof(text), f) && strstr(text, wanted);
			if (f)
				fclose(f);
		}
		if (tasks)
			closedir(tasks);
	}
	return found;
}

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Steps on processes and on the presence of the device: signals that interrupt calls, processes that hold on to everything
 * and are killed, drivers unbound, devices removed.
 */
#ifndef FUZZ_LIVES_H
#define FUZZ_LIVES_H

#include "nodes.h"

/* --- signals ------------------------------------------------------------------------------------------------------ */

static timer_t ticker;
static bool has_ticker;
static unsigned ticking; /* microseconds from one signal to the next */

static void tick(unsigned microseconds)
{
	struct itimerspec spec = { .it_value = { 0, microseconds * 1000 }, .it_interval = { 0, microseconds * 1000 } };

	if (has_ticker)
		timer_settime(ticker, 0, &spec, NULL);
}

static void ticked(int number)
{
	(void)number;
}

/*
 * From here on a signal arrives now and then, which any call that waits has to take up again: no answer is another one for it.
 */
static void x_tick(const uint64_t *a)
{
	struct sigaction act = { .sa_handler = ticked, .sa_flags = SA_RESTART };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };

	if (!has_ticker) {
		sigaction(SIGUSR1, &act, NULL);
		has_ticker = !timer_create(CLOCK_MONOTONIC, &event, &ticker);
	}
	ticking = a[0] % 1000000;
	tick(ticking);
}

/* A child has no timer; and a fork that is interrupted begins anew, perhaps for ever. */
static pid_t fork_quietly(void)
{
	pid_t pid;

	tick(0);
	pid = fork();
	if (pid < 0)
		fail("fork");
	if (!pid)
		has_ticker = false;
	tick(ticking);
	return pid;
}

/* --- processes ---------------------------------------------------------------------------------------------------- */

#define LINGERING 2

static pid_t lingering[LINGERING];

static void x_die(const uint64_t *a)
{
	(void)a;
	raise(SIGKILL);
}

/* A process that has inherited all descriptors and mappings, and does nothing until it is killed. */
static void x_linger(const uint64_t *a)
{
	unsigned i = a[0] % LINGERING;

	if (lingering[i])
		return note(" there");
	lingering[i] = fork_quietly();
	while (!lingering[i])
		pause();
	note(" lingers");
}

static void x_kill(const uint64_t *a)
{
	static const int signals[] = { SIGKILL, SIGTERM, SIGHUP };
	unsigned i = a[0] % LINGERING;
	int status = 0;

	if (!lingering[i])
		return note(" none");
	kill(lingering[i], signals[a[1] % ARRAY_SIZE(signals)]);
	waitpid(lingering[i], &status, 0);
	lingering[i] = 0;
	note(" %x", status);
}

/* --- the device is taken away ------------------------------------------------------------------------------------- */

/*
 * 0 when the process has ended, 1 when it waits, 2 when it does neither for too long. That it waits is seen twice, with more than
 * a tick of the kernel between: what is closed a little later is closed by then.
 */
static int ended_or_waits(pid_t pid)
{
	char path[64], text[512], *at;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	for (int still = 0, i = 0; i < 20000; i++) {
		int fd, status;
		ssize_t len;

		if (waitpid(pid, &status, WNOHANG))
			return 0;
		fd = open(path, O_RDONLY | O_CLOEXEC);
		len = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
		if (fd >= 0)
			close(fd);
		text[len > 0 ? len : 0] = 0;
		at = strrchr(text, ')');
		still = at && at[2] == 'S' ? still + 1 : 0;
		if (still == 2)
			return 1;
		rest(still ? 5000 : 1000);
	}
	return 2;
}

/* Another process asks for it, as that waits for the last user. */
static void leave(const char *path, const char *text)
{
	int fd;

	if (leaving)
		return note(" one at a time");
	leaving = fork_quietly();
	if (!leaving) {
		close_range(3, ~0U, 0);
		for (unsigned i = 0; i < MAPS; i++)
			munmap((uint8_t *)0x300000000000 + i * 0x40000000UL, 0x40000000UL);
		fd = open(path, O_WRONLY);
		_exit(write(fd, text, strlen(text)) < 0);
	}
	note(" asked");
}

static void x_unbind(const uint64_t *a)
{
	leave("/sys/bus/pci/drivers/vfio-pci/unbind", targets[a[0] % target_count].bdf);
}

/* The device is unplugged, as far as the kernel knows. */
static void x_remove(const uint64_t *a)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%.15s/remove", targets[a[0] % target_count].bdf);
	leave(path, "1");
}

/*
 * Each step may be what the leaving waits for. After one that lets go of nothing, as it should, it is only looked at, which takes
 * less time than to wait until it waits again.
 */
static void follow_leaving(bool lets_go)
{
	int state;

	if (!leaving)
		return;
	state = lets_go ? ended_or_waits(leaving) : !waitpid(leaving, NULL, WNOHANG);
	if (state == 2)
		note(" leaving hangs");
	if (state == 0)
		note(" gone");
	if (state == 1)
		return;
	leaving = 0;
	/* How often the user was asked for the device. */
	take_events(false);
}

#endif

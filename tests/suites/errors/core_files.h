/* SPDX-License-Identifier: GPL-2.0 */
/* vfio_core_errors: calls that each file has to answer, whatever it is the file of. */
#ifndef CORE_FILES_H
#define CORE_FILES_H

#include <poll.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>

static void file_operations(int fd, const char *what)
{
	char buf[8] = {};
	struct iovec iov = { buf, 4 };
	struct pollfd poll_ = { .fd = fd, .events = POLLIN | POLLOUT | POLLPRI };
	struct epoll_event event = { .events = EPOLLIN };
	struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
	int ends[2], epoll = epoll_create1(0), file = memfd_create("file", 0);
	struct stat st;
	struct statfs fs;
	loff_t at = 0;
	void *p;

	printf("# %s\n", what);
	if (pipe(ends) || write(ends[1], "abcdefgh", 8) != 8 || write(file, "abcdefgh", 8) != 8)
		fail("pipe");
	TWICE(read(fd, BAD, 4), "read into nowhere");
	TWICE(write(fd, BAD, 4), "write from nowhere");
	TWICE(read(fd, buf, 0), "read nothing");
	TWICE(write(fd, buf, 0), "write nothing");
	TWICE(pread(fd, buf, 4, -1), "pread at -1");
	TWICE(pread(fd, buf, 4, INT64_MAX - 3), "pread at the end of the world");
	TWICE(pread(fd, buf, 4, 7ULL << 40), "pread");
	TWICE(preadv(fd, &iov, 1, 7ULL << 40), "preadv");
	TWICE(pwritev2(fd, &iov, 1, 100ULL << 40, RWF_DSYNC), "pwritev2");
	TWICE(preadv2(fd, &iov, 1, 7ULL << 40, RWF_NOWAIT), "preadv2 NOWAIT");
	TWICE(splice(fd, NULL, ends[1], NULL, 4, SPLICE_F_NONBLOCK), "splice from");
	TWICE(splice(ends[0], NULL, fd, NULL, 4, SPLICE_F_NONBLOCK), "splice to");
	TWICE(sendfile(ends[1], fd, NULL, 4), "sendfile from");
	TWICE(copy_file_range(file, &at, fd, NULL, 4, 0), "copy_file_range to");
	for (int prot = 0; prot < 4; prot++) {
		p = mmap(NULL, PAGE, prot, MAP_SHARED, fd, 60ULL << 40);
		say(p == MAP_FAILED ? -1 : 0, "mmap prot %d", prot);
	}
	p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 60ULL << 40);
	say(p == MAP_FAILED ? -1 : 0, "mmap private");
	for (int whence = 0; whence < 5; whence++)
		ASK(lseek(fd, 16, whence), "lseek %d", whence);
	poll_.revents = 0;
	ASK(poll(&poll_, 1, 0), "poll");
	printf("revents %x\n", poll_.revents);
	TWICE(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
	TWICE(fsync(fd), "fsync");
	TWICE(fdatasync(fd), "fdatasync");
	TWICE(sync_file_range(fd, 0, 1, 0), "sync_file_range");
	TWICE(posix_fadvise(fd, 0, 1, POSIX_FADV_WILLNEED) ? -1 : 0, "fadvise");
	TWICE(ftruncate(fd, 0), "ftruncate");
	TWICE(fallocate(fd, 0, 0, 1), "fallocate");
	TWICE(flock(fd, LOCK_EX | LOCK_NB), "flock");
	TWICE(flock(fd, LOCK_UN), "flock off");
	TWICE(fcntl(fd, F_GETLK, &lock), "GETLK");
	TWICE(fcntl(fd, F_GETFL) & ~O_LARGEFILE, "GETFL");
	TWICE(fcntl(fd, F_GETFD), "GETFD");
	TWICE(fcntl(fd, F_SETFL, O_NONBLOCK | O_APPEND), "SETFL NONBLOCK APPEND");
	TWICE(fcntl(fd, F_SETFL, O_ASYNC), "SETFL ASYNC");
	TWICE(fcntl(fd, F_SETFL, O_DIRECT), "SETFL DIRECT");
	ASK(fcntl(fd, F_GETFL) & ~O_LARGEFILE, "GETFL");
	ASK(fcntl(fd, F_SETFL, 0), "SETFL 0");
	TWICE(fcntl(fd, F_SETLEASE, F_RDLCK), "SETLEASE");
	TWICE(fcntl(fd, F_GETPIPE_SZ), "GETPIPE_SZ");
	TWICE(fcntl(fd, F_GET_SEALS), "GET_SEALS");
	TWICE(fcntl(fd, F_SETOWN, getpid()), "SETOWN");
	TWICE(ioctl(fd, FIONREAD, buf), "FIONREAD");
	TWICE(ioctl(fd, FIONBIO, BAD), "FIONBIO");
	TWICE(ioctl(fd, _IO('f', 1), buf), "GETFLAGS");
	TWICE(ioctl(fd, _IO(0, 2), buf), "FIGETBSZ of old");
	TWICE(ioctl(fd, 0x5401, buf), "TCGETS");
	TWICE(fchdir(fd), "fchdir");
	TWICE(syscall(SYS_getdents64, fd, buf, 8), "getdents");
	ASK(fstat(fd, &st), "fstat");
	printf("mode %o size %lld links %lu\n", st.st_mode, (long long)st.st_size, (unsigned long)st.st_nlink);
	ASK(fstatfs(fd, &fs), "fstatfs");
	printf("type %lx\n", (long)fs.f_type);
	close(ends[0]);
	close(ends[1]);
	close(epoll);
	close(file);
}

/* Any number, of any group, with any size in it. */
static void strange_ioctls(int fd)
{
	static const int known[] = { 0, 1, 2, 6, 11 };
	char *zero = memory(PAGE);

	for (unsigned int nr = 0; nr < 64; nr++) {
		bool skip = false;

		for (unsigned int i = 0; i < ARRAY_SIZE(known); i++)
			skip |= nr == (unsigned int)known[i];
		if (skip)
			continue;
		TWICE(FD(ioctl(fd, _IO(VFIO_TYPE, VFIO_BASE + nr), zero)), "ioctl %u with zeroes", nr);
		TWICE(FD(ioctl(fd, _IO(VFIO_TYPE, VFIO_BASE + nr), NULL)), "ioctl %u with null", nr);
		TWICE(FD(ioctl(fd, _IO(VFIO_TYPE, VFIO_BASE + nr), ~0UL << 47)), "ioctl %u with a kernel's address", nr);
		memset(zero, 0, PAGE);
	}
	for (unsigned int nr = 0; nr < 24; nr++) {
		TWICE(ioctl(fd, _IOR(VFIO_TYPE, VFIO_BASE + nr, int), zero), "ioctl %u with _IOR", nr);
		TWICE(ioctl(fd, _IOWR(VFIO_TYPE, VFIO_BASE + nr, int), zero), "ioctl %u with _IOWR", nr);
		TWICE(ioctl(fd, _IO(VFIO_TYPE + 1, VFIO_BASE + nr), zero), "ioctl %u of another type", nr);
	}
	for (unsigned int nr = 0; nr < 100; nr += 9)
		TWICE(ioctl(fd, _IO(VFIO_TYPE, nr), zero), "ioctl number %u", nr);
	TWICE(ioctl(fd, 0), "ioctl 0");
	TWICE(ioctl(fd, -1), "ioctl -1");
	munmap(zero, PAGE);
}

#endif /* CORE_FILES_H */

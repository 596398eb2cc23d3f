/* SPDX-License-Identifier: GPL-2.0 */
/* vfio_mdev: migration of a serial port: its states, and its data. */
#ifndef MDEV_MIGRATION_H
#define MDEV_MIGRATION_H

/* --- migration: states ------------------------------------------------------------------------------------------ */

enum { STATES = VFIO_DEVICE_STATE_PRE_COPY_P2P + 1 };

static const char *const state_names[STATES + 1] = {
	"ERROR", "STOP", "RUNNING", "STOP_COPY", "RESUMING", "RUNNING_P2P", "PRE_COPY", "PRE_COPY_P2P", "8",
};

struct feature_state {
	struct vfio_device_feature head;
	struct vfio_device_feature_mig_state state;
};

static int state_of(int device)
{
	struct feature_state f = { { sizeof(f), VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE | VFIO_DEVICE_FEATURE_GET } };

	if (ioctl(device, VFIO_DEVICE_FEATURE, &f))
		fail("getting the state");
	CHECK(f.state.data_fd == -1, "a descriptor of %d with the state", f.state.data_fd);
	return f.state.device_state;
}

/* 0 or -errno; *fd is the file with the data, if there is one. */
static int set_state(int device, uint32_t state, int *fd)
{
	struct feature_state f = {
		{ sizeof(f), VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE | VFIO_DEVICE_FEATURE_SET },
		{ .device_state = state, .data_fd = 12345 },
	};
	int ret = ioctl(device, VFIO_DEVICE_FEATURE, &f) ? -errno : 0;

	*fd = f.state.data_fd;
	CHECK(f.state.device_state == state, "the state in the call is now %u", f.state.device_state);
	CHECK(!ret || f.state.data_fd == -1, "a descriptor of %d with an error", f.state.data_fd);
	return ret;
}

static void must(int device, uint32_t state, int *fd)
{
	int ret = set_state(device, state, fd);

	CHECK(!ret, "going to %s: %s", state_names[state], error_name(-ret));
}

static void describe(int fd)
{
	char link[64], target[64] = {};

	if (fd < 0) {
		printf(", no data");
		return;
	}
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (readlink(link, target, sizeof(target) - 1) < 0)
		printf("FAILED: no descriptor");
	printf(", data in %s, access %x, close on exec %d", target, fcntl(fd, F_GETFL) & O_ACCMODE,
	       fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

#define PORT_BYTES 4096

/* All that can be read of a device's data now. */
static ssize_t drain(int fd, uint8_t *data)
{
	ssize_t size = 0, got;

	/* In odd pieces. */
	while ((got = read(fd, data + size, 7)) > 0)
		size += got;
	return got < 0 ? -errno : size;
}

static void arcs_from(uint32_t from, const uint8_t *data, ssize_t size)
{
	for (uint32_t to = 0; to <= STATES; to++) {
		uint8_t bytes[PORT_BYTES];
		int before = -1, fd = -1, ret;

		CHECK(!ioctl(u.device, VFIO_DEVICE_RESET), "reset");
		CHECK(state_of(u.device) == VFIO_DEVICE_STATE_RUNNING, "state after reset");
		ret = set_state(u.device, from, &before);
		printf("to %s = %s", state_names[from], error_name(-ret));
		describe(before);
		if (size && before >= 0)
			CHECK(write(before, data, size) == size, "resuming with %zd bytes", size);
		ret = set_state(u.device, to, &fd);
		printf("; on to %s = %s", state_names[to], error_name(-ret));
		describe(fd);
		printf("; now %s\n", state_names[state_of(u.device)]);
		if (before >= 0) {
			ASK(read(before, bytes, sizeof(bytes)), "  read the first data");
			ASK(write(before, data, 1), "  write the first data");
		}
		if (fd >= 0) {
			ASK(read(fd, bytes, sizeof(bytes)), "  read the data");
			ASK(read(fd, bytes, sizeof(bytes)), "  read more");
			ASK(write(fd, data, 1), "  write the data");
			ASK(lseek(fd, 0, SEEK_SET), "  seek");
			ASK(pread(fd, bytes, 1, 0), "  pread");
		}
		ret = set_state(u.device, to, &ret);
		printf("  once more = %s; now %s\n", error_name(-ret), state_names[state_of(u.device)]);
		close(before);
		close(fd);
	}
}

static void arcs(void)
{
	static const uint32_t odd[] = { 9, 100, INT32_MAX, 0x80000000, UINT32_MAX };
	uint8_t data[PORT_BYTES];
	struct feature_state f = {};
	struct vfio_device_feature_mig_state *shut;
	struct rlimit few, many;
	ssize_t size;
	int fd;

	u = make("mtty-2", 1);
	printf("at first %s\n", state_names[state_of(u.device)]);
	must(u.device, VFIO_DEVICE_STATE_STOP_COPY, &fd);
	size = drain(fd, data);
	printf("%zd bytes\n", size);
	close(fd);
	for (uint32_t from = 0; from < STATES; from++)
		arcs_from(from, data, 0);
	heading("with data to resume from");
	arcs_from(VFIO_DEVICE_STATE_RESUMING, data, size);
	heading("with half of it");
	arcs_from(VFIO_DEVICE_STATE_RESUMING, data, size / 2);
	heading("with more than half");
	arcs_from(VFIO_DEVICE_STATE_RESUMING, data, size - 1);

	heading("states that are none");
	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		int ret = set_state(u.device, odd[i], &fd);

		printf("to %x = %s; now %s\n", odd[i], error_name(-ret), state_names[state_of(u.device)]);
	}

	heading("the answer cannot be written");
	ASK(ioctl(u.device, VFIO_DEVICE_RESET), "reset");
	shut = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	shut = (void *)shut + PAGE - sizeof(f.head);
	f.head = (struct vfio_device_feature){ sizeof(f), VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE | VFIO_DEVICE_FEATURE_SET };
	f.state.device_state = VFIO_DEVICE_STATE_STOP_COPY;
	memcpy(shut, &f, sizeof(f));
	mprotect((void *)(((uintptr_t)shut + PAGE) & -PAGE), PAGE, PROT_READ);
	fd = dup(0);
	close(fd);
	ASK(ioctl(u.device, VFIO_DEVICE_FEATURE, shut), "to STOP_COPY");
	printf("now %s\n", state_names[state_of(u.device)]);
	CHECK(dup(0) == fd, "a descriptor is left");
	close(fd);

	heading("no descriptor is left");
	ASK(ioctl(u.device, VFIO_DEVICE_RESET), "reset");
	getrlimit(RLIMIT_NOFILE, &many);
	few = (struct rlimit){ fd, many.rlim_max };
	setrlimit(RLIMIT_NOFILE, &few);
	f.state.data_fd = 7;
	ASK(ioctl(u.device, VFIO_DEVICE_FEATURE, &f), "to STOP_COPY");
	printf("now %s\n", state_names[state_of(u.device)]);
	setrlimit(RLIMIT_NOFILE, &many);
	ASK(ioctl(u.device, VFIO_DEVICE_RESET), "reset");

	heading("closed in each state");
	for (uint32_t from = 0; from < STATES; from++) {
		set_state(u.device, from, &fd);
		close_all(&u);
		if (fd >= 0) {
			ASK(read(fd, data, 8), "read the data of %s after close", state_names[from]);
			ASK(write(fd, data, 8), "write it");
			close(fd);
		}
		u = open_all(uuid(1), VFIO_TYPE1v2_IOMMU);
		printf("%s, opened again: %s\n", state_names[from], state_names[state_of(u.device)]);
		ASK(ioctl(u.device, VFIO_DEVICE_RESET), "reset");
	}
	unmake(&u, 1);
}

/* --- migration: data ------------------------------------------------------------------------------------------- */

static void precopy_info(int fd, uint32_t argsz, const char *when)
{
	struct vfio_precopy_info info = { .argsz = argsz, .flags = 0xdeadbeec, .initial_bytes = 1, .dirty_bytes = 2 };
	long ret = ioctl(fd, VFIO_MIG_GET_PRECOPY_INFO, &info);

	say(ret, "precopy info %u %s: flags %x, %llu and %llu bytes", argsz, when, info.flags, info.initial_bytes,
	    info.dirty_bytes);
}

static void data_size(int device)
{
	struct {
		struct vfio_device_feature head;
		struct vfio_device_feature_mig_data_size size;
	} f = { { sizeof(f), VFIO_DEVICE_FEATURE_MIG_DATA_SIZE | VFIO_DEVICE_FEATURE_GET }, { 77 } };
	long ret = ioctl(device, VFIO_DEVICE_FEATURE, &f);

	say(ret, "data size %llu", f.size.stop_copy_length);
}

/* What the receiver has to look like afterwards. */
static void fill(int device, int salt)
{
	u.device = device;
	for (int index = 0; index < 2; index++) {
		port = offset_of(device, index);
		put(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR);
		put(UART_SCR, salt + index);
		put(UART_IER, UART_IER_RDI);
		put(UART_LCR, UART_LCR_WLEN7);
		put(UART_MCR, UART_MCR_RTS);
		for (int i = 0; i < 5 + index; i++)
			put(UART_TX, salt * 3 + i);
	}
}

static void compare(int device, int salt)
{
	u.device = device;
	for (int index = 0; index < 2; index++) {
		port = offset_of(device, index);
		registers("the copy");
		CHECK(get(UART_SCR) == salt + index, "scratch register is %02x", get(UART_SCR));
		CHECK(get(UART_LCR) == UART_LCR_WLEN7 && get(UART_MCR) == UART_MCR_RTS, "line or modem control");
		for (int i = 0; i < 5 + index; i++) {
			uint8_t byte = get(UART_RX);

			CHECK(byte == (uint8_t)(salt * 3 + i), "character %d is %02x", i, byte);
		}
		CHECK(!(get(UART_LSR) & UART_LSR_DR), "more characters");
	}
}

/* One device's state goes to another, after what the device gave before it was stopped. */
static void transfer(int from, int to, int out, const uint8_t *before, ssize_t already, const char *how)
{
	uint8_t data[PORT_BYTES];
	ssize_t size;
	int in;

	memcpy(data, before, already);
	size = drain(out, data + already);
	printf("%s: %zd and %zd bytes\n", how, already, size);
	CHECK(size > 0, "no data");
	ASK(read(out, data + already + size, 8), "read on at the end");
	must(from, VFIO_DEVICE_STATE_STOP, &in);
	ASK(read(out, data + already + size, 8), "read when STOP_COPY is over");
	must(to, VFIO_DEVICE_STATE_RESUMING, &in);
	size += already;
	for (ssize_t done = 0; done < size; done += 11)
		CHECK(write(in, data + done, size - done < 11 ? size - done : 11) > 0, "writing at %zd", done);
	ASK(write(in, data, 1), "write more than there is");
	must(to, VFIO_DEVICE_STATE_RUNNING, &in);
	printf("the receiver is in %s\n", state_names[state_of(to)]);
}

static void set_precopy_info_v2(int device)
{
	struct vfio_device_feature f = { sizeof(f), VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2 | VFIO_DEVICE_FEATURE_SET };

	ASK(ioctl(device, VFIO_DEVICE_FEATURE, &f), "PRECOPY_INFOv2");
}

static void streams(void)
{
	struct vfio_user source = make("mtty-2", 1), target = make("mtty-2", 2);
	uint8_t data[PORT_BYTES], header[PORT_BYTES];
	struct pollfd poll_out;
	ssize_t early;
	int out, in, again;

	data_size(source.device);
	heading("STOP_COPY");
	fill(source.device, 0x21);
	must(source.device, VFIO_DEVICE_STATE_STOP_COPY, &out);
	data_size(source.device);
	poll_out = (struct pollfd){ .fd = out, .events = POLLIN | POLLOUT };
	ASK(poll(&poll_out, 1, 0), "poll: %x", poll_out.revents);
	precopy_info(out, sizeof(struct vfio_precopy_info), "in STOP_COPY");
	ASK(ioctl(out, _IO(';', 200), 0), "an ioctl that is none");
	transfer(source.device, target.device, out, NULL, 0, "STOP_COPY");
	close(out);
	compare(target.device, 0x21);

	for (int p2p = 0; p2p < 2; p2p++) {
		heading(p2p ? "PRE_COPY with P2P" : "PRE_COPY");
		must(source.device, VFIO_DEVICE_STATE_RUNNING, &out);
		fill(source.device, 0x42 + p2p);
		if (p2p)
			must(source.device, VFIO_DEVICE_STATE_RUNNING_P2P, &in);
		must(source.device, p2p ? VFIO_DEVICE_STATE_PRE_COPY_P2P : VFIO_DEVICE_STATE_PRE_COPY, &out);
		data_size(source.device);
		for (uint32_t argsz = 0; argsz <= sizeof(struct vfio_precopy_info) + 8; argsz += 4)
			precopy_info(out, argsz, "at first");
		ASK(ioctl(out, VFIO_MIG_GET_PRECOPY_INFO, BAD), "precopy info to nowhere");
		ASK(read(out, header, 3), "read a bit");
		precopy_info(out, sizeof(struct vfio_precopy_info), "after 3 bytes");
		must(source.device, p2p ? VFIO_DEVICE_STATE_PRE_COPY : VFIO_DEVICE_STATE_PRE_COPY_P2P, &again);
		describe(again);
		printf("\n");
		early = drain(out, header + 3);
		printf("%zd bytes early\n", early);
		precopy_info(out, sizeof(struct vfio_precopy_info), "after all");
		/* The device goes on meanwhile. */
		fill(source.device, 0x62 + p2p);
		must(source.device, VFIO_DEVICE_STATE_STOP_COPY, &again);
		describe(again);
		printf("\n");
		precopy_info(out, sizeof(struct vfio_precopy_info), "in STOP_COPY");
		transfer(source.device, target.device, out, header, early + 3, "PRE_COPY");
		precopy_info(out, sizeof(struct vfio_precopy_info), "in STOP");
		close(out);
		compare(target.device, 0x62 + p2p);
	}

	heading("PRE_COPY that is given up");
	must(source.device, VFIO_DEVICE_STATE_PRE_COPY, &out);
	must(source.device, VFIO_DEVICE_STATE_RUNNING, &in);
	precopy_info(out, sizeof(struct vfio_precopy_info), "when RUNNING");
	ASK(read(out, data, 8), "read when RUNNING");
	must(source.device, VFIO_DEVICE_STATE_PRE_COPY, &again);
	precopy_info(out, sizeof(struct vfio_precopy_info), "of the old one");
	ASK(read(out, data, 8), "read the old one");
	precopy_info(again, sizeof(struct vfio_precopy_info), "of the new one");
	ASK(read(again, data, 8), "read the new one");
	ASK(ioctl(source.device, VFIO_DEVICE_RESET), "reset");
	ASK(read(again, data, 8), "read it after reset");
	close(out);
	close(again);

	heading("version 2 of the information");
	set_precopy_info_v2(source.device);
	must(source.device, VFIO_DEVICE_STATE_PRE_COPY, &out);
	precopy_info(out, sizeof(struct vfio_precopy_info), "version 2");
	close(out);
	close_all(&source);
	source = open_all(uuid(1), VFIO_TYPE1v2_IOMMU);
	printf("opened again: %s\n", state_names[state_of(source.device)]);
	ASK(ioctl(source.device, VFIO_DEVICE_RESET), "reset");
	must(source.device, VFIO_DEVICE_STATE_PRE_COPY, &out);
	precopy_info(out, sizeof(struct vfio_precopy_info), "version 1 after close");

	heading("data that is wrong");
	must(target.device, VFIO_DEVICE_STATE_RESUMING, &in);
	memset(data, 0, sizeof(data));
	ASK(write(in, data, sizeof(data)), "write much");
	ASK(write(in, data, 64), "write nonsense");
	ASK(write(in, BAD, 8), "write from nowhere");
	ASK(set_state(target.device, VFIO_DEVICE_STATE_RUNNING, &again) ? -1 : 0, "run on that");
	ASK(ioctl(target.device, VFIO_DEVICE_RESET), "reset");
	close(in);

	heading("the data outlives the device");
	close_all(&source);
	ASK(read(out, data, 8), "read after close");
	CHECK(!remove_mdev(uuid(1)), "removing the source");
	ASK(read(out, data, 8), "read after removal");
	close(out);
	unmake(&target, 2);
}

#endif /* MDEV_MIGRATION_H */

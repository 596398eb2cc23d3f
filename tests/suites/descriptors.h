/* SPDX-License-Identifier: GPL-2.0 */
/* Descriptors that pass from process to process by a socket. */
#ifndef DESCRIPTORS_H
#define DESCRIPTORS_H

#include "vfio_user.h"

#include <sys/socket.h>

static inline void send_fds(int socket, const int *fds, int count)
{
	char byte = 0, control[CMSG_SPACE(sizeof(int) * 8)] = {};
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
		.msg_controllen = CMSG_SPACE(sizeof(int) * count) };
	struct cmsghdr *head = CMSG_FIRSTHDR(&msg);

	*head = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int) * count), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
	memcpy(CMSG_DATA(head), fds, sizeof(int) * count);
	if (sendmsg(socket, &msg, 0) != 1)
		fail("sendmsg");
}

static inline bool receive_fds(int socket, int *fds, int count)
{
	char byte, control[CMSG_SPACE(sizeof(int) * 8)] = {};
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };

	if (recvmsg(socket, &msg, 0) != 1 || !CMSG_FIRSTHDR(&msg))
		return false;
	memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(int) * count);
	return true;
}

#endif

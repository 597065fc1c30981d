#include "station/link/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int wait_for(int fd, short events, deadline_t deadline)
{
	for (;;) {
		struct pollfd p = {.fd = fd, .events = events};
		int ready = poll(&p, 1, deadline_left_ms(deadline));
		if (ready > 0)
			return 0;
		if (ready < 0 && errno != EINTR)
			return SOCKET_CLOSED;
		if (deadline_left_ms(deadline) == 0)
			return SOCKET_TIMEOUT;
	}
}

/* 0 or an errno value. */
static int finish_connect(int fd, deadline_t deadline)
{
	int number = 0;
	socklen_t size = sizeof number;

	if (wait_for(fd, POLLOUT, deadline) != 0)
		return ETIMEDOUT;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &size) != 0)
		return errno;
	return number;
}

/* Returns the socket, or -errno. */
static int connect_one(const struct addrinfo *to, deadline_t deadline)
{
	int fd = socket(to->ai_family, to->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC,
	                to->ai_protocol);

	if (fd < 0)
		return -errno;
	int failed = connect(fd, to->ai_addr, to->ai_addrlen) == 0 ? 0 : errno;
	if (failed == EINPROGRESS)
		failed = finish_connect(fd, deadline);
	if (failed != 0) {
		close(fd);
		return -failed;
	}
	/* Requests are small and each waits for its answer: Nagle would add 40 ms to every one. */
	int on = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
	return fd;
}

int socket_connect(const char *host, const char *port, deadline_t deadline, struct pogo_error *err)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	struct addrinfo *list = NULL;
	int failed = getaddrinfo(host, port, &hints, &list);

	if (failed != 0)
		return pogo_fail(
		        err, POGO_SYSTEM,
		        "cannot find the address of the USB/IP server %s:%s: %s; correct the name",
		        host, port, gai_strerror(failed));
	int fd = -EADDRNOTAVAIL;
	for (const struct addrinfo *to = list; to != NULL && fd < 0; to = to->ai_next)
		fd = connect_one(to, deadline);
	freeaddrinfo(list);
	if (fd < 0) {
		return pogo_fail(err, POGO_SYSTEM,
		                 "no USB/IP server answers at %s:%s (%s); start usbipd or "
		                 "pogo-bench there, or correct the "
		                 "address",
		                 host, port, strerrordesc_np(-fd));
	}
	return fd;
}

int socket_send(int fd, const void *bytes, size_t len, deadline_t deadline)
{
	const char *at = bytes;

	while (len > 0) {
		ssize_t sent = send(fd, at, len, MSG_NOSIGNAL);
		if (sent > 0) {
			at += sent;
			len -= (size_t)sent;
		} else if (sent < 0 && errno == EAGAIN) {
			int status = wait_for(fd, POLLOUT, deadline);
			if (status != 0)
				return status;
		} else if (sent < 0 && errno != EINTR) {
			return SOCKET_CLOSED;
		}
	}
	return 0;
}

int socket_receive(int fd, void *bytes, size_t len, deadline_t deadline)
{
	char *at = bytes;

	while (len > 0) {
		ssize_t got = recv(fd, at, len, 0);
		if (got > 0) {
			at += got;
			len -= (size_t)got;
		} else if (got < 0 && errno == EAGAIN) {
			int status = wait_for(fd, POLLIN, deadline);
			if (status != 0)
				return status;
		} else if (got == 0 || errno != EINTR) {
			return SOCKET_CLOSED;
		}
	}
	return 0;
}

int socket_wait_readable(int fd, deadline_t deadline)
{
	return wait_for(fd, POLLIN, deadline);
}

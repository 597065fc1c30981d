#include "station/link/link.h"

/* The kernel's own termios: speeds as plain numbers, and all of a line's settings in one call. It excludes <termios.h>. */
#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/serial.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "station/link/usb_tty.h"

/* A tty of the kernel (ttyS, ttyACM, ttyUSB, pty) as a link: raw, nobody else's, and left as it is when it is closed: a
 * falling DTR resets some boards and starts the boot loader of others. */

enum {
	TOUCH_BAUD = 1200,     /* at this speed a low DTR starts the boot loader of a 32U4 board (Arduino core, CDC.cpp) */
	PTY_SLAVE_MAJOR = 136, /* to 143 (Linux, admin-guide/devices.rst) */
	PTY_SLAVE_MAJORS = 8,
	SETTLE_S = 3,          /* what udev may take for a new node on a busy machine */
};

struct serial_link {
	struct link base;
	int fd;
	bool gone;
};

static int lost(struct serial_link *link)
{
	link->gone = true;
	return -LINK_GONE;
}

/* An unplugged device or a closed pty: EIO, ENXIO or ENODEV, from whatever call comes first. */
static int result_of_errno(struct serial_link *link, int number)
{
	return number == EIO || number == ENXIO || number == ENODEV || number == EBADF ? lost(link) : -LINK_IO;
}

/* 0 or -enum link_status. A line that hung up counts as ready: the next call says so. */
static int wait_for(struct serial_link *link, short events, deadline_t deadline)
{
	for (;;) {
		struct pollfd line = {.fd = link->fd, .events = events};
		int64_t left = deadline - clock_now();
		if (left <= 0)
			return -LINK_TIMEOUT;
		const struct timespec span = {.tv_sec = (time_t)(left / 1000000000), .tv_nsec = left % 1000000000};
		int ready = ppoll(&line, 1, &span, NULL);
		if (ready > 0)
			return 0;
		if (ready < 0 && errno != EINTR)
			return result_of_errno(link, errno);
	}
}

static int serial_read(struct link *base, void *data, size_t room, deadline_t deadline)
{
	struct serial_link *link = (struct serial_link *)base;

	while (!link->gone) {
		ssize_t got = read(link->fd, data, room);
		if (got > 0)
			return (int)got;
		if (got == 0) /* with VMIN 1 only a line that hung up reads so */
			return lost(link);
		if (errno != EAGAIN && errno != EINTR)
			return result_of_errno(link, errno);
		int status = wait_for(link, POLLIN, deadline);
		if (status != 0)
			return status;
	}
	return -LINK_GONE;
}

static int serial_write(struct link *base, const void *data, size_t length, deadline_t deadline)
{
	struct serial_link *link = (struct serial_link *)base;
	size_t sent = 0;

	while (!link->gone && sent < length) {
		ssize_t took = write(link->fd, (const char *)data + sent, length - sent);
		if (took > 0) {
			sent += (size_t)took;
			continue;
		}
		if (took < 0 && errno != EAGAIN && errno != EINTR)
			return result_of_errno(link, errno);
		int status = wait_for(link, POLLOUT, deadline);
		if (status == -LINK_TIMEOUT) /* nothing of it may leave later */
			ioctl(link->fd, TCFLSH, TCOFLUSH);
		if (status != 0)
			return status;
	}
	return link->gone ? -LINK_GONE : (int)length;
}

/* A pty has no such lines. */
static int set_signals(struct serial_link *link, unsigned signals)
{
	int bits = (signals & LINE_DTR ? TIOCM_DTR : 0) | (signals & LINE_RTS ? TIOCM_RTS : 0);

	if (ioctl(link->fd, TIOCMSET, &bits) == 0 || errno == ENOTTY || errno == EINVAL)
		return 0;
	return result_of_errno(link, errno);
}

/* The usual ones by their own codes, which is what whoever sits at a pty's other end looks for; others as a number. */
static tcflag_t speed_code(uint32_t baud)
{
	static const struct {
		uint32_t baud;
		tcflag_t code;
	} usual[] = {{1200, B1200},   {2400, B2400},   {4800, B4800},     {9600, B9600},     {19200, B19200},
		     {38400, B38400}, {57600, B57600}, {115200, B115200}, {230400, B230400}, {460800, B460800}};

	for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++)
		if (usual[i].baud == baud)
			return usual[i].code;
	return BOTHER;
}

static int set_speed(struct serial_link *link, uint32_t baud)
{
	struct termios2 settings;

	if (ioctl(link->fd, TCGETS2, &settings) != 0)
		return result_of_errno(link, errno);
	settings.c_cflag &= ~(tcflag_t)(CBAUD | CBAUD << IBSHIFT);
	settings.c_cflag |= speed_code(baud);
	settings.c_ospeed = settings.c_ispeed = baud;
	return ioctl(link->fd, TCSETS2, &settings) == 0 ? 0 : result_of_errno(link, errno);
}

static int serial_line(struct link *base, uint32_t baud, unsigned signals, deadline_t deadline)
{
	struct serial_link *link = (struct serial_link *)base;
	bool signals_first = baud == TOUCH_BAUD && (signals & LINE_DTR);
	int status = signals_first ? set_signals(link, signals) : 0;

	(void)deadline; /* the kernel does not let these calls wait */
	if (link->gone)
		return -LINK_GONE;
	if (status == 0)
		status = set_speed(link, baud);
	if (status == 0 && !signals_first)
		status = set_signals(link, signals);
	return status;
}

static int serial_discard(struct link *base, deadline_t deadline)
{
	struct serial_link *link = (struct serial_link *)base;

	(void)deadline;
	if (link->gone)
		return -LINK_GONE;
	return ioctl(link->fd, TCFLSH, TCIFLUSH) == 0 ? 0 : result_of_errno(link, errno);
}

static void serial_close(struct link *base)
{
	struct serial_link *link = (struct serial_link *)base;

	close(link->fd);
	free(link);
}

static const struct link_ops serial_link_ops = {
	.read = serial_read,
	.write = serial_write,
	.line = serial_line,
	.discard = serial_discard,
	.close = serial_close,
};

/* ---- opening */

static int no_permission(const char *device, struct pogo_error *err)
{
	struct stat node;
	struct group *group = NULL, entry;
	char room[1024];

	if (stat(device, &node) == 0 && node.st_gid != 0 && (node.st_mode & S_IWGRP) &&
	    getgrgid_r(node.st_gid, &entry, room, sizeof room, &group) == 0 && group != NULL)
		return pogo_fail(err, POGO_SYSTEM,
		                 "no permission to open the serial line %s: it belongs to the group %s; join it (sudo usermod -aG "
		                 "%s $USER) and log in again",
		                 device, entry.gr_name, entry.gr_name);
	return pogo_fail(err, POGO_SYSTEM,
	                 "no permission to open the serial line %s: install the udev rule configs/udev/60-pogoline.rules into "
	                 "/etc/udev/rules.d (its first lines say how) and plug the device in again",
	                 device);
}

static int in_use(const char *device, struct pogo_error *err)
{
	return pogo_fail(err, POGO_SYSTEM, "the serial line %s is in use: end the other program that has it open", device);
}

/* udev gives a node its group some moments after the kernel made it: until then it is not there yet. */
static bool is_being_made(const char *device)
{
	struct stat node;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return stat(device, &node) == 0 && now.tv_sec >= node.st_ctim.tv_sec && now.tv_sec - node.st_ctim.tv_sec <= SETTLE_S;
}

/* Returns 1 for what is not there, or left while it was being opened. */
static int open_failed(const char *device, int number, struct pogo_error *err)
{
	switch (number) {
	case ENOENT:
	case ENXIO:
	case ENODEV:
	case EIO:
		return 1;
	case EACCES:
	case EPERM:
		return is_being_made(device) ? 1 : no_permission(device, err);
	case EBUSY:
		return in_use(device, err);
	default:
		return pogo_fail_errno(err, number, "cannot open the serial line %s", device);
	}
}

static bool is_pty(const char *device)
{
	struct stat node;

	if (stat(device, &node) != 0)
		return false;
	unsigned kind = major(node.st_rdev);
	return kind >= PTY_SLAVE_MAJOR && kind < PTY_SLAVE_MAJOR + PTY_SLAVE_MAJORS;
}

/* Two locks: flock, which root heeds too and which goes away with its owner, and the tty's own, which stops programs that
 * know nothing of flock. The second stays on a pty whose other end outlives us, so a pty goes without. */
static int lock_line(int fd, const char *device, struct pogo_error *err)
{
	if (flock(fd, LOCK_EX | LOCK_NB) != 0)
		return in_use(device, err);
	if (!is_pty(device))
		ioctl(fd, TIOCEXCL);
	return 0;
}

/* 8N1, no flow control, nothing interpreted, DTR left alone when we close; the speed stays. */
static int make_raw(int fd, const char *device, struct pogo_error *err)
{
	struct termios2 settings;

	if (ioctl(fd, TCGETS2, &settings) != 0) {
		if (errno == ENOTTY)
			return pogo_fail(err, POGO_INPUT, "%s is no serial line: name a tty, such as /dev/ttyACM0", device);
		return open_failed(device, errno, err);
	}
	settings.c_iflag = IGNBRK;
	settings.c_oflag = 0;
	settings.c_lflag = 0;
	settings.c_cflag &= ~(tcflag_t)(CSIZE | CSTOPB | PARENB | CMSPAR | CRTSCTS | HUPCL);
	settings.c_cflag |= CS8 | CREAD | CLOCAL;
	settings.c_cc[VMIN] = 1;
	settings.c_cc[VTIME] = 0;
	return ioctl(fd, TCSETS2, &settings) == 0 ? 0 : open_failed(device, errno, err);
}

/* An FTDI chip keeps what it received for 16 ms unless a packet is full; with this for 1 ms. Best effort: not every driver
 * has the call. */
static void ask_low_latency(int fd)
{
	struct serial_struct settings;

	if (ioctl(fd, TIOCGSERIAL, &settings) != 0 || (settings.flags & ASYNC_LOW_LATENCY))
		return;
	settings.flags |= ASYNC_LOW_LATENCY;
	ioctl(fd, TIOCSSERIAL, &settings);
}

int link_serial_open(const char *device, struct link **out, struct usb_identity *identity, struct pogo_error *err)
{
	/* Somebody's terminal need not know of locks, and opening alone moves DTR. A pty has no DTR, and its maker may hold it. */
	if (usb_tty_is_listed(USB_TTY_SYSFS, device) && usb_tty_is_open(device))
		return in_use(device, err);
	int fd = open(device, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return open_failed(device, errno, err);
	int failed = isatty(fd) ? lock_line(fd, device, err) : 0;
	if (failed == 0)
		failed = make_raw(fd, device, err);
	struct serial_link *link = failed == 0 ? calloc(1, sizeof *link) : NULL;
	if (link == NULL) {
		close(fd);
		return failed != 0 ? failed : pogo_fail(err, POGO_SYSTEM, "out of memory");
	}
	*identity = (struct usb_identity){0};
	usb_tty_behind(USB_TTY_SYSFS, device, identity);
	snprintf(identity->path, sizeof identity->path, "%s", device);
	snprintf(identity->tty, sizeof identity->tty, "%s", device);
	if (usb_tty_is_ftdi(USB_TTY_SYSFS, device))
		ask_low_latency(fd);
	link->base.ops = &serial_link_ops;
	link->fd = fd;
	*out = &link->base;
	return 0;
}

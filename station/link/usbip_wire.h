#ifndef POGO_STATION_USBIP_WIRE_H
#define POGO_STATION_USBIP_WIRE_H

/* USB/IP 1.1.1 as in the kernel's Documentation/usb/usbip_protocol. All integers are big-endian, but for
 * the 8 setup bytes, which go as they are on the bus. */

enum {
	USBIP_VERSION = 0x0111,
	USBIP_REQ_DEVLIST = 0x8005,
	USBIP_REP_DEVLIST = 0x0005,
	USBIP_REQ_IMPORT = 0x8003,
	USBIP_REP_IMPORT = 0x0003,
	USBIP_OP_SIZE = 8,      /* version, code, status */
	USBIP_BUSID_SIZE = 32,
	USBIP_DEVICE_SIZE = 312, /* a device in DEVLIST and IMPORT replies, without interfaces */
	USBIP_INTERFACE_SIZE = 4,

	/* Offsets in a device. */
	USBIP_DEV_BUSID = 256,
	USBIP_DEV_BUSNUM = 288,
	USBIP_DEV_DEVNUM = 292,
	USBIP_DEV_SPEED = 296,
	USBIP_DEV_VENDOR = 300,
	USBIP_DEV_PRODUCT = 302,
	USBIP_DEV_RELEASE = 304,
	USBIP_DEV_CONFIGURATION = 309,
	USBIP_DEV_INTERFACES = 311,

	/* Status of a reply: the document knows 0 and 1; the kernel's tools tell more. */
	USBIP_ST_OK = 0,
	USBIP_ST_NA = 1,
	USBIP_ST_BUSY = 2,
	USBIP_ST_ERROR = 3,
	USBIP_ST_NODEV = 4,

	USBIP_CMD_SUBMIT = 1,
	USBIP_CMD_UNLINK = 2,
	USBIP_RET_SUBMIT = 3,
	USBIP_RET_UNLINK = 4,
	USBIP_URB_SIZE = 48, /* every header after the import */

	/* Offsets in it. */
	USBIP_URB_COMMAND = 0,
	USBIP_URB_SEQNUM = 4,
	USBIP_URB_DEVID = 8,
	USBIP_URB_DIRECTION = 12,
	USBIP_URB_ENDPOINT = 16,
	USBIP_URB_FLAGS = 20,    /* SUBMIT */
	USBIP_URB_LENGTH = 24,   /* SUBMIT */
	USBIP_URB_SETUP = 40,    /* SUBMIT */
	USBIP_URB_UNLINK = 20,   /* CMD_UNLINK: the seqnum to give up */
	USBIP_URB_STATUS = 20,   /* both RETs */
	USBIP_URB_ACTUAL = 24,   /* RET_SUBMIT */
};

#endif

/* arduinoisp SKETCH.hex PART STATE.json
 *
 * An Arduino Uno that runs other people's firmware, the ArduinoISP sketch, under simavr: an ATmega328P at 16 MHz. Its
 * UART is a pseudo-terminal, its SPI and pin 10 (PB2, RESET of the target) go to the bench's model of a chip. Prints
 * "listening on PTY" when the sketch has come to its loop; at SIGTERM it writes STATE.json as pogo-bench does, for the
 * judge. The board is in the jig from the beginning.
 *
 * Time: the sketch's clock is set by the wall's whenever a byte goes to the host, and it hears the next byte not before
 * as much time has passed for it as for the host: so on a slow machine the waits of a host are never too short for the
 * chip. After the last byte it runs on for as long as it may be at work, then it rests until the host says something.
 * Bytes come to its UART at the rate of the line, and wait here before.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <simavr/avr_spi.h>
#include <simavr/avr_uart.h>
#include <simavr/sim_avr.h>

#include "fixtures/bench/target.h"
#include "hextools/conf.h"
#include "hextools/ihex.h"
#include "hextools/jsonw.h"
#include "hextools/outfile.h"
#include "hextools/part.h"

enum {
	MHZ = 16,
	SLICE_CYCLES = MHZ * 1000, /* between two looks at the terminal */
	QUEUE = 4096,
	SETUP_MS = 1000, /* three LEDs flash three times 60 ms each before it listens */
	WORK_MS = 2000,  /* the longest that it is at work without a byte: 32 EEPROM bytes of 45 ms */
	/* Hosts wait for the chip's erasing and fuses, 9 ms; what they wait for beside that is of no interest to it. */
	LONGEST_WAIT_NS = 20000000,
};

enum reg { DDRB = 0x24, PORTB = 0x25, SPCR = 0x4C, SPSR = 0x4D, UCSR0A = 0xC0, UCSR0B = 0xC1, UBRR0L = 0xC4, UBRR0H = 0xC5 };
enum pin { PIN_RESET = 1 << 2, PIN_MOSI = 1 << 3, PIN_SCK = 1 << 5 };

struct queue {
	uint8_t bytes[QUEUE];
	int64_t at_ns[QUEUE];
	size_t first, count;
};

struct uno {
	avr_t *avr;
	struct part *part;
	struct target *target;
	int terminal, far_end; /* the host's end is kept open, so that a host may come and go */
	struct queue heard, said;
	int64_t began_ns;      /* the wall clock when the sketch's was 0 */
	int64_t line_free_ns;  /* the line to the UART */
	int64_t active_ns;     /* the last byte, either way */
	bool reset_low;
	uint64_t bytes_in, bytes_out, spi_bytes;
	uint32_t sck_hz;
};

static volatile sig_atomic_t quit;

static void on_signal(int number)
{
	(void)number;
	quit = 1;
}

static int64_t wall_ns(const struct uno *uno)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec - uno->began_ns;
}

static int64_t sketch_ns(const struct uno *uno)
{
	return (int64_t)(uno->avr->cycle * 1000 / MHZ);
}

static void push(struct queue *queue, uint8_t byte, int64_t at_ns)
{
	size_t at = (queue->first + queue->count++) % QUEUE;

	queue->bytes[at] = byte;
	queue->at_ns[at] = at_ns;
}

static uint8_t pop(struct queue *queue)
{
	uint8_t byte = queue->bytes[queue->first];

	queue->first = (queue->first + 1) % QUEUE;
	queue->count--;
	return byte;
}

/* ---- pins */

static void follow_reset(struct uno *uno)
{
	const uint8_t *data = uno->avr->data;
	bool low = (data[DDRB] & PIN_RESET) && !(data[PORTB] & PIN_RESET);

	if (low == uno->reset_low)
		return;
	uno->reset_low = low;
	target_reset_pin(uno->target, !low, sketch_ns(uno));
}

static uint32_t sck_hz(const uint8_t *data)
{
	static const uint8_t dividers[4] = {4, 16, 64, 128};

	return MHZ * 1000000u / dividers[data[SPCR] & 3] << (data[SPSR] & 1);
}

/* A byte was shifted. Mode 0, high bit first, both pins outputs: otherwise the chip does not understand. */
static void on_spi(struct avr_irq_t *irq, uint32_t mosi, void *param)
{
	struct uno *uno = param;
	const uint8_t *data = uno->avr->data;
	uint8_t miso = 0xFF;

	(void)irq;
	uno->sck_hz = sck_hz(data);
	uno->spi_bytes++;
	if ((data[SPCR] & 0x2C) == 0 && (data[DDRB] & PIN_SCK) && (data[DDRB] & PIN_MOSI)) {
		follow_reset(uno);
		miso = target_spi(uno->target, (uint8_t)mosi, uno->sck_hz, sketch_ns(uno) - INT64_C(8000000000) / uno->sck_hz);
	}
	avr_raise_irq(avr_io_getirq(uno->avr, AVR_IOCTL_SPI_GETIRQ(0), SPI_IRQ_INPUT), miso);
}

/* ---- line */

static void on_uart(struct avr_irq_t *irq, uint32_t byte, void *param)
{
	struct uno *uno = param;

	(void)irq;
	uno->active_ns = sketch_ns(uno);
	if (uno->said.count < QUEUE) /* a host that reads nothing for so long loses it */
		push(&uno->said, (uint8_t)byte, uno->active_ns);
}

static bool listens(const struct uno *uno)
{
	return uno->avr->data[UCSR0B] & 1 << 4; /* RXEN0 */
}

static int64_t line_byte_ns(const uint8_t *data)
{
	int64_t divider = (data[UBRR0H] & 0x0F) << 8 | data[UBRR0L];

	return 10 * (data[UCSR0A] & 2 ? 8 : 16) * (divider + 1) * 1000 / MHZ;
}

static void give_byte(struct uno *uno)
{
	int64_t now = sketch_ns(uno);

	if (uno->heard.count == 0 || now < uno->line_free_ns || now < uno->heard.at_ns[uno->heard.first] || !listens(uno))
		return;
	avr_raise_irq(avr_io_getirq(uno->avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_INPUT), pop(&uno->heard));
	uno->line_free_ns = now + line_byte_ns(uno->avr->data);
	uno->active_ns = now;
	uno->bytes_in++;
}

static void hear(struct uno *uno)
{
	uint8_t bytes[512];
	ssize_t length = QUEUE - uno->heard.count >= sizeof bytes ? read(uno->terminal, bytes, sizeof bytes) : 0;
	int64_t wait_ns = wall_ns(uno) - sketch_ns(uno);

	if (length <= 0)
		return;
	if (wait_ns > LONGEST_WAIT_NS)
		uno->began_ns += wait_ns - LONGEST_WAIT_NS;
	for (ssize_t i = 0; i < length; i++)
		push(&uno->heard, bytes[i], wall_ns(uno));
}

static void say(struct uno *uno)
{
	while (uno->said.count > 0 && write(uno->terminal, &uno->said.bytes[uno->said.first], 1) == 1) {
		uno->began_ns += wall_ns(uno) - sketch_ns(uno);
		(void)pop(&uno->said);
		uno->bytes_out++;
	}
}

static void rest(const struct uno *uno)
{
	struct pollfd terminal = {.fd = uno->terminal, .events = POLLIN};

	if (uno->heard.count == 0 && uno->said.count == 0 && sketch_ns(uno) > uno->active_ns + WORK_MS * INT64_C(1000000))
		poll(&terminal, 1, 100); /* at most: a signal may have come just before */
}

static int run(struct uno *uno, struct pogo_error *err)
{
	bool announced = false;

	while (!quit) {
		avr_cycle_count_t end = uno->avr->cycle + SLICE_CYCLES;
		while (uno->avr->cycle < end) {
			int state = avr_run(uno->avr);
			if (state == cpu_Crashed || state == cpu_Done)
				return pogo_fail(err, POGO_SYSTEM, "the sketch ended at 0x%04" PRIX32, uno->avr->pc);
			follow_reset(uno);
			give_byte(uno);
		}
		if (!announced && listens(uno) && sketch_ns(uno) > SETUP_MS * INT64_C(1000000)) {
			printf("listening on %s\n", ptsname(uno->terminal));
			fflush(stdout);
			announced = true;
		}
		say(uno);
		rest(uno);
		hear(uno);
	}
	return 0;
}

/* ---- life */

static void say_nothing(avr_t *avr, const int level, const char *format, va_list args)
{
	(void)avr;
	(void)level;
	(void)format;
	(void)args;
}

static void do_not_sleep(avr_t *avr, avr_cycle_count_t cycles)
{
	(void)avr;
	(void)cycles;
}

static int load_sketch(struct uno *uno, const char *path, struct pogo_error *err)
{
	struct hex_image image;

	hex_image_init(&image);
	int rc = ihex_read_file(path, &image, err);
	if (rc == 0)
		hex_image_read(&image, 0, uno->avr->flash, uno->avr->flashend + 1, 0xFF);
	hex_image_finish(&image);
	return rc;
}

static int power_up(struct uno *uno, const char *sketch, struct pogo_error *err)
{
	uint32_t flags = 0;

	avr_global_logger_set(say_nothing);
	uno->avr = avr_make_mcu_by_name("atmega328p");
	if (!uno->avr || avr_init(uno->avr) != 0)
		return pogo_fail(err, POGO_SYSTEM, "simavr does not simulate the ATmega328P");
	if (load_sketch(uno, sketch, err) != 0)
		return -1;
	uno->avr->frequency = MHZ * 1000000u;
	uno->avr->codeend = uno->avr->flashend;
	uno->avr->sleep = do_not_sleep;
	/* A polled UART would sleep in real time, and what is sent would go to standard output. */
	avr_ioctl(uno->avr, AVR_IOCTL_UART_SET_FLAGS('0'), &flags);
	avr_irq_register_notify(avr_io_getirq(uno->avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUTPUT), on_uart, uno);
	avr_irq_register_notify(avr_io_getirq(uno->avr, AVR_IOCTL_SPI_GETIRQ(0), SPI_IRQ_OUTPUT), on_spi, uno);
	uno->began_ns = wall_ns(uno);
	return 0;
}

static int open_terminal(struct uno *uno, struct pogo_error *err)
{
	struct termios raw;

	uno->terminal = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (uno->terminal < 0 || grantpt(uno->terminal) != 0 || unlockpt(uno->terminal) != 0)
		return pogo_fail_errno(err, errno, "no pseudo-terminal");
	uno->far_end = open(ptsname(uno->terminal), O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (uno->far_end < 0 || tcgetattr(uno->far_end, &raw) != 0)
		return pogo_fail_errno(err, errno, "cannot open %s", ptsname(uno->terminal));
	cfmakeraw(&raw);
	if (tcsetattr(uno->far_end, TCSANOW, &raw) != 0)
		return pogo_fail_errno(err, errno, "cannot set up %s", ptsname(uno->terminal));
	return 0;
}

static int write_state(const struct uno *uno, const char *path, struct pogo_error *err)
{
	struct jsonw json;

	jsonw_init(&json, 0);
	jsonw_open(&json, NULL, '{');
	jsonw_open(&json, "boards", '[');
	jsonw_open(&json, NULL, '{');
	jsonw_int(&json, "position", 1);
	jsonw_int(&json, "ordinal", 1);
	jsonw_str(&json, "shown", "none");
	target_dump(uno->target, &json, "chip");
	jsonw_close(&json, '}');
	jsonw_close(&json, ']');
	jsonw_int(&json, "sck_hz", uno->sck_hz);
	jsonw_int(&json, "spi_bytes", (int64_t)uno->spi_bytes);
	jsonw_int(&json, "bytes_in", (int64_t)uno->bytes_in);
	jsonw_int(&json, "bytes_out", (int64_t)uno->bytes_out);
	jsonw_int(&json, "sketch_ms", sketch_ns(uno) / 1000000);
	jsonw_int(&json, "wall_ms", wall_ns(uno) / 1000000);
	jsonw_close(&json, '}');
	int rc = jsonw_ok(&json) ? outfile_write(path, json.text, json.len, err) : pogo_fail(err, POGO_SYSTEM, "out of memory");
	jsonw_finish(&json);
	return rc;
}

static int prepare(struct uno *uno, char **argv, struct pogo_error *err)
{
	struct target_options options = {.crystal_hz = 16000000, .seed = 1};
	char configs[4096];

	if (conf_dir(NULL, configs, sizeof configs, err) != 0 || part_load(configs, argv[2], &uno->part, err) != 0)
		return -1;
	uno->target = target_create(uno->part, &options, 1000001);
	if (!uno->target)
		return pogo_fail(err, POGO_SYSTEM, "out of memory");
	return power_up(uno, argv[1], err) == 0 ? open_terminal(uno, err) : -1;
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = on_signal};
	struct uno uno = {.terminal = -1};
	struct pogo_error err = {.kind = POGO_SYSTEM};

	if (argc != 4) {
		fprintf(stderr, "usage: arduinoisp SKETCH.hex PART STATE.json\n");
		return 2;
	}
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	int rc = prepare(&uno, argv, &err);
	if (rc == 0)
		rc = run(&uno, &err);
	if (rc == 0)
		rc = write_state(&uno, argv[3], &err);
	if (rc != 0)
		fprintf(stderr, "arduinoisp: %s\n", err.text);
	target_destroy(uno.target);
	free(uno.part);
	if (uno.avr)
		avr_terminate(uno.avr);
	free(uno.avr);
	return rc == 0 ? 0 : (int)err.kind;
}

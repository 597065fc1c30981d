#include "hextools/commands.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "hextools/outfile.h"
#include "hextools/version.h"

struct command {
	const char *name;
	int (*run)(int argc, char **argv, struct pogo_error *err);
};

static const struct command commands[] = {
	{"boot", cmd_boot},
	{"check", cmd_check},
	{"convert", cmd_convert},
	{"crc", cmd_crc},
	{"crop", cmd_crop},
	{"diff", cmd_diff},
	{"dump", cmd_dump},
	{"exclude", cmd_exclude},
	{"fill", cmd_fill},
	{"fuses", cmd_fuses},
	{"info", cmd_info},
	{"merge", cmd_merge},
	{"move", cmd_move},
	{"release", cmd_release},
	{"serial", cmd_serial},
	{"split", cmd_split},
	{"vectors", cmd_vectors},
};

static const char help[] =
	"pogo-hex: joins and proves the images that a production line programs\n"
	"\n"
	"  pogo-hex info [--json] IN...            what is in image files\n"
	"  pogo-hex merge -o OUT IN[@OFFSET]...    several files into one\n"
	"  pogo-hex release --part P --bootloader B --app A -o OUT [...]\n"
	"                                          a proved image with manifest and recipe\n"
	"  pogo-hex check --part P IMAGE [...]     what is wrong with an image, before a board is touched\n"
	"  pogo-hex boot --part P IMAGE [...]      whether it starts, on a simulated chip\n"
	"  pogo-hex fuses --part P [L,H,E] [...]   what fuse bytes mean, bit by bit\n"
	"  pogo-hex diff A B [--pages --part P]    where two images differ, byte by byte\n"
	"  pogo-hex dump [--strings N] IN          bytes or strings by address\n"
	"  pogo-hex vectors --part P IN            reset and interrupt vectors, and where they lead\n"
	"  pogo-hex crop|exclude -o OUT RANGE... IN\n"
	"                                          keep or drop ranges\n"
	"  pogo-hex move -o OUT --by N [RANGE] IN  other addresses\n"
	"  pogo-hex fill -o OUT --with BYTES RANGE... IN\n"
	"                                          data for holes\n"
	"  pogo-hex split -o PREFIX --at A IN      one file into several\n"
	"  pogo-hex crc [--insert ADDRESS] IN      checksums, printed or put into the image\n"
	"  pogo-hex serial --address A --format F --value V -o OUT IN\n"
	"                                          the data of one unit, or of each unit of a table\n"
	"  pogo-hex convert [--to-format NAME] -o OUT IN\n"
	"                                          Intel HEX, S-record, raw binary, UF2, from ELF too\n"
	"\n"
	"  pogo-hex COMMAND --help                 the command's options\n"
	"  pogo-hex --version\n"
	"\n"
	"\"-\" is standard input or output. Exit code: 0 done, 1 the answer is no (a part that does not\n"
	"fit, a difference), 2 wrong usage, unreadable input or inputs that conflict, 3 the system failed.\n"
	"On 1, 2 and 3 no output file has been written or changed; pogo-hex(1) tells two rare exceptions.\n";

/* A value or a name with a line end in it must not make two lines of a sentence, nor colour a terminal. */
static void escape(const char *sentence, char *out, size_t size)
{
	size_t at = 0;
	for (; *sentence != '\0' && at + 5 < size; sentence++) {
		unsigned char c = (unsigned char)*sentence;
		if (c == '\n' || c == '\r' || c == '\t')
			at += (size_t)sprintf(out + at, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
		else if (c < 0x20 || c == 0x7F)
			at += (size_t)sprintf(out + at, "\\x%02X", c);
		else
			out[at++] = (char)c;
	}
	out[at] = '\0';
}

void cmd_note(const char *sentence)
{
	char line[2400]; /* an error's whole text, each byte as \xNN */
	escape(sentence, line, sizeof line);
	fprintf(stderr, "pogo-hex: %s\n", line);
}

void cmd_notes(const struct notes *notes)
{
	for (size_t i = 0; i < notes->count && i < NOTES_KEPT; i++)
		cmd_note(notes->text[i]);
	if (notes->count <= NOTES_KEPT)
		return;
	char more[64];
	snprintf(more, sizeof more, "and %zu more notes like these", notes->count - NOTES_KEPT);
	cmd_note(more);
}

int cmd_print(const char *text, struct pogo_error *err)
{
	return outfile_write("-", text, strlen(text), err);
}

static int dispatch(int argc, char **argv, struct pogo_error *err)
{
	const char *word = argc > 1 ? argv[1] : "";
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0)
		return cmd_print(help, err);
	if (strcmp(word, "--version") == 0)
		return cmd_print("pogo-hex " POGO_VERSION "\n", err);
	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
		if (strcmp(word, commands[i].name) == 0)
			return commands[i].run(argc - 2, argv + 2, err);
	char known[300] = "";
	for (size_t i = 0, used = 0; i < sizeof commands / sizeof commands[0]; i++)
		used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", i > 0 ? ", " : "", commands[i].name);
	if (*word == '\0')
		return pogo_fail(err, POGO_INPUT, "which command? there are %s; see --help", known);
	return pogo_fail(err, POGO_INPUT, "unknown command \"%.40s\", there are %s; see --help", word, known);
}

int pogo_hex_run(int argc, char **argv)
{
	struct pogo_error err = {0};
	/* A reader that goes away is an error of a write, not a silent death. */
	signal(SIGPIPE, SIG_IGN);
	/* So is a file size limit, which must not leave the temporary behind. */
	signal(SIGXFSZ, SIG_IGN);
	if (dispatch(argc, argv, &err) == 0)
		return 0;
	if (err.text[0] != '\0')
		cmd_note(err.text);
	return (int)err.kind;
}

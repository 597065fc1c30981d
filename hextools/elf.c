#include <elf.h>
#include <inttypes.h>
#include <libelf.h>
#include <string.h>

#include "hextools/builder.h"
#include "hextools/format_list.h"

/* ELF, 32 bit, little-endian, linked: what lies in the file goes to its load address (p_paddr), so that
 * initialised variables are where the start-up code copies them from. avr-gcc puts the other memories of
 * an AVR at 0x810000 (EEPROM), 0x820000 (fuses), 0x830000 (lock), 0x840000 (signature) and 0x850000 (user
 * signature row): they come along as these addresses, and a "production ELF" is one input. */

#define AVR_RAM     0x800000u /* what avr-gcc adds to addresses of the data space */
#define AVR_RAM_END 0x810000u

struct file {
	struct instream *in;
	const uint8_t *bytes;
	size_t len;
	Elf *elf;
	const Elf32_Ehdr *head;
	const Elf32_Phdr *segments;
	size_t segment_count;
};

static int bad(const struct file *file, const char *what, struct pogo_error *err)
{
	int number = elf_errno();
	const char *why = number != 0 ? elf_errmsg(number) : NULL;
	return pogo_fail(err, POGO_INPUT, "%.200s: an ELF file that cannot be read: %s%s%s", file->in->name, what,
			 why != NULL ? ": " : "", why != NULL ? why : "");
}

static int check_head(struct file *file, struct pogo_error *err)
{
	const uint8_t *ident = file->bytes;
	if (file->len < EI_NIDENT || ident[EI_CLASS] != ELFCLASS32 || ident[EI_DATA] != ELFDATA2LSB)
		return pogo_fail(err, POGO_INPUT,
				 "%.200s: an ELF file, but not 32 bit and little-endian: for no chip of ours",
				 file->in->name);
	if (elf_version(EV_CURRENT) == EV_NONE)
		return bad(file, "libelf is too old", err);
	/* Nothing is written through it; libelf's interface has no const. */
	file->elf = elf_memory((char *)(uintptr_t)file->bytes, file->len); /* NOLINT(performance-no-int-to-ptr) */
	if (file->elf == NULL || elf_kind(file->elf) != ELF_K_ELF)
		return bad(file, "no ELF head", err);
	file->head = elf32_getehdr(file->elf);
	if (file->head == NULL)
		return bad(file, "no ELF head", err);
	if (file->head->e_type != ET_EXEC)
		return pogo_fail(err, POGO_INPUT,
				 "%.200s: an ELF file that is not linked (type %u, a program has 2): it has no load "
				 "addresses", file->in->name, file->head->e_type);
	/* libelf gives pointers into the file. */
	if (file->head->e_phoff % 4 != 0 || file->head->e_shoff % 4 != 0)
		return bad(file, "its tables are not aligned", err);
	/* libelf takes a table behind the end for none. */
	if ((uint64_t)file->head->e_phoff + (uint64_t)file->head->e_phnum * sizeof(Elf32_Phdr) > file->len ||
	    (uint64_t)file->head->e_shoff + (uint64_t)file->head->e_shnum * sizeof(Elf32_Shdr) > file->len)
		return bad(file, "its tables lie behind its end, it is cut off", err);
	if (elf_getphdrnum(file->elf, &file->segment_count) != 0)
		return bad(file, "no program heads", err);
	file->segments = file->segment_count > 0 ? elf32_getphdr(file->elf) : NULL;
	return file->segments != NULL ? 0 : bad(file, "no program heads", err);
}

static int add(const struct file *file, struct builder *builder, uint64_t addr, uint64_t offset,
	       uint64_t len, const char *what, struct pogo_error *err)
{
	if (offset > file->len || len > file->len - offset)
		return pogo_fail(err, POGO_INPUT,
				 "%.200s: offset 0x%" PRIX64 ": %.60s has %" PRIu64
				 " bytes there, the file ends before: it is cut off",
				 file->in->name, offset, what, len);
	if (addr + len > UINT64_C(1) << 32)
		return pogo_fail(err, POGO_INPUT, "%.200s: %.60s: %" PRIu64 " bytes at 0x%08" PRIX64 " run past 4 GiB",
				 file->in->name, what, len, addr);
	if (file->head->e_machine == EM_AVR && addr < AVR_RAM_END && addr + len > AVR_RAM)
		return pogo_fail(err, POGO_INPUT,
				 "%.200s: %.60s would be loaded to 0x%06" PRIX64
				 ", which is RAM: no programmer writes that; link it with a load address in flash",
				 file->in->name, what, addr);
	return builder_add(builder, (uint32_t)addr, file->bytes + offset, (size_t)len, err);
}

static const Elf32_Phdr *segment_of(const struct file *file, const Elf32_Shdr *section)
{
	for (size_t i = 0; i < file->segment_count; i++) {
		const Elf32_Phdr *segment = &file->segments[i];
		uint64_t end = (uint64_t)segment->p_offset + segment->p_filesz;
		if (segment->p_type == PT_LOAD && section->sh_offset >= segment->p_offset &&
		    (uint64_t)section->sh_offset + section->sh_size <= end)
			return segment;
	}
	return NULL;
}

static const char *name_of(const struct file *file, const Elf32_Shdr *section)
{
	size_t strings;
	const char *name = NULL;
	if (elf_getshdrstrndx(file->elf, &strings) == 0)
		name = elf_strptr(file->elf, strings, section->sh_name);
	return name != NULL ? name : "a section";
}

/* By section, as objcopy does: a segment may begin with the ELF head and have padding in it. */
static int add_sections(const struct file *file, struct builder *builder, size_t *found,
			struct pogo_error *err)
{
	Elf_Scn *scn = NULL;
	*found = 0;
	while ((scn = elf_nextscn(file->elf, scn)) != NULL) {
		const Elf32_Shdr *section = elf32_getshdr(scn);
		if (section == NULL)
			return bad(file, "a section head", err);
		if ((section->sh_flags & SHF_ALLOC) == 0 || section->sh_type == SHT_NOBITS ||
		    section->sh_size == 0)
			continue;
		const Elf32_Phdr *segment = segment_of(file, section);
		if (segment == NULL)
			return pogo_fail(err, POGO_INPUT, "%.200s: %.60s lies in no loaded segment: no load address",
					 file->in->name, name_of(file, section));
		uint64_t addr = (uint64_t)segment->p_paddr + (section->sh_offset - segment->p_offset);
		if (add(file, builder, addr, section->sh_offset, section->sh_size, name_of(file, section), err) != 0)
			return -1;
		++*found;
	}
	return 0;
}

static int add_segments(const struct file *file, struct builder *builder, struct pogo_error *err)
{
	for (size_t i = 0; i < file->segment_count; i++) {
		const Elf32_Phdr *segment = &file->segments[i];
		if (segment->p_type == PT_LOAD && segment->p_filesz > 0 &&
		    add(file, builder, segment->p_paddr, segment->p_offset, segment->p_filesz, "a segment", err) != 0)
			return -1;
	}
	return 0;
}

static int collect(struct file *file, struct builder *builder, struct pogo_error *err)
{
	size_t sections = 0;
	if (check_head(file, err) != 0 || add_sections(file, builder, &sections, err) != 0 ||
	    (sections == 0 && add_segments(file, builder, err) != 0))
		return -1;
	if (builder_empty(builder))
		return pogo_fail(err, POGO_INPUT, "%.200s: an ELF file with nothing to load", file->in->name);
	return 0;
}

static int read_elf(struct instream *in, const struct format_reading *reading, struct hex_image *image,
		    struct format_origin *origin, struct pogo_error *err)
{
	struct file file = {.in = in};
	struct builder builder;
	struct pogo_error why;
	struct hex_conflict conflict = {.len = 0};
	(void)reading;
	(void)origin;
	if (instream_whole(in, err) != 0)
		return -1;
	file.bytes = in->at;
	file.len = (size_t)(in->end - in->at);
	builder_init(&builder);
	int rc = collect(&file, &builder, err);
	if (rc == 0 && builder_finish(&builder, image, &conflict, &why) != 0)
		rc = pogo_fail(err, conflict.len > 0 ? POGO_INPUT : why.kind, "%.200s: %.300s", in->name, why.text);
	if (rc == 0 && file.head->e_entry != 0) {
		image->start_kind = HEX_START_LINEAR;
		image->start = file.head->e_entry;
	}
	builder_abandon(&builder);
	elf_end(file.elf);
	return rc;
}

static bool detect_elf(const uint8_t *head, size_t len)
{
	return len >= SELFMAG && memcmp(head, ELFMAG, SELFMAG) == 0;
}

const struct format format_elf = {
	.name = "elf",
	.title = "ELF",
	.extensions = " elf axf out ",
	.detect = detect_elf,
	.read = read_elf,
};

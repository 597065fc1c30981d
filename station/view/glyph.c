#include "station/view/glyph.h"

#include <stddef.h>
#include <string.h>

/* An octal digit per row: 4 = left, 2 = middle, 1 = right point. */
static const char *picture(char letter)
{
	static const char *const digits[] = { "75557", "26227", "71747", "71717", "55711",
					      "74717", "74757", "71222", "75757", "75717" };
	static const char *const letters[] = { "75755", "65656", "74447", "65556", "74647", "74644", "74557",
					       "55755", "72227", "11157", "55655", "44447", "57755", "75555",
					       "75557", "75744", "75571", "65655", "74717", "72222", "55557",
					       "55552", "55775", "55255", "55222", "71247" };

	if (letter >= '0' && letter <= '9')
		return digits[letter - '0'];
	if (letter >= 'a' && letter <= 'z')
		letter = (char)(letter - 'a' + 'A');
	if (letter >= 'A' && letter <= 'Z')
		return letters[letter - 'A'];
	return letter == '-' ? "00700" : letter == ' ' ? "00000" : NULL;
}

bool glyph_known(const char *word)
{
	for (; *word; word++)
		if (!picture(*word))
			return false;
	return true;
}

static int least(int a, int b)
{
	return a < b ? a : b;
}

struct glyph_size glyph_fit(const char *word, int rows, int cols, bool half_blocks)
{
	struct glyph_size size = { 0, 0, 0, 0 };
	int points = (int)strlen(word) * (GLYPH_COLS + 1) - 1;

	if (points <= 0 || rows <= 0 || cols < points)
		return size;
	/* A cell is twice as high as wide: two cells side by side make a square point. */
	size.y = least(rows / GLYPH_ROWS, cols / points);
	size.x = least(cols / points, size.y ? 2 * size.y : 1);
	size.rows = size.y * GLYPH_ROWS;
	if (size.y == 0) {
		size.rows = (GLYPH_ROWS + 1) / 2;
		if (!half_blocks || rows < size.rows)
			size.x = 0;
	}
	size.cols = size.x * points;
	return size;
}

bool glyph_point(const char *word, int row, int col)
{
	if (row < 0 || row >= GLYPH_ROWS || col < 0 || col % (GLYPH_COLS + 1) == GLYPH_COLS ||
	    (size_t)col / (GLYPH_COLS + 1) >= strlen(word))
		return false;
	const char *rows = picture(word[col / (GLYPH_COLS + 1)]);
	return rows && ((rows[row] - '0') >> (GLYPH_COLS - 1 - col % (GLYPH_COLS + 1)) & 1);
}

#ifndef POGO_HEXTOOLS_ERR_H
#define POGO_HEXTOOLS_ERR_H

/* An error is a class and a sentence. It is made where it is known best (at the bottom), carried up
 * unchanged, and printed once, by main. Libraries never print. */

enum pogo_error_class {
	POGO_NO = 1,     /* it worked and the answer is no: a check failed, a difference */
	POGO_INPUT = 2,  /* the caller's words or files are unusable, or contradict each other; nothing was written */
	POGO_SYSTEM = 3, /* the device or the operating system failed */
};

struct pogo_error {
	enum pogo_error_class kind; /* the numbers are the exit codes of every program */
	char text[600];             /* one sentence, no newline: what, where, way out */
};

/* Fills *err (which may be NULL) and returns -1, so that a function can end in `return pogo_fail(…)`. */
int pogo_fail(struct pogo_error *err, enum pogo_error_class kind, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The same, with ": " and the text of errno value `number` behind the sentence; class POGO_SYSTEM. */
int pogo_fail_errno(struct pogo_error *err, int number, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* An analyser sees one file at a time and must be told that these never return 0. */
#ifdef __clang_analyzer__
static inline int pogo_failed(int minus_1)
{
	(void)minus_1;
	return -1;
}
#define pogo_fail(...) pogo_failed(pogo_fail(__VA_ARGS__))
#define pogo_fail_errno(...) pogo_failed(pogo_fail_errno(__VA_ARGS__))
#endif

#endif

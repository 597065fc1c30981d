#ifndef POGO_HEXTOOLS_CPU_H
#define POGO_HEXTOOLS_CPU_H

#include <stdbool.h>

/* What the processor can do beyond what the compiler may take for granted. */

#if defined(__x86_64__)
#include <cpuid.h>
#define CPU_X86 1
static inline bool cpu_has_avx2(void)
{
	return __builtin_cpu_supports("avx2") != 0;
}
static inline bool cpu_has_clmul(void)
{
	return __builtin_cpu_supports("pclmul") != 0 && __builtin_cpu_supports("sse4.1") != 0;
}

/* The SHA instructions: CPUID leaf 7, EBX bit 29 (Intel Software Developer's Manual volume 2, CPUID); older
 * compilers' __builtin_cpu_supports does not know the name. */
static inline bool cpu_has_sha(void)
{
	unsigned a, b, c, d;
	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 29 & 1) != 0 && __builtin_cpu_supports("sse4.1") &&
	       __builtin_cpu_supports("ssse3");
}
#else
#define CPU_X86 0
static inline bool cpu_has_avx2(void)
{
	return false;
}
static inline bool cpu_has_clmul(void)
{
	return false;
}
static inline bool cpu_has_sha(void)
{
	return false;
}
#endif

#endif

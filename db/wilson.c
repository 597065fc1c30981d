#include "db/wilson.h"

#include <math.h>

static double within(double value)
{
	return value < 0 ? 0 : value > 1 ? 1 : value;
}

struct wilson wilson_95(uint64_t good, uint64_t total)
{
	const double z = 1.96; /* the 97.5 % point of the normal distribution, as every quality handbook rounds it */
	struct wilson result = {good, total, NAN, NAN, NAN};

	if (total == 0)
		return result;
	double n = (double)total, p = (double)good / n, zz = z * z;
	double middle = (p + zz / (2 * n)) / (1 + zz / n);
	double half = z * sqrt(p * (1 - p) / n + zz / (4 * n * n)) / (1 + zz / n);

	result.share = p;
	/* At the ends the bound is exact, rounding must not make it 0.9999…. */
	result.low = good == 0 ? 0 : within(middle - half);
	result.high = good == total ? 1 : within(middle + half);
	return result;
}

#include "hextools/commands.h"

int main(int argc, char **argv)
{
	return pogo_hex_run(argc, argv);
}

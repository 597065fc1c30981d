/* cost COMMAND…: runs it with its output thrown away and prints "MICROSECONDS PEAK_KIB" of it. Exit: 0, or 1 if
 * it ended in any way but 0, 1 or 2 (pogo-hex's "done", "no" and "refused"). */
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct timespec begin, end;
	struct rusage usage;
	int status;
	if (argc < 2)
		return 2;
	clock_gettime(CLOCK_MONOTONIC, &begin);
	pid_t child = fork();
	if (child == 0) {
		int nowhere = open("/dev/null", O_RDWR);
		if (nowhere >= 0) {
			dup2(nowhere, 0);
			dup2(nowhere, 1);
			dup2(nowhere, 2);
		}
		execvp(argv[1], argv + 1);
		_exit(127);
	}
	if (child < 0 || wait4(child, &status, 0, &usage) != child)
		return 1;
	clock_gettime(CLOCK_MONOTONIC, &end);
	printf("%lld %ld\n",
	       (long long)(end.tv_sec - begin.tv_sec) * 1000000 + (end.tv_nsec - begin.tv_nsec) / 1000,
	       usage.ru_maxrss);
	return !WIFEXITED(status) || WEXITSTATUS(status) > 2;
}

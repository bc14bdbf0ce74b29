#include "base/hardening.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

void hardening_apply(void)
{
    const struct rlimit none = {0, 0};
    const char *off = getenv(HARDENING_OFF_VARIABLE);
    unsetenv("SSLKEYLOGFILE");
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", O_RDWR) != fd) {
            _exit(EX_OSERR);
        }
    }
    if (off != NULL && strcmp(off, "1") == 0) {
        return;
    }
    /* Each prevents core files; the first also prevents ptrace and access under /proc. */
    prctl(PR_SET_DUMPABLE, 0);
    setrlimit(RLIMIT_CORE, &none);
}

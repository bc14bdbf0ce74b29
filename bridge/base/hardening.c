#include "base/hardening.h"

#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

void hardening_apply(void)
{
    const struct rlimit none = {0, 0};
    const char *off = getenv(HARDENING_OFF_VARIABLE);
    if (off != NULL && strcmp(off, "1") == 0) {
        return;
    }
    /* Each prevents core files; the first also prevents ptrace and access under /proc. */
    prctl(PR_SET_DUMPABLE, 0);
    setrlimit(RLIMIT_CORE, &none);
}

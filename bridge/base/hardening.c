#include "base/hardening.h"

#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

void guard_process(void)
{
    const struct rlimit none = {0, 0};
    const char *off = getenv(GUARD_OFF_VARIABLE);
    if (off != NULL && strcmp(off, "1") == 0) {
        return;
    }
    /* Either is enough against core files; the first also shuts out ptrace and /proc. */
    prctl(PR_SET_DUMPABLE, 0);
    setrlimit(RLIMIT_CORE, &none);
}

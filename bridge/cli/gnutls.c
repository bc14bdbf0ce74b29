/*
 * GnuTLS is not initialised at the start of the program.
 *
 * The bridge does not use GnuTLS. libmicrohttpd, and in Debian libcurl's LDAP and RTMP, load it,
 * and the constructors of GnuTLS and libmicrohttpd initialise it, which takes about 1 MiB of
 * memory. The two functions by which they do that are defined here, in the library's place. The
 * first one is GnuTLS's own way to prevent it (GNUTLS_SKIP_GLOBAL_INIT in its header). The second
 * one does nothing only while the constructors of libraries run: code that calls it later gets the
 * library's function.
 *
 * It depends on dynamic linking. Where the linker gives the libraries their own functions, GnuTLS
 * is initialised as without this file.
 */
#include <dlfcn.h>
#include <stdbool.h>
#include <string.h>

static bool are_libraries_loaded;

/* The executable's constructors run after those of its libraries. */
__attribute__((constructor)) static void libraries_loaded(void)
{
    are_libraries_loaded = true;
}

int _gnutls_global_init_skip(void); /* NOLINT(bugprone-reserved-identifier) */
int gnutls_global_init(void);

int _gnutls_global_init_skip(void) /* NOLINT(bugprone-reserved-identifier) */
{
    return 1;
}

int gnutls_global_init(void)
{
    int (*init)(void) = NULL;
    if (!are_libraries_loaded) {
        return 0;
    }
    void *found = dlsym(RTLD_NEXT, "gnutls_global_init");
    memcpy(&init, &found, sizeof init);
    return init == NULL ? 0 : init();
}

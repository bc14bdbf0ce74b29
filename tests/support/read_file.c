#include "read_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

void read_file(const char *path, struct buf *out)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        fail_msg("%s is missing; the test runs in the top folder of the project", path);
        return;
    }
    size_t count;
    while ((count = fread(buf_reserve(out, 4096), 1, 4096, file)) > 0) {
        out->length += count;
    }
    buf_append_text(out, "");
    fclose(file);
}

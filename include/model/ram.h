/*
 * ram - what names of RAM may look like.
 *
 * Source: the vendor's pages "CreateRole" (RoleName) and "AssumeRole" (RoleSessionName).
 *
 * Thread: any; pure.
 */
#ifndef MODEL_RAM_H
#define MODEL_RAM_H

#include "base/slice.h"

#include <stdbool.h>

#define RAM_NAME_BYTES_MAX    64
#define RAM_SESSION_BYTES_MIN 2
/* What they are made of. */
#define RAM_ROLE_BYTES    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_"
#define RAM_SESSION_BYTES RAM_ROLE_BYTES "@"

/* 1 to 64 ASCII letters, digits, '.', '-' and '_'. */
bool ram_role_name_is_valid(struct slice name);
/* 2 to 64 ASCII letters, digits, '.', '@', '-' and '_'. */
bool ram_session_name_is_valid(struct slice name);

#endif

/*
 * options - the simulator's command line.
 */
#ifndef SIMULATOR_OPTIONS_H
#define SIMULATOR_OPTIONS_H

#include "listing.h"

#include <stdbool.h>
#include <stdint.h>

enum { ACCESS_KEY_LIMIT = 16, GROUP_OPTION_LIMIT = 256 };

enum key_state { KEY_ACTIVE, KEY_INACTIVE, KEY_DISABLED, KEY_EXPIRED };

struct access_key {
    char id[129];
    char secret[129];
    char security_token[4096]; /* "": a key of a user, not of a session */
    enum key_state state;
};

struct options {
    char host[64];
    char port[8];
    const char *port_file; /* or NULL */
    struct access_key keys[ACCESS_KEY_LIMIT];
    int key_count;
    const char *groups[GROUP_OPTION_LIMIT]; /* REGION/GROUPID[=state] */
    int group_count;
    bool is_auto_create;
    bool is_fast;
    bool is_quiet;
    bool is_state_first; /* the state of a group is looked at before the token */
    int64_t rpo_ms;
    int64_t sync_ms;
    int64_t stop_ms;
    int64_t recover_late_ms;
    int64_t pair_count;
    char secondary_region[REGION_BYTES];
    struct listing listing;
    int64_t token_ttl_s;     /* how long a token prevents a second effect; -1: for ever */
    int64_t clock_offset_ms; /* of the server's clock from the machine's */
};

/*
 * Read the command line. The strings of argv are borrowed.
 * Returns true to go on; otherwise *out_exit is the exit code (0 after --help).
 */
bool options_read(struct options *options, int argc, char **argv, int *out_exit);

/* Split `REGION/GROUPID[=state]` into copies of the given sizes; state "" if absent. */
bool options_split_group(const char *text, char *region, char *id, char *state);

/* The state of a name, or false. */
bool options_key_state(const char *name, enum key_state *out_state);

#endif

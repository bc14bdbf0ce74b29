/*
 * broker_saved - the content of mosquitto's database: commands queued for the bridge, replies
 * queued for the witness, and whether the bridge was subscribed.
 *
 * Reads version 6 of the file, which mosquitto 2.0 writes (its src/persist.h): a header of 23
 * bytes, then chunks with a type and a length. mosquitto saves between two packets, so the file is
 * its exact state at one time: a message accepted before that time and missing in the file was
 * acknowledged by its receiver; a message accepted later is not in the file.
 *
 * Subscriptions with a share are not in the file: after each start mosquitto knows them only when
 * the client has subscribed again.
 */
#ifndef TORTURE_BROKER_SAVED_H
#define TORTURE_BROKER_SAVED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Numbers of commands. */
struct number_list {
    uint32_t *numbers;
    size_t count;
    size_t capacity;
};

struct broker_saved {
    bool is_there;               /* false: there is no file, and all other fields are empty */
    int64_t saved_ms;            /* time of the save, monotonic clock */
    bool has_bridge;             /* the bridge was subscribed for starts, and not with a share */
    struct number_list commands; /* queued for the bridge */
    struct number_list replies;  /* queued for the witness */
};

/* Reads the file; ends the run if its format is unknown. */
void broker_saved_read(struct broker_saved *out_saved, const char *path);
void broker_saved_fini(struct broker_saved *saved);
bool number_list_has(const struct number_list *list, uint32_t number);

#endif

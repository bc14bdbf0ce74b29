/*
 * broker_saved - what mosquitto's database held: the commands that wait for the bridge, the replies
 * that wait for the witness, and whether the bridge was subscribed.
 *
 * Reads version 6 of the file, which mosquitto 2.0 writes (its src/persist.h): a head of 23 bytes,
 * then chunks of a kind and a length. mosquitto saves between two packets, so the file is the whole
 * truth of one moment: what it took before that and does not hold had been acknowledged by its
 * receiver, and what it took afterwards is not there.
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
    bool is_there;               /* false: no file, everything else is empty */
    int64_t saved_ms;            /* of the monotonic clock */
    bool has_bridge;             /* the bridge's subscription */
    struct number_list commands; /* that wait for the bridge to acknowledge them */
    struct number_list replies;  /* that wait for the witness */
};

/* Reads the file as it is now; ends the run where it cannot be understood. */
void broker_saved_read(struct broker_saved *out_saved, const char *path);
void broker_saved_fini(struct broker_saved *saved);
bool number_list_has(const struct number_list *list, uint32_t number);

#endif

/*
 * rows - reading and writing rows, one statement for each function.
 *
 * Thread: as store.h. Fails with: STATUS_STORE, with the reason in store->error. The caller rolls
 * back.
 */
#ifndef LEDGER_SQLITE_ROWS_H
#define LEDGER_SQLITE_ROWS_H

#include "sqlite_private.h"

/* Callbacks must not call the store. */
typedef void store_reply_to_fn(void *arg, const struct reply_to *reply_to);
typedef void store_message_fn(void *arg, int64_t id, struct slice message);

/* Ends the reading of the row that the last caller got. The other functions do it first. */
void rows_release(struct store *store);

enum status rows_begin(struct store *store);
enum status rows_commit(struct store *store);
/* Does nothing if there is no transaction, also because SQLite rolled back by itself. */
void rows_rollback(struct store *store);

/* STATUS_NOT_FOUND: no row has the token. *out_reply_to_count is 0 for a DONE row. */
enum status rows_find(struct store *store, struct slice token, struct store_row *out_row,
                      int64_t *out_reply_to_count);
/* The index that rows_find_success() needs: makes it, or removes it. */
enum status rows_keep_effect_index(struct store *store, bool is_kept);
/* As ledger_find_success(); STATUS_NOT_FOUND: there is none. */
enum status rows_find_success(struct store *store, struct slice fingerprint, struct slice group,
                              int64_t since_ms, struct store_row *out_row);
/* STATUS_BUSY: a row has the token already; nothing was written. */
enum status rows_insert(struct store *store, const struct claim_request *claim,
                        struct slice history);
/* This and the next functions append `events` to the command's history. */
enum status rows_set_state(struct store *store, const struct move_request *move,
                           struct slice events);
/* The row becomes DONE. The caller takes the reply_tos. */
enum status rows_finish(struct store *store, const struct finish_request *finish,
                        struct slice events);
enum status rows_add_history(struct store *store, int64_t id, struct slice events);
/* Deletes a DONE row. */
/* Replaces the whole history. */
enum status rows_set_history(struct store *store, int64_t id, struct slice history);
/* Unfinished again: see rules_retry(). */
enum status rows_retry(struct store *store, const struct command *command);
enum status rows_forget(struct store *store, int64_t id);
/* As store_ops.each(). */
enum status rows_each(struct store *store, enum store_list list, int64_t after_id, size_t limit,
                      store_row_fn *each, void *arg);
/* CALLING and RECALLING become UNSURE, with one more crash each if `has_crashed`. */
enum status rows_reset_calls(struct store *store, bool has_crashed, struct slice events);
/* Deletes at most `limit` expired rows, the oldest first. */
enum status rows_expire(struct store *store, int64_t now_ms, size_t limit, size_t *out_count);
/* Gives STORE_SQLITE_SHRINK_PAGES free pages back to the disk, if there are many more than new rows
 * need soon; *out_has_more: there still are. */
enum status rows_shrink(struct store *store, bool *out_has_more, int64_t *out_bytes);

/* Place 0 is the sender of the command; places 1, 2, ... are duplicates that wait. Every row that
 * is not DONE has a reply_to at place 0. */
enum status rows_add_reply_to(struct store *store, int64_t command_id, int64_t place,
                              const struct reply_to *reply_to);
/* In order of their places. `reply_to` is valid during the call, which must not call the store. */
enum status rows_each_reply_to(struct store *store, int64_t command_id, store_reply_to_fn *each,
                               void *arg);
enum status rows_remove_reply_tos(struct store *store, int64_t command_id);
/* Makes those of an unfinished command kept ones, and the other way round; how many there are. */
enum status rows_turn_reply_tos(struct store *store, int64_t command_id, size_t *out_count);

/* `command_id` is that of the command to which the message belongs; 0: none. */
enum status rows_post(struct store *store, int64_t id, struct slice message, int64_t command_id);
/* Appends the events to the history of the command to which the message belongs, if it is there. */
enum status rows_note_message(struct store *store, int64_t id, struct slice events);
/* The command to which the message belongs; 0: none, or there is no such message. */
enum status rows_owner_of_message(struct store *store, int64_t id, int64_t *out_command_id);
/* STATUS_NOT_FOUND: there is no such message. */
enum status rows_unpost(struct store *store, int64_t id);
enum status rows_read_outbox(struct store *store, int64_t from_id, size_t limit,
                             store_message_fn *each, void *arg);

/* `seq` is greater than that of every row. */
enum status rows_add_audit(struct store *store, int64_t seq, struct slice record);
enum status rows_read_audit(struct store *store, int64_t from_seq, size_t limit,
                            store_message_fn *each, void *arg);
/* Deletes the rows up to `seq`. */
enum status rows_forget_audit(struct store *store, int64_t seq);

/* STATUS_NOT_FOUND: the group has no watch. *out_watch is a copy, which the caller frees. */
enum status rows_find_watch(struct store *store, struct slice object, struct watch **out_watch);
/* As store_ops.each_watch(). */
enum status rows_each_watch(struct store *store, store_watch_fn *each, void *arg);
/* In the place of the watch that the group has. */
enum status rows_put_watch(struct store *store, const struct watch *watch);
/* Stores the state, or deletes the watch where it is over. STATUS_NOT_FOUND: it is not there with
 * the expected Seq; nothing was written. */
enum status rows_change_watch(struct store *store, const struct watch_request *change);

enum status rows_count_after(struct store *store, int64_t id, int64_t *out_count);
enum status rows_summarise(struct store *store, struct store_summary *out_summary);
enum status rows_set_meta(struct store *store, const char *key, int64_t value);
/* STATUS_NOT_FOUND: it was never written. */
enum status rows_get_meta(struct store *store, const char *key, int64_t *out_value);
enum status rows_unset_meta(struct store *store, const char *key);
enum status rows_each_meta(struct store *store, const char *prefix, store_meta_fn *each, void *arg);

#endif

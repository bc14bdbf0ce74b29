/*
 * flow_certificates - the certificates that TLS tests need, in a directory of the test program's.
 *
 * From the authority `good`, for 127.0.0.1 and localhost: right, expired, future; for another host:
 * other. Clients of `good`: client (its key is encrypted, with the word in the file password),
 * plain-client, soon (it expires in three days). From the authority `stranger`: unknown,
 * strange-client. A file `nothing` holds neither certificate nor key.
 */
#ifndef FLOW_CERTIFICATES_H
#define FLOW_CERTIFICATES_H

/* The directory. */
extern char certificates[64];

void certificates_begin(void);
void certificates_end(void);
/* Gives a file's content to another, or a new one. */
void certificates_copy(const char *from, const char *to);

#endif

/*
 * flow_certificates - the certificates that TLS tests need, in a directory of the test program.
 *
 * Issued by the authority `good` for 127.0.0.1 and localhost: right, expired, future; for another
 * host: other. Client certificates of `good`: client (the key is encrypted with the password in the
 * file password), plain-client, soon (it expires in three days). Issued by the authority
 * `stranger`: unknown, strange-client. A file `nothing` holds neither certificate nor key.
 */
#ifndef FLOW_CERTIFICATES_H
#define FLOW_CERTIFICATES_H

/* The directory. */
extern char certificates[64];

void certificates_begin(void);
void certificates_end(void);
/* Copies a file; replaces an existing one. */
void certificates_copy(const char *from, const char *to);
/* Makes a directory <name> with the authority, in the form of `openssl rehash`. */
void certificates_hash(const char *name, const char *authority);
/* Makes the files server, shown (for a client) and trust (their authority) as copies of right,
 * plain-client and good. */
void certificates_set_good(void);
/* Replaces server, shown and trust with files of a new authority of this name. */
void certificates_set_next(const char *authority);

#endif

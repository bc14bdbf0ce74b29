/*
 * broker_login - user name and password for one connection to the broker.
 *
 * They are those of the settings, or with broker.apsaramq.instance_id those that ApsaraMQ for MQTT
 * asks for, which belong to one client id: the password of a device or of a signature is
 * Base64(HMAC-SHA1(secret, client id)), that of a token is the token. The files are read for each
 * connection, so that a changed one is used for the next. The MQTT process gets the password only.
 *
 * Thread: the loop's (libinih). Texts about errors contain no secret.
 */
#ifndef MQTT_BROKER_LOGIN_H
#define MQTT_BROKER_LOGIN_H

#include "base/buf.h"
#include "base/secret.h"
#include "base/status.h"
#include "settings/settings.h"

#include <stdbool.h>

struct broker_login {
    struct buf username; /* empty for none */
    struct secret password;
    bool has_password;
};

/* What is wrong, for people: the setting, its file, and what about it. */
struct broker_login_fault {
    const char *setting;
    char *file; /* to be freed */
    struct buf text;
};

/*
 * Fills *out_login, which is {0}; free it in every case. Another status than STATUS_OK comes with
 * *out_fault, which is {0} before: STATUS_NOT_FOUND where a file or the section of the client id is
 * missing, STATUS_INVALID or the status of secret_read_file() otherwise.
 */
enum status broker_login_make(const struct settings *settings, struct slice client_id,
                              struct broker_login *out_login, struct broker_login_fault *out_fault);
/* Frees and wipes. */
void broker_login_fini(struct broker_login *login);
void broker_login_fault_fini(struct broker_login_fault *fault);

#endif

/*
 * utf8 - well-formed UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above
 * U+10FFFF.
 *
 * Thread: any.
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/slice.h"

#include <stdbool.h>

bool utf8_is_valid(struct slice text);
/* How many bytes the character at the front has, 1 to 4; 0 where none begins, also at the end. */
size_t utf8_character_length(struct slice text);
/*
 * The longest prefix of at most `limit_bytes` bytes that does not cut a character. `text` is valid
 * UTF-8.
 */
struct slice utf8_prefix(struct slice text, size_t limit_bytes);
/*
 * MQTT's rule for strings that others must accept: valid UTF-8 without U+0000, other control
 * characters and code points that are no characters (MQTT 5, section 1.5.4).
 */
bool utf8_is_mqtt_text(struct slice text);

#endif

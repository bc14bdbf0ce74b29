/*
 * utf8 - well-formed UTF-8 as in RFC 3629: no overlong forms, no surrogates, nothing above
 * U+10FFFF.
 *
 * Thread: any.
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

bool utf8_is_valid(struct slice text);
/* Bytes of the first character, 1 to 4; 0 where the text is empty or does not begin with one. */
size_t utf8_character_length(struct slice text);
/* The first character of a text that begins with one. */
uint32_t utf8_character(struct slice text);
/*
 * Whether the character is not seen, or changes how the text beside it is seen: control characters,
 * direction marks, line and paragraph separators, zero-width and other ignorable characters,
 * noncharacters. A text that others have written is shown with these escaped.
 */
bool utf8_is_hidden(uint32_t character);
/*
 * The longest prefix of at most `limit_bytes` bytes that does not cut a character. `text` is valid
 * UTF-8.
 */
struct slice utf8_prefix(struct slice text, size_t limit_bytes);
/*
 * Whether every MQTT broker accepts the text: valid UTF-8 without U+0000, other control characters
 * and noncharacters (MQTT 5, section 1.5.4).
 */
bool utf8_is_mqtt_text(struct slice text);
/* Whether all bytes are ASCII from space to '~'. */
bool utf8_is_printable_ascii(struct slice text);

#endif

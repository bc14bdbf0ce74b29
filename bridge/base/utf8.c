#include "base/utf8.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

/* The well-formed byte sequences of The Unicode Standard, table 3-7. The third and the fourth byte
 * are 80..BF. */
struct lead {
    uint8_t first;
    uint8_t last;
    uint8_t second_first;
    uint8_t second_last;
    uint8_t length;
};

static const struct lead leads[] = {
    {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
    {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
    {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
};

static uint8_t byte_at(struct slice text, size_t index)
{
    return (uint8_t)text.data[index];
}

static bool is_continuation(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

size_t utf8_character_length(struct slice text)
{
    if (text.length == 0) {
        return 0;
    }
    uint8_t first = byte_at(text, 0);
    if (first < 0x80) {
        return 1;
    }
    size_t i = 0;
    while (i < sizeof leads / sizeof leads[0] && first > leads[i].last) {
        i++;
    }
    if (i == sizeof leads / sizeof leads[0] || first < leads[i].first ||
        text.length < leads[i].length || byte_at(text, 1) < leads[i].second_first ||
        byte_at(text, 1) > leads[i].second_last) {
        return 0;
    }
    for (size_t k = 2; k < leads[i].length; k++) {
        if (!is_continuation(byte_at(text, k))) {
            return 0;
        }
    }
    return leads[i].length;
}

uint32_t utf8_character(struct slice text)
{
    static const uint8_t lead_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07}; /* by the character's length */
    size_t length = utf8_character_length(text);
    assert(length > 0);
    uint32_t character = byte_at(text, 0) & lead_bits[length];
    for (size_t i = 1; i < length; i++) {
        character = character << 6 | (byte_at(text, i) & 0x3fU);
    }
    return character;
}

static bool is_control(uint32_t character)
{
    return character < 0x20 || (character >= 0x7f && character < 0xa0);
}

static bool is_noncharacter(uint32_t character)
{
    return (character >= 0xfdd0 && character <= 0xfdef) || (character & 0xfffe) == 0xfffe;
}

/* Beside controls and noncharacters: the property Default_Ignorable_Code_Point of Unicode 15, line
 * and paragraph separator, and the annotation characters. */
static const struct {
    uint32_t first;
    uint32_t last;
} hidden[] = {
    {0xad, 0xad},       {0x34f, 0x34f},     {0x61c, 0x61c},   {0x115f, 0x1160}, {0x17b4, 0x17b5},
    {0x180b, 0x180f},   {0x200b, 0x200f},   {0x2028, 0x202e}, {0x2060, 0x206f}, {0x3164, 0x3164},
    {0xfe00, 0xfe0f},   {0xfeff, 0xfeff},   {0xffa0, 0xffa0}, {0xfff0, 0xfffb}, {0x1bca0, 0x1bca3},
    {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff},
};

bool utf8_is_hidden(uint32_t character)
{
    bool is_hidden = is_control(character) || is_noncharacter(character);
    for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++) {
        is_hidden |= character >= hidden[i].first && character <= hidden[i].last;
    }
    return is_hidden;
}

bool utf8_is_valid(struct slice text)
{
    while (text.length > 0) {
        size_t length = utf8_character_length(text);
        if (length == 0) {
            return false;
        }
        text = slice_skip(text, length);
    }
    return true;
}

struct slice utf8_prefix(struct slice text, size_t limit_bytes)
{
    if (text.length <= limit_bytes) {
        return text;
    }
    size_t length = limit_bytes;
    while (length > 0 && is_continuation(byte_at(text, length))) {
        length--;
    }
    return slice_of(text.data, length);
}

static bool is_printable_ascii(uint8_t byte)
{
    return byte >= 0x20 && byte < 0x7f;
}

bool utf8_is_mqtt_text(struct slice text)
{
    while (text.length > 0) {
        if (is_printable_ascii(byte_at(text, 0))) { /* most texts have nothing else */
            text = slice_skip(text, 1);
            continue;
        }
        size_t length = utf8_character_length(text);
        uint32_t character = length == 0 ? 0 : utf8_character(text);
        if (is_control(character) || is_noncharacter(character)) {
            return false;
        }
        text = slice_skip(text, length);
    }
    return true;
}

bool utf8_is_printable_ascii(struct slice text)
{
    for (size_t i = 0; i < text.length; i++) {
        if (!is_printable_ascii(byte_at(text, i))) {
            return false;
        }
    }
    return true;
}

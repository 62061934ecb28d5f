/* Names of keys. The hard part is that a tenant's or a model's name is any text, and a key must never read as another
 * one: what could be taken for structure is encoded, and what is too long is told apart by its digest. */
#include "redis/key.h"

#include "crypto/digest.h"

static const char hex_digits[] = "0123456789ABCDEF";

static bool is_plain(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.' || c == '~';
}

void redis_key_part_append(struct buf *out, struct slice part) {
    bool shortened = part.n > REDIS_PART_MAX;
    size_t n = shortened ? REDIS_PART_MAX / 2 : part.n;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)part.p[i];
        if (is_plain(part.p[i]))
            buf_append(out, &part.p[i], 1);
        else
            buf_append(out, (char[]){'%', hex_digits[c >> 4], hex_digits[c & 15]}, 3);
    }
    if (!shortened) return;
    uint8_t digest[DIGEST_BYTES];
    char text[2 * DIGEST_BYTES];
    digest_sha256(part, digest);
    hex_encode(digest, sizeof digest, text);
    buf_append(out, "%%", 2);
    buf_append(out, text, sizeof text);
}

bool redis_key_part_decode(struct slice encoded, struct buf *out) {
    for (size_t i = 0; i < encoded.n; i++) {
        uint8_t byte;
        if (encoded.p[i] == '%') {
            if (i + 2 >= encoded.n || !hex_decode((struct slice){encoded.p + i + 1, 2}, &byte, 1)) return false;
            buf_append(out, &byte, 1);
            i += 2;
        } else if (is_plain(encoded.p[i])) {
            buf_append(out, &encoded.p[i], 1);
        } else {
            return false;
        }
    }
    return true;
}

void redis_key_append(struct buf *out, struct slice prefix, struct slice tag, struct slice kind,
                      const struct slice *parts, size_t part_count) {
    buf_append_slice(out, prefix);
    buf_append(out, "{", 1);
    redis_key_part_append(out, tag);
    buf_append(out, "}", 1);
    buf_append_slice(out, kind);
    for (size_t i = 0; i < part_count; i++) {
        buf_append(out, ":", 1);
        redis_key_part_append(out, parts[i]);
    }
}

static uint16_t crc16(struct slice s) {
    uint16_t crc = 0;
    for (size_t i = 0; i < s.n; i++) {
        crc ^= (uint16_t)((unsigned char)s.p[i] << 8);
        for (int bit = 0; bit < 8; bit++) crc = (uint16_t)((crc & 0x8000) != 0 ? (crc << 1) ^ 0x1021 : crc << 1);
    }
    return crc;
}

unsigned redis_key_slot(struct slice key) {
    const char *open = key.n > 0 ? memchr(key.p, '{', key.n) : NULL;
    if (open != NULL) {
        size_t left = key.n - (size_t)(open + 1 - key.p);
        const char *close = left > 0 ? memchr(open + 1, '}', left) : NULL;
        if (close != NULL && close > open + 1) key = (struct slice){open + 1, (size_t)(close - open - 1)};
    }
    return crc16(key) % REDIS_SLOTS;
}

#include "base/digest.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define THREADS         4
#define HASHES_A_THREAD 500

struct mac_vector {
    struct slice key;
    struct slice data;
    const char *code;
};

#define BYTES(text)              \
    {                            \
        (text), sizeof(text) - 1 \
    }
#define AA_10 "\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa"
#define AA_20 AA_10 AA_10
#define AA_80 AA_20 AA_20 AA_20 AA_20
#define DD_50                                                                                      \
    "\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd" \
    "\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd" \
    "\xdd\xdd\xdd\xdd"
#define CD_50                                                                                      \
    "\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd" \
    "\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd" \
    "\xcd\xcd\xcd\xcd"
#define KEY_25                                                                                     \
    "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17" \
    "\x18\x19"
#define KEY_0B "\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b"

/* RFC 4231, section 4. */
static const struct mac_vector sha256_macs[] = {
    {BYTES(KEY_0B), BYTES("Hi There"),
     "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
    {BYTES("Jefe"), BYTES("what do ya want for nothing?"),
     "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
    {BYTES(AA_20), BYTES(DD_50),
     "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
    {BYTES(KEY_25), BYTES(CD_50),
     "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
    {BYTES(AA_80 AA_20 AA_20 AA_10 "\xaa"),
     BYTES("Test Using Larger Than Block-Size Key - Hash Key First"),
     "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
    {BYTES(AA_80 AA_20 AA_20 AA_10 "\xaa"),
     BYTES("This is a test using a larger than block-size key and a larger than block-size data. "
           "The key needs to be hashed before being used by the HMAC algorithm."),
     "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
};

/* RFC 2202, section 3. */
static const struct mac_vector sha1_macs[] = {
    {BYTES(KEY_0B), BYTES("Hi There"), "b617318655057264e28bc0b6fb378c8ef146be00"},
    {BYTES("Jefe"), BYTES("what do ya want for nothing?"),
     "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"},
    {BYTES(AA_20), BYTES(DD_50), "125d7342b9ac11cd91a39af48aa17b4f63f175d3"},
    {BYTES(KEY_25), BYTES(CD_50), "4c9007f4026250c6bc8414f9bf50c86c2d7235da"},
    {BYTES(AA_80), BYTES("Test Using Larger Than Block-Size Key - Hash Key First"),
     "aa4ae5e15272d00e95705637ce8a3b55ed402112"},
    {BYTES(AA_80),
     BYTES("Test Using Larger Than Block-Size Key and Larger Than One Block-Size Data"),
     "e8e99d0f45237d786d6bbaa7965c7808bbff1a91"},
};

static void test_sha256_agrees_with_the_standard(void **state)
{
    (void)state;
    /* FIPS 180-4 examples. */
    char hex[DIGEST_SHA256_HEX_BYTES];
    digest_sha256_hex(slice_text(""), hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    digest_sha256_hex(slice_text("abc"), hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    digest_sha256_hex(slice_text("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"), hex);
    assert_string_equal(hex, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

static void test_the_absent_slice_hashes_as_the_empty_one(void **state)
{
    (void)state;
    uint8_t absent[DIGEST_SHA256_BYTES];
    uint8_t empty[DIGEST_SHA256_BYTES];
    digest_sha256(slice_text(NULL), absent);
    digest_sha256(slice_text(""), empty);
    assert_memory_equal(absent, empty, sizeof empty);
    digest_hmac_sha256(slice_text(NULL), slice_text(NULL), absent);
    digest_hmac_sha256(slice_text(""), slice_text(""), empty);
    assert_memory_equal(absent, empty, sizeof empty);
}

static void test_hmac_sha256_agrees_with_rfc_4231(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof sha256_macs / sizeof sha256_macs[0]; i++) {
        uint8_t code[DIGEST_SHA256_BYTES];
        char hex[2 * DIGEST_SHA256_BYTES + 1];
        digest_hmac_sha256(sha256_macs[i].key, sha256_macs[i].data, code);
        digest_hex(code, sizeof code, hex);
        assert_string_equal(hex, sha256_macs[i].code);
    }
}

static void test_hmac_sha1_agrees_with_rfc_2202(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof sha1_macs / sizeof sha1_macs[0]; i++) {
        uint8_t code[DIGEST_SHA1_BYTES];
        char hex[2 * DIGEST_SHA1_BYTES + 1];
        digest_hmac_sha1(sha1_macs[i].key, sha1_macs[i].data, code);
        digest_hex(code, sizeof code, hex);
        assert_string_equal(hex, sha1_macs[i].code);
    }
}

static void test_an_empty_key_is_a_key(void **state)
{
    (void)state;
    uint8_t code[DIGEST_SHA256_BYTES];
    char hex[2 * DIGEST_SHA256_BYTES + 1];
    digest_hmac_sha256(slice_text("earlier"), slice_text("x"), code);
    digest_hmac_sha256(slice_text(""), slice_text(""), code);
    digest_hex(code, sizeof code, hex);
    assert_string_equal(hex, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void test_hex_is_lower_case(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0x00, 0x0f, 0xa5, 0xff};
    char hex[9];
    digest_hex(bytes, sizeof bytes, hex);
    assert_string_equal(hex, "000fa5ff");
    digest_hex(NULL, 0, hex);
    assert_string_equal(hex, "");
}

static void test_base64_agrees_with_rfc_4648(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
        {"\xfb\xff\xbf", "+/+/"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        struct buf out = {0};
        buf_append_text(&out, "=");
        digest_base64(slice_text(pairs[i][0]), &out);
        assert_int_equal(out.length, strlen(out.data));
        assert_string_equal(out.data + 1, pairs[i][1]);
        buf_clear(&out);
        buf_append_text(&out, "=");
        assert_int_equal(digest_base64_decode(slice_text(pairs[i][1]), &out), STATUS_OK);
        assert_string_equal(out.data + 1, pairs[i][0]);
        assert_int_equal(out.length, 1 + strlen(pairs[i][0]));
        buf_fini(&out);
    }
}

static void test_what_is_not_strict_base64_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"Z",        "Zg",   "Zg=",   "=",    "====",
                                        "Zg==Zg==", "Z===", "Zh==",  "Zm9=", "Zm9v\n",
                                        " Zg=",     "-_-_", "Zm9vZ", "Zg=v", "\xc3\xa4vv"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct buf out = {0};
        buf_append_text(&out, "x");
        assert_int_equal(digest_base64_decode(slice_text(texts[i]), &out), STATUS_INVALID);
        assert_string_equal(out.data, "x");
        buf_fini(&out);
    }
}

static void test_long_base64_has_no_line_breaks(void **state)
{
    (void)state;
    static const char zeros[300];
    struct buf out = {0};
    digest_base64(slice_of(zeros, sizeof zeros), &out);
    assert_int_equal(out.length, 400);
    assert_int_equal(strspn(out.data, "A"), 400);
    buf_fini(&out);
}

static void test_random_bytes_differ_from_call_to_call(void **state)
{
    (void)state;
    uint8_t a[32] = {0};
    uint8_t b[32] = {0};
    digest_random(a, sizeof a);
    digest_random(b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
}

static void test_random_bytes_stay_within_their_length(void **state)
{
    (void)state;
    uint8_t bytes[18] = {0};
    bytes[17] = 0x5a;
    digest_random(bytes, 17);
    assert_int_equal(bytes[17], 0x5a);
}

static void test_a_nonce_is_32_digits_and_new_each_time(void **state)
{
    (void)state;
    enum { COUNT = 200 }; /* several draws */
    char nonces[COUNT][DIGEST_NONCE_BYTES];
    for (size_t i = 0; i < COUNT; i++) {
        digest_nonce(nonces[i]);
        assert_int_equal(strspn(nonces[i], "0123456789abcdef"), 32);
        assert_int_equal(strlen(nonces[i]), 32);
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(nonces[i], nonces[k]);
        }
    }
}

static void test_the_library_version_names_openssl_3(void **state)
{
    (void)state;
    assert_non_null(strstr(digest_library_version(), "OpenSSL 3."));
}

static void *hash_many(void *arg)
{
    int *failures = arg;
    for (int i = 0; i < HASHES_A_THREAD; i++) {
        const struct mac_vector *vector = &sha256_macs[(size_t)i % 6];
        uint8_t code[DIGEST_SHA256_BYTES];
        char hex[2 * DIGEST_SHA256_BYTES + 1];
        digest_hmac_sha256(vector->key, vector->data, code);
        digest_hex(code, sizeof code, hex);
        *failures += strcmp(hex, vector->code) != 0;
    }
    return NULL;
}

static void test_threads_do_not_disturb_each_other(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    int failures[THREADS] = {0};
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, hash_many, &failures[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(failures[i], 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* First, so that the threads meet while the algorithms are not fetched yet. */
        cmocka_unit_test(test_threads_do_not_disturb_each_other),
        cmocka_unit_test(test_sha256_agrees_with_the_standard),
        cmocka_unit_test(test_the_absent_slice_hashes_as_the_empty_one),
        cmocka_unit_test(test_hmac_sha256_agrees_with_rfc_4231),
        cmocka_unit_test(test_hmac_sha1_agrees_with_rfc_2202),
        cmocka_unit_test(test_an_empty_key_is_a_key),
        cmocka_unit_test(test_hex_is_lower_case),
        cmocka_unit_test(test_base64_agrees_with_rfc_4648),
        cmocka_unit_test(test_what_is_not_strict_base64_is_refused),
        cmocka_unit_test(test_long_base64_has_no_line_breaks),
        cmocka_unit_test(test_random_bytes_differ_from_call_to_call),
        cmocka_unit_test(test_random_bytes_stay_within_their_length),
        cmocka_unit_test(test_a_nonce_is_32_digits_and_new_each_time),
        cmocka_unit_test(test_the_library_version_names_openssl_3),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

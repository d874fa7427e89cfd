/* Shortest-form msgpack against msgpack-c, and every other form refused. */
#include "proto/wire/pack.h"

#include <criterion/criterion.h>
#include <msgpack.h>
#include <stdlib.h>

enum { BUFFER_BYTES = 70000 };

static uint8_t buffer[BUFFER_BYTES];
static uint8_t content[BUFFER_BYTES];
static msgpack_sbuffer oracle_bytes;
static msgpack_packer oracle;
static struct packer packer;
static struct unpacker unpacker;

static void begin(void)
{
    for (size_t i = 0; i < BUFFER_BYTES; i++)
        content[i] = (uint8_t)('a' + i % 23);
    msgpack_sbuffer_init(&oracle_bytes);
    msgpack_packer_init(&oracle, &oracle_bytes, msgpack_sbuffer_write);
    pack_begin(&packer, buffer, BUFFER_BYTES);
}

static void end(void)
{
    msgpack_sbuffer_destroy(&oracle_bytes);
}

TestSuite(pack, .init = begin, .fini = end, .timeout = 10);
TestSuite(unpack, .init = begin, .fini = end, .timeout = 10);

static const uint64_t lengths[] = {0,   1,   2,   14,    15,    16,    17,    30,    31,
                                   32,  33,  127, 128,   254,   255,   256,   257,   32767,
                                   511, 512, 513, 32768, 65534, 65535, 65536, 65537, 65600};
enum { LENGTHS_COUNT = sizeof lengths / sizeof lengths[0] };

static const uint64_t values[] = {0,
                                  1,
                                  126,
                                  127,
                                  128,
                                  129,
                                  254,
                                  255,
                                  256,
                                  257,
                                  65534,
                                  65535,
                                  65536,
                                  65537,
                                  UINT32_MAX - 1,
                                  UINT32_MAX,
                                  (uint64_t)UINT32_MAX + 1,
                                  (uint64_t)INT64_MAX,
                                  (uint64_t)INT64_MAX + 1,
                                  UINT64_MAX};
enum { VALUES_COUNT = sizeof values / sizeof values[0] };

static struct slice packed(void)
{
    cr_assert(!packer.overflowed);
    return (struct slice){buffer, packer.bytes};
}

static void assert_as_oracle(void)
{
    cr_assert(slice_is_equal(packed(), (struct slice){(const uint8_t *)oracle_bytes.data,
                                                      oracle_bytes.size}));
    unpack_begin(&unpacker, packed());
}

/* Starts to read literal bytes. */
#define READ(...)                                                           \
    do {                                                                    \
        static const uint8_t literal_[] = {__VA_ARGS__};                    \
        unpack_begin(&unpacker, (struct slice){literal_, sizeof literal_}); \
    } while (0)

/* The reading of these literal bytes answers zero and fails. */
#define REFUSES(call, ...)                              \
    do {                                                \
        READ(__VA_ARGS__);                              \
        cr_assert_eq(call, 0, "%s", #__VA_ARGS__);      \
        cr_assert(unpacker.failed, "%s", #__VA_ARGS__); \
    } while (0)

#define REFUSES_SLICE(call, ...)                           \
    do {                                                   \
        READ(__VA_ARGS__);                                 \
        cr_assert_eq((call).bytes, 0, "%s", #__VA_ARGS__); \
        cr_assert_null((call).data, "%s", #__VA_ARGS__);   \
        cr_assert(unpacker.failed, "%s", #__VA_ARGS__);    \
    } while (0)

/* [M-8] */
Test(pack, writes_unsigned_as_the_oracle_does_and_reads_them_back)
{
    for (size_t i = 0; i < VALUES_COUNT; i++) {
        pack_unsigned(&packer, values[i]);
        msgpack_pack_uint64(&oracle, values[i]);
    }
    assert_as_oracle();
    for (size_t i = 0; i < VALUES_COUNT; i++)
        cr_assert_eq(unpack_unsigned(&unpacker, UINT64_MAX), values[i]);
    cr_assert(unpack_is_complete(&unpacker));
}

/* [M-8] */
Test(pack, writes_array_headers_as_the_oracle_does_and_reads_them_back)
{
    for (size_t i = 0; i < LENGTHS_COUNT; i++) {
        begin();
        pack_array(&packer, (uint32_t)lengths[i]);
        msgpack_pack_array(&oracle, lengths[i]);
        assert_as_oracle();
        unpacker.packed.bytes = BUFFER_BYTES; /* elements behind the header */
        cr_assert_eq(unpack_array(&unpacker), lengths[i]);
        cr_assert_eq(unpacker.at, packer.bytes);
        cr_assert(!unpacker.failed);
        end();
    }
    begin();
    pack_array(&packer, UINT32_MAX);
    msgpack_pack_array(&oracle, UINT32_MAX);
    assert_as_oracle();
}

/* [M-8] */
Test(pack, writes_bin_as_the_oracle_does_and_reads_it_back)
{
    for (size_t i = 0; i < LENGTHS_COUNT; i++) {
        begin();
        pack_bin(&packer, content, lengths[i]);
        msgpack_pack_bin(&oracle, lengths[i]);
        msgpack_pack_bin_body(&oracle, content, lengths[i]);
        assert_as_oracle();
        cr_assert(slice_is_equal(unpack_bin(&unpacker, lengths[i], lengths[i]),
                                 (struct slice){content, lengths[i]}));
        cr_assert(unpack_is_complete(&unpacker));
        end();
    }
    begin();
}

/* [M-8] */
Test(pack, writes_str_as_the_oracle_does_and_reads_it_back)
{
    for (size_t i = 0; i < LENGTHS_COUNT; i++) {
        begin();
        pack_str(&packer, (struct slice){content, lengths[i]});
        msgpack_pack_str(&oracle, lengths[i]);
        msgpack_pack_str_body(&oracle, content, lengths[i]);
        assert_as_oracle();
        cr_assert(slice_is_equal(unpack_str(&unpacker, lengths[i], lengths[i]),
                                 (struct slice){content, lengths[i]}));
        cr_assert(unpack_is_complete(&unpacker));
        end();
    }
    begin();
}

/* [M-8] */
Test(pack, writes_bool_as_the_oracle_does_and_reads_it_back)
{
    pack_bool(&packer, true);
    pack_bool(&packer, false);
    msgpack_pack_true(&oracle);
    msgpack_pack_false(&oracle);
    assert_as_oracle();
    cr_assert(unpack_bool(&unpacker));
    cr_assert(!unpack_bool(&unpacker));
    cr_assert(unpack_is_complete(&unpacker));
}

Test(pack, copies_raw_bytes)
{
    pack_unsigned(&packer, 1);
    pack_raw(&packer, (struct slice){content, 300});
    pack_raw(&packer, (struct slice){0});
    cr_assert_eq(packed().bytes, 301);
    cr_assert_arr_eq(buffer + 1, content, 300);
}

/* Every kind of write, in the given room. */
static void pack_everything(size_t room_bytes)
{
    pack_begin(&packer, buffer, room_bytes);
    pack_array(&packer, 6);
    pack_unsigned(&packer, 70000);
    pack_bool(&packer, true);
    pack_bin(&packer, content, 16);
    pack_str(&packer, (struct slice){content, 40});
    pack_array(&packer, 2);
    pack_unsigned(&packer, 7);
    pack_unsigned(&packer, 200);
    pack_raw(&packer, (struct slice){(const uint8_t *)"\x05", 1});
}

enum { EVERYTHING_BYTES = 1 + 5 + 1 + 18 + 42 + 4 + 1 };

Test(pack, stops_at_the_buffers_end_and_stays_stopped)
{
    for (size_t room_bytes = 0; room_bytes < EVERYTHING_BYTES; room_bytes++) {
        memset(buffer, 0xee, EVERYTHING_BYTES);
        pack_everything(room_bytes);
        cr_assert(packer.overflowed);
        cr_assert_leq(packer.bytes, room_bytes);
        for (size_t i = packer.bytes; i < EVERYTHING_BYTES; i++)
            cr_assert_eq(buffer[i], 0xee);
        size_t bytes = packer.bytes;
        pack_raw(&packer, (struct slice){0});
        pack_bool(&packer, true);
        cr_assert(packer.overflowed);
        cr_assert_eq(packer.bytes, bytes);
    }
    pack_everything(EVERYTHING_BYTES);
    cr_assert_eq(packed().bytes, EVERYTHING_BYTES);
}

Test(pack, overflows_on_a_length_beyond_32_bits)
{
    pack_bin(&packer, content, (size_t)UINT32_MAX + 1);
    cr_assert(packer.overflowed);
    cr_assert_eq(packer.bytes, 0);
    pack_begin(&packer, buffer, BUFFER_BYTES);
    pack_str(&packer, (struct slice){content, (size_t)UINT32_MAX + 1});
    cr_assert(packer.overflowed);
    cr_assert_eq(packer.bytes, 0);
}

static void unpack_everything(struct slice from)
{
    unpack_begin(&unpacker, from);
    unpack_array(&unpacker);
    unpack_unsigned(&unpacker, UINT64_MAX);
    unpack_bool(&unpacker);
    unpack_bin(&unpacker, 16, 16);
    unpack_str(&unpacker, 0, 100);
    unpack_array(&unpacker);
    unpack_unsigned(&unpacker, UINT64_MAX);
    unpack_unsigned(&unpacker, UINT64_MAX);
    unpack_unsigned(&unpacker, UINT64_MAX);
}

Test(unpack, refuses_input_that_is_truncated_at_any_byte)
{
    pack_everything(BUFFER_BYTES);
    for (size_t bytes = 0; bytes < EVERYTHING_BYTES; bytes++) {
        uint8_t *exact = malloc(bytes + 1); /* its end is the sanitizer's to watch */
        cr_assert_not_null(exact);
        memcpy(exact + 1, buffer, bytes);
        unpack_everything((struct slice){exact + 1, bytes});
        cr_assert(unpacker.failed, "%zu", bytes);
        cr_assert(!unpack_is_complete(&unpacker));
        cr_assert_leq(unpacker.at, bytes);
        free(exact);
    }
    unpack_everything(packed());
    cr_assert(unpack_is_complete(&unpacker));
}

/* [M-9] */
Test(unpack, is_not_complete_before_trailing_bytes)
{
    pack_everything(BUFFER_BYTES);
    pack_unsigned(&packer, 0);
    unpack_everything(packed());
    cr_assert(!unpacker.failed);
    cr_assert(!unpack_is_complete(&unpacker));
}

/* [M-9] */
Test(unpack, refuses_integers_that_are_not_in_shortest_form)
{
    REFUSES(unpack_unsigned(&unpacker, UINT64_MAX), 0xcc, 0x00);
    REFUSES(unpack_unsigned(&unpacker, UINT64_MAX), 0xcc, 0x7f);
    REFUSES(unpack_unsigned(&unpacker, UINT64_MAX), 0xcd, 0x00, 0x01);
    REFUSES(unpack_unsigned(&unpacker, UINT64_MAX), 0xcd, 0x00, 0xff);
    REFUSES(unpack_unsigned(&unpacker, UINT64_MAX), 0xce, 0, 0, 0, 1);
    REFUSES(unpack_unsigned(&unpacker, UINT64_MAX), 0xce, 0, 0, 0xff, 0xff);
    REFUSES(unpack_unsigned(&unpacker, UINT64_MAX), 0xcf, 0, 0, 0, 0, 0, 0, 0, 1);
    REFUSES(unpack_unsigned(&unpacker, UINT64_MAX), 0xcf, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff);
    REFUSES(unpack_unsigned(&unpacker, UINT64_MAX), 0xd0, 1);    /* signed */
    REFUSES(unpack_unsigned(&unpacker, UINT64_MAX), 0xd1, 1, 0); /* signed */
    REFUSES(unpack_unsigned(&unpacker, UINT64_MAX), 0xff);       /* -1 */
}

/* [M-9] */
Test(unpack, refuses_array_headers_that_are_not_in_shortest_form)
{
    REFUSES(unpack_array(&unpacker), 0xdc, 0, 0);
    REFUSES(unpack_array(&unpacker), 0xdc, 0, 1, 0);
    REFUSES(unpack_array(&unpacker), 0xdc, 0, 15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    REFUSES(unpack_array(&unpacker), 0xdd, 0, 0, 0, 1, 0);
    buffer[0] = 0xdd;
    memcpy(buffer + 1, "\x00\x00\xff\xff", 4);
    unpack_begin(&unpacker, (struct slice){buffer, BUFFER_BYTES});
    cr_assert_eq(unpack_array(&unpacker), 0);
    cr_assert(unpacker.failed);
}

Test(unpack, refuses_an_array_with_more_elements_than_bytes)
{
    REFUSES(unpack_array(&unpacker), 0x92, 0x01);
    REFUSES(unpack_array(&unpacker), 0x91);
    REFUSES(unpack_array(&unpacker), 0xdd, 0xff, 0xff, 0xff, 0xff, 0x00);
}

/* [M-9] */
Test(unpack, refuses_lengths_that_are_not_in_shortest_form)
{
    REFUSES_SLICE(unpack_bin(&unpacker, 0, 300), 0xc5, 0x00, 0x01, 'a');
    REFUSES_SLICE(unpack_bin(&unpacker, 0, 300), 0xc6, 0, 0, 0, 1, 'a');
    REFUSES_SLICE(unpack_str(&unpacker, 0, 300), 0xd9, 0x01, 'a');
    REFUSES_SLICE(unpack_str(&unpacker, 0, 300), 0xda, 0x00, 0x01, 'a');
    REFUSES_SLICE(unpack_str(&unpacker, 0, 300), 0xdb, 0, 0, 0, 1, 'a');
    /* The longest content that each form may not hold. */
    static const struct {
        uint8_t header[5];
        size_t header_bytes, bytes;
        bool is_bin;
    } forms[] = {{{0xd9, 31}, 2, 31, false},
                 {{0xda, 0, 0xff}, 3, 0xff, false},
                 {{0xdb, 0, 0, 0xff, 0xff}, 5, 0xffff, false},
                 {{0xc5, 0, 0xff}, 3, 0xff, true},
                 {{0xc6, 0, 0, 0xff, 0xff}, 5, 0xffff, true}};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        memcpy(buffer, forms[i].header, forms[i].header_bytes);
        unpack_begin(&unpacker, (struct slice){buffer, forms[i].header_bytes + forms[i].bytes});
        struct slice content_read = forms[i].is_bin ? unpack_bin(&unpacker, 0, BUFFER_BYTES)
                                                    : unpack_str(&unpacker, 0, BUFFER_BYTES);
        cr_assert_eq(content_read.bytes, 0);
        cr_assert(unpacker.failed);
    }
}

/* [M-9] */
Test(unpack, refuses_values_outside_their_bounds)
{
    REFUSES(unpack_unsigned(&unpacker, 4), 5);
    REFUSES(unpack_unsigned(&unpacker, 199), 0xcc, 200);
    REFUSES_SLICE(unpack_bin(&unpacker, 3, 4), 0xc4, 2, 'a', 'b');
    REFUSES_SLICE(unpack_bin(&unpacker, 3, 4), 0xc4, 5, 'a', 'b', 'c', 'd', 'e');
    REFUSES_SLICE(unpack_str(&unpacker, 3, 4), 0xa2, 'a', 'b');
    REFUSES_SLICE(unpack_str(&unpacker, 3, 4), 0xa5, 'a', 'b', 'c', 'd', 'e');
    READ(5, 0xc4, 3, 'a', 'b', 'c', 0xa4, 'a', 'b', 'c', 'd');
    cr_assert_eq(unpack_unsigned(&unpacker, 5), 5);
    cr_assert_eq(unpack_bin(&unpacker, 3, 4).bytes, 3);
    cr_assert_eq(unpack_str(&unpacker, 3, 4).bytes, 4);
    cr_assert(unpack_is_complete(&unpacker));
}

/* [M-9] */
Test(unpack, takes_only_the_first_bytes_of_the_type_that_is_asked_for)
{
    for (unsigned first = 0; first <= 0xff; first++) {
        memset(buffer, 0xff, BUFFER_BYTES); /* the largest length: no form is too long for it */
        buffer[0] = (uint8_t)first;
        struct slice from = {buffer, BUFFER_BYTES};
        unpack_begin(&unpacker, from);
        unpack_unsigned(&unpacker, UINT64_MAX);
        cr_assert_eq(!unpacker.failed, first <= 0x7f || (first >= 0xcc && first <= 0xcf));
        unpack_begin(&unpacker, from);
        unpack_bool(&unpacker);
        cr_assert_eq(!unpacker.failed, first == 0xc2 || first == 0xc3);
        unpack_begin(&unpacker, from);
        unpack_array(&unpacker); /* 0xdd says more than there is */
        cr_assert_eq(!unpacker.failed, (first >= 0x90 && first <= 0x9f) || first == 0xdc);
        unpack_begin(&unpacker, from);
        unpack_bin(&unpacker, 0, SIZE_MAX); /* 0xc6 says more than there is */
        cr_assert_eq(!unpacker.failed, first == 0xc4 || first == 0xc5);
        unpack_begin(&unpacker, from);
        unpack_str(&unpacker, 0, SIZE_MAX); /* 0xdb likewise */
        cr_assert_eq(!unpacker.failed,
                     (first >= 0xa0 && first <= 0xbf) || first == 0xd9 || first == 0xda);
    }
}

Test(unpack, refuses_nested_garbage_where_a_value_is_expected)
{
    memset(buffer, 0x91, BUFFER_BYTES); /* arrays in arrays, as deep as the input is long */
    struct slice nested = {buffer, BUFFER_BYTES};
    unpack_begin(&unpacker, nested);
    cr_assert_eq(unpack_array(&unpacker), 1);
    cr_assert_eq(unpack_unsigned(&unpacker, UINT64_MAX), 0);
    cr_assert(unpacker.failed);
    cr_assert_leq(unpacker.at, 2);
}

Test(unpack, answers_zeros_once_it_has_failed)
{
    READ(0xc0, 0x91, 5, 0xc3, 0xc4, 1, 'a', 0xa1, 'b');
    cr_assert_eq(unpack_unsigned(&unpacker, UINT64_MAX), 0); /* nil */
    cr_assert(unpacker.failed);
    cr_assert_eq(unpack_array(&unpacker), 0);
    cr_assert_eq(unpack_unsigned(&unpacker, UINT64_MAX), 0);
    cr_assert(!unpack_bool(&unpacker));
    cr_assert_null(unpack_bin(&unpacker, 0, 10).data);
    cr_assert_null(unpack_str(&unpacker, 0, 10).data);
    unpacker.at = unpacker.packed.bytes;
    cr_assert(!unpack_is_complete(&unpacker));
}

Test(unpack, of_nothing_is_complete_and_refuses_any_read)
{
    unpack_begin(&unpacker, (struct slice){0});
    cr_assert(unpack_is_complete(&unpacker));
    cr_assert_eq(unpack_array(&unpacker), 0);
    cr_assert(unpacker.failed);
}

Test(unpack, refuses_numbers_on_both_sides_of_a_range)
{
    for (uint8_t value = 0; value < 10; value++) {
        unpack_begin(&unpacker, (struct slice){&value, 1});
        bool is_inside = value >= 3 && value <= 6;
        cr_assert_eq(unpack_between(&unpacker, 3, 6), is_inside ? value : 0);
        cr_assert_eq(unpack_is_complete(&unpacker), is_inside);
    }
    static const uint8_t wide[] = {0xcf, 0, 0, 0, 1, 0, 0, 0, 5}; /* 2^32 + 5 */
    unpack_begin(&unpacker, (struct slice){wide, sizeof wide});
    cr_assert_eq(unpack_between(&unpacker, 3, UINT32_MAX), 0);
    cr_assert(unpacker.failed);
}

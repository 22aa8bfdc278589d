/* SPDX-License-Identifier: MIT */
#include "base/digest.h"
#include "base/digest_variant.h"
#include "lib/cmocka.h"
#include <stdio.h>
#include <string.h>

#define LONGEST 1048577

/* What `xxhsum -H2` prints for the first len bytes of the pattern below. The lengths are those at which XXH3
 * goes over to another way of mixing, and the borders of its inner buffer. */
static const struct {
	size_t len;
	const char *text;
} vectors[] = {
	{0, "xxh128:99aa06d3014798d86001c324468d497f"},
	{1, "xxh128:495b62073ef70ca44c5cca45d0f4811f"},
	{3, "xxh128:021a348d148edbabeaad2b1bc8fcc7c0"},
	{4, "xxh128:d7d59e14db068d141de55debec5a7e49"},
	{8, "xxh128:8627727b418c2d579b9c3bea0de12331"},
	{9, "xxh128:ec64f0770edd08e1f81eaedb3a001408"},
	{16, "xxh128:a3ef22014aeb6b4140b842494696b488"},
	{17, "xxh128:dc1dc3df3b6ed068ef3b949987265153"},
	{64, "xxh128:e5dd78c083cd04dadcb1bb4a13996410"},
	{128, "xxh128:3e1cb5a81e311a8efa5d08731c64d1a3"},
	{129, "xxh128:3b3b31947ce3697f2b7f987e5e43b34b"},
	{240, "xxh128:541f1630fc5e52ba46f4acb7da50eb4a"},
	{241, "xxh128:873388ebb86490ce0bee9fcdd44dc4e2"},
	{255, "xxh128:90006e30bb233c01a19590d1eed90dde"},
	{256, "xxh128:b084f1b6decc643f1a739bf51003cb33"},
	{257, "xxh128:88f26e9f7721c98770b50b35288929cc"},
	{1023, "xxh128:75352bc3864c89a3fb8bc25b9eab0657"},
	{1024, "xxh128:a8addeee897e0ab1125f09b5c124279c"},
	{1025, "xxh128:4dcd0cfe0b18ff013d7fbe1fbd18c7e2"},
	{4096, "xxh128:cfb1b1b7b5f59aaac90152ffcc52ae38"},
	{65536, "xxh128:aafe7bafceb9ba91da85f777f14dea1d"},
	{LONGEST, "xxh128:1ab4c7e7599036fbb4d270f3b1d909e9"},
};

#define COUNT(table) (sizeof(table) / sizeof *(table))

static unsigned char pattern[LONGEST];

static int fill_pattern(void **state)
{
	(void)state;
	for (size_t i = 0; i < LONGEST; i++)
		pattern[i] = (unsigned char)(i * 167 + (i >> 8) * 13 + 7);
	return 0;
}

static void assert_digest(const struct lb_digest *digest, const char *expected)
{
	char text[LB_DIGEST_TEXT];

	assert_string_equal(lb_digest_text(digest, text), expected);
}

static void a_digest_is_what_xxhsum_prints(void **state)
{
	struct lb_hasher hasher;
	struct lb_digest digest;

	(void)state;
	for (size_t i = 0; i < COUNT(vectors); i++) {
		lb_hasher_init(&hasher);
		lb_hasher_update(&hasher, pattern, vectors[i].len);
		lb_hasher_digest(&hasher, &digest);
		assert_digest(&digest, vectors[i].text);
	}
}

static void pieces_of_any_size_make_the_same_digest(void **state)
{
	static const size_t pieces[] = {1, 7, 63, 64, 255, 256, 257, 1023, 1024, 65536};
	struct lb_hasher hasher;
	struct lb_digest digest;

	(void)state;
	for (size_t p = 0; p < COUNT(pieces); p++) {
		lb_hasher_init(&hasher);
		for (size_t at = 0; at < LONGEST; at += pieces[p])
			lb_hasher_update(
				&hasher, pattern + at, LONGEST - at < pieces[p] ? LONGEST - at : pieces[p]);
		lb_hasher_digest(&hasher, &digest);
		assert_digest(&digest, vectors[COUNT(vectors) - 1].text);
	}
}

static void a_piece_of_nothing_changes_nothing(void **state)
{
	struct lb_hasher hasher;
	struct lb_digest digest;

	(void)state;
	lb_hasher_init(&hasher);
	lb_hasher_update(&hasher, pattern, 0);
	lb_hasher_update(&hasher, pattern, 4096);
	lb_hasher_update(&hasher, pattern, 0);
	lb_hasher_digest(&hasher, &digest);
	assert_digest(&digest, "xxh128:cfb1b1b7b5f59aaac90152ffcc52ae38");
}

static void a_hasher_goes_on_after_its_digest_was_read(void **state)
{
	struct lb_hasher hasher;
	struct lb_digest digest;
	size_t at = 0;

	(void)state;
	lb_hasher_init(&hasher);
	for (size_t i = 0; i < COUNT(vectors); i++) {
		lb_hasher_update(&hasher, pattern + at, vectors[i].len - at);
		at = vectors[i].len;
		lb_hasher_digest(&hasher, &digest);
		assert_digest(&digest, vectors[i].text);
	}
}

static void a_hasher_that_is_used_again_has_forgotten(void **state)
{
	struct lb_hasher hasher;
	struct lb_digest digest;

	(void)state;
	memset(&hasher, 0xa5, sizeof hasher);
	for (int i = 0; i < 2; i++) {
		lb_hasher_init(&hasher);
		lb_hasher_update(&hasher, pattern, 65536);
		lb_hasher_digest(&hasher, &digest);
		assert_digest(&digest, "xxh128:aafe7bafceb9ba91da85f777f14dea1d");
	}
}

struct variant {
	void (*init)(void *state);
	void (*update)(void *state, const void *buf, size_t len);
	void (*digest)(const void *state, unsigned char out[16]);
};

static void check_variant(const struct variant *variant)
{
	struct lb_hasher hasher;
	struct lb_digest digest;

	for (size_t i = 0; i < COUNT(vectors); i++) {
		size_t half = vectors[i].len / 2;

		variant->init(hasher.state);
		variant->update(hasher.state, pattern, half);
		variant->update(hasher.state, pattern + half, vectors[i].len - half);
		variant->digest(hasher.state, digest.bytes);
		assert_digest(&digest, vectors[i].text);
	}
}

static void the_variant_for_every_processor_agrees(void **state)
{
	static const struct variant base = {lb_xxh3_init_base, lb_xxh3_update_base, lb_xxh3_digest_base};

	(void)state;
	check_variant(&base);
}

#ifdef __x86_64__
static void the_variant_for_avx2_agrees(void **state)
{
	static const struct variant avx2 = {lb_xxh3_init_avx2, lb_xxh3_update_avx2, lb_xxh3_digest_avx2};

	(void)state;
	if (!__builtin_cpu_supports("avx2"))
		skip();
	check_variant(&avx2);
}

static void the_variant_for_avx512_agrees(void **state)
{
	static const struct variant avx512 = {
		lb_xxh3_init_avx512, lb_xxh3_update_avx512, lb_xxh3_digest_avx512};

	(void)state;
	if (!__builtin_cpu_supports("avx512f"))
		skip();
	check_variant(&avx512);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_digest_is_what_xxhsum_prints),
		cmocka_unit_test(pieces_of_any_size_make_the_same_digest),
		cmocka_unit_test(a_piece_of_nothing_changes_nothing),
		cmocka_unit_test(a_hasher_goes_on_after_its_digest_was_read),
		cmocka_unit_test(a_hasher_that_is_used_again_has_forgotten),
		cmocka_unit_test(the_variant_for_every_processor_agrees),
#ifdef __x86_64__
		cmocka_unit_test(the_variant_for_avx2_agrees),
		cmocka_unit_test(the_variant_for_avx512_agrees),
#endif
	};

	return cmocka_run_group_tests(tests, fill_pattern, NULL);
}

/* SPDX-License-Identifier: MIT */
/* A simulated disk that forgets too little would prove nothing: this is what it has to forget, and what not. */
#include "lib/cmocka.h"
#include "sim/disk.h"
#include <errno.h>
#include <string.h>

struct fixture {
	struct sim_world world;
	struct sim_disk *disk;
	struct sim_inode *root, *dir, *file;
};

static void make(struct fixture *fixture, uint64_t seed)
{
	sim_world_init(&fixture->world, seed, false);
	fixture->disk = sim_disk_new(&fixture->world);
	fixture->root = fixture->disk->root;
	assert_int_equal(sim_disk_create(fixture->disk, fixture->root, "dir", true, &fixture->dir), 0);
	assert_int_equal(sim_disk_sync_dir(fixture->disk, fixture->root), 0);
	assert_int_equal(sim_disk_create(fixture->disk, fixture->dir, "file", false, &fixture->file), 0);
	assert_int_equal(sim_file_write(fixture->disk, fixture->file, "0123456789", 10, 0), 0);
}

static void end(struct fixture *fixture)
{
	sim_disk_free(fixture->disk);
	sim_world_deinit(&fixture->world);
}

static void what_is_synced_survives_and_nothing_else_has_to(void **state)
{
	struct fixture fixture;

	(void)state;
	make(&fixture, 1);
	sim_file_sync(fixture.file);
	assert_int_equal(sim_disk_sync_dir(fixture.disk, fixture.dir), 0);
	assert_int_equal(sim_file_write(fixture.disk, fixture.file, "abc", 3, 0), 0);
	assert_int_equal(sim_file_truncate(fixture.disk, fixture.file, 5), 0);
	sim_disk_lose_power(fixture.disk, 0);
	assert_ptr_equal(sim_disk_find(fixture.disk, "/dir/file"), fixture.file);
	assert_int_equal(fixture.file->seen.len, 10);
	assert_memory_equal(fixture.file->seen.at, "0123456789", 10);
	end(&fixture);
}

static void a_synced_file_without_a_synced_directory_has_no_name(void **state)
{
	struct fixture fixture;

	(void)state;
	make(&fixture, 1);
	sim_file_sync(fixture.file);
	sim_disk_lose_power(fixture.disk, 0);
	assert_null(sim_disk_find(fixture.disk, "dir/file"));
	end(&fixture);
}

static void a_name_without_synced_data_is_an_empty_file(void **state)
{
	struct fixture fixture;

	(void)state;
	make(&fixture, 1);
	assert_int_equal(sim_disk_sync_dir(fixture.disk, fixture.dir), 0);
	sim_disk_lose_power(fixture.disk, 0);
	assert_int_equal(sim_disk_find(fixture.disk, "dir/file")->seen.len, 0);
	end(&fixture);
}

static void a_write_is_kept_dropped_or_torn_at_a_sector(void **state)
{
	static unsigned char bytes[4 * SIM_SECTOR];
	unsigned seen[5] = {0};

	(void)state;
	memset(bytes, 'x', sizeof bytes);
	for (uint64_t seed = 0; seed < 200; seed++) {
		struct fixture fixture;

		make(&fixture, seed);
		assert_int_equal(sim_file_truncate(fixture.disk, fixture.file, 0), 0);
		sim_file_sync(fixture.file);
		assert_int_equal(sim_disk_sync_dir(fixture.disk, fixture.dir), 0);
		assert_int_equal(sim_file_write(fixture.disk, fixture.file, bytes, sizeof bytes, 0), 0);
		sim_disk_lose_power(fixture.disk, 50);
		assert_int_equal(fixture.file->seen.len % SIM_SECTOR, 0);
		seen[fixture.file->seen.len / SIM_SECTOR]++;
		end(&fixture);
	}
	assert_true(seen[0] > 0 && seen[4] > 0 && seen[1] + seen[2] + seen[3] > 0);
}

static void a_rename_is_whole_or_not_at_all(void **state)
{
	unsigned moved = 0;

	(void)state;
	for (uint64_t seed = 0; seed < 100; seed++) {
		struct fixture fixture;
		bool here, there;

		make(&fixture, seed);
		assert_int_equal(sim_disk_sync_dir(fixture.disk, fixture.dir), 0);
		assert_int_equal(
			sim_disk_rename(fixture.disk, fixture.dir, "file", fixture.root, "moved", false), 0);
		sim_disk_lose_power(fixture.disk, 50);
		here = sim_disk_find(fixture.disk, "dir/file") != NULL;
		there = sim_disk_find(fixture.disk, "moved") != NULL;
		assert_true(here != there);
		moved += there;
		end(&fixture);
	}
	assert_true(moved > 0 && moved < 100);
}

static void a_rename_is_durable_with_the_directory_that_it_goes_to(void **state)
{
	struct fixture fixture;

	(void)state;
	make(&fixture, 1);
	assert_int_equal(sim_disk_sync_dir(fixture.disk, fixture.dir), 0);
	assert_int_equal(sim_disk_rename(fixture.disk, fixture.dir, "file", fixture.root, "moved", false), 0);
	assert_int_equal(sim_disk_sync_dir(fixture.disk, fixture.dir), 0);
	assert_int_equal(sim_disk_sync_dir(fixture.disk, fixture.root), 0);
	sim_disk_lose_power(fixture.disk, 0);
	assert_non_null(sim_disk_find(fixture.disk, "moved"));
	assert_null(sim_disk_find(fixture.disk, "dir/file"));
	end(&fixture);
}

/* What a directory held goes out of it before it goes itself, or both stay. */
static void a_removed_directory_takes_no_file_with_it_that_was_moved_out(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 100; seed++) {
		struct fixture fixture;

		make(&fixture, seed);
		assert_int_equal(sim_disk_sync_dir(fixture.disk, fixture.dir), 0);
		assert_int_equal(
			sim_disk_rename(fixture.disk, fixture.dir, "file", fixture.root, "moved", false), 0);
		assert_int_equal(sim_disk_remove(fixture.disk, fixture.root, "dir", true), 0);
		sim_disk_lose_power(fixture.disk, 50);
		assert_true((sim_disk_find(fixture.disk, "moved") != NULL) !=
			    (sim_disk_find(fixture.disk, "dir/file") != NULL));
		end(&fixture);
	}
}

static void after_a_failed_sync_the_data_is_readable_and_never_durable(void **state)
{
	unsigned lost = 0;

	(void)state;
	for (uint64_t seed = 0; seed < 20; seed++) {
		struct fixture fixture;

		make(&fixture, seed);
		assert_int_equal(sim_disk_sync_dir(fixture.disk, fixture.dir), 0);
		sim_file_fail_sync(fixture.disk, fixture.file);
		assert_int_equal(fixture.file->seen.len, 10);
		sim_file_sync(fixture.file);
		sim_disk_lose_power(fixture.disk, 100);
		lost += fixture.file->seen.len == 0;
		end(&fixture);
	}
	assert_true(lost > 0);
}

static void a_full_disk_takes_a_part_and_says_so(void **state)
{
	struct fixture fixture;

	(void)state;
	make(&fixture, 1);
	fixture.disk->room = 15;
	assert_int_equal(sim_file_write(fixture.disk, fixture.file, "abcdefghij", 10, 10), -ENOSPC);
	assert_true(fixture.file->seen.len <= 15);
	assert_int_equal(sim_file_write(fixture.disk, fixture.file, "abc", 3, 0), 0);
	end(&fixture);
}

static void a_lock_holds_others_off_until_it_is_let_go(void **state)
{
	struct fixture fixture;
	int one, two;

	(void)state;
	make(&fixture, 1);
	assert_int_equal(sim_file_lock(fixture.file, 7, false, &one), 0);
	assert_int_equal(sim_file_lock(fixture.file, 7, false, &two), -EAGAIN);
	assert_int_equal(sim_file_lock(fixture.file, 8, false, &two), 0);
	sim_file_unlock_all(fixture.file, &one);
	assert_int_equal(sim_file_lock(fixture.file, 7, false, &two), 0);
	end(&fixture);
}

static void a_shared_lock_holds_off_who_wants_it_alone(void **state)
{
	struct fixture fixture;
	int one, two;

	(void)state;
	make(&fixture, 1);
	assert_int_equal(sim_file_lock(fixture.file, 7, true, &one), 0);
	assert_int_equal(sim_file_lock(fixture.file, 7, true, &two), 0);
	assert_int_equal(sim_file_lock(fixture.file, 7, false, &one), -EAGAIN);
	sim_file_unlock(fixture.file, 7, &two);
	assert_int_equal(sim_file_lock(fixture.file, 7, false, &one), 0);
	assert_int_equal(sim_file_lock(fixture.file, 7, true, &two), -EAGAIN);
	assert_int_equal(sim_file_lock(fixture.file, 7, true, &one), 0);
	assert_int_equal(sim_file_lock(fixture.file, 7, true, &two), 0);
	end(&fixture);
}

static void a_copy_loses_its_power_alone(void **state)
{
	struct fixture fixture;
	struct sim_disk *copy;

	(void)state;
	make(&fixture, 1);
	assert_int_equal(sim_disk_sync_dir(fixture.disk, fixture.dir), 0);
	copy = sim_disk_copy(fixture.disk);
	sim_disk_lose_power(copy, 0);
	assert_int_equal(sim_disk_find(copy, "dir/file")->seen.len, 0);
	assert_int_equal(sim_disk_find(fixture.disk, "dir/file")->seen.len, 10);
	sim_disk_free(copy);
	end(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_synced_survives_and_nothing_else_has_to),
		cmocka_unit_test(a_synced_file_without_a_synced_directory_has_no_name),
		cmocka_unit_test(a_name_without_synced_data_is_an_empty_file),
		cmocka_unit_test(a_write_is_kept_dropped_or_torn_at_a_sector),
		cmocka_unit_test(a_rename_is_whole_or_not_at_all),
		cmocka_unit_test(a_rename_is_durable_with_the_directory_that_it_goes_to),
		cmocka_unit_test(a_removed_directory_takes_no_file_with_it_that_was_moved_out),
		cmocka_unit_test(after_a_failed_sync_the_data_is_readable_and_never_durable),
		cmocka_unit_test(a_full_disk_takes_a_part_and_says_so),
		cmocka_unit_test(a_lock_holds_others_off_until_it_is_let_go),
		cmocka_unit_test(a_shared_lock_holds_off_who_wants_it_alone),
		cmocka_unit_test(a_copy_loses_its_power_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
#include "lib/cmocka.h"
#include "lib/scratch.h"
#include "client/journal.h"
#include "faulty_disk.h"
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct place {
	struct scratch scratch;
	struct faulty machine;
	const char *dir;
};

static const struct lb_uuid ledger = {.bytes = {1, 2, 3, 4}};

static int make_place(void **state)
{
	struct place *place = malloc(sizeof *place);

	assert_non_null(place);
	scratch_make(&place->scratch);
	faulty_init(&place->machine);
	place->dir = strdup(scratch_path(&place->scratch, "state"));
	*state = place;
	return 0;
}

static int remove_place(void **state)
{
	struct place *place = *state;

	scratch_remove(&place->scratch);
	free((char *)place->dir);
	free(place);
	return 0;
}

static struct lb_journal *open_journal(struct place *place)
{
	struct lb_journal *journal = NULL;
	char why[256] = "";

	if (lb_journal_open(&place->machine.host, place->dir, &journal, why) < 0)
		fail_msg("%s", why);
	return journal;
}

static struct lb_journal_entry entry_of(const char *name, const char *source)
{
	struct lb_journal_entry entry = {.ledger = ledger, .attempt = 1, .address = "host:7117"};

	snprintf(entry.name, sizeof entry.name, "%s", name);
	snprintf(entry.source, sizeof entry.source, "%s", source);
	return entry;
}

static struct lb_id begin(struct lb_journal *journal, const char *name, const char *source)
{
	struct lb_journal_entry entry = entry_of(name, source);

	assert_int_equal(lb_journal_begin(journal, &entry), 0);
	return entry.id;
}

static int find_source(
	struct lb_journal *journal, const char *name, const char *source, struct lb_journal_entry *entryp)
{
	return lb_journal_find_source(journal, NULL, "host:7117", name, source, entryp);
}

static size_t read_file(const char *path, char *buf, size_t size)
{
	FILE *file = fopen(path, "rb");
	size_t n;

	assert_non_null(file);
	n = fread(buf, 1, size, file);
	fclose(file);
	assert_true(n < size);
	return n;
}

static void write_file(const char *path, const char *buf, size_t len)
{
	FILE *file = fopen(path, "wb");

	assert_non_null(file);
	assert_int_equal(fwrite(buf, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
}

static const char *journal_file(struct place *place)
{
	return scratch_path(&place->scratch, "state/journal");
}

static void a_client_keeps_its_identity(void **state)
{
	struct lb_journal *journal = open_journal(*state), *again;
	uint8_t client[16];

	memcpy(client, lb_journal_client(journal), sizeof client);
	lb_journal_close(journal);
	again = open_journal(*state);
	assert_memory_equal(lb_journal_client(again), client, sizeof client);
	lb_journal_close(again);
}

static void two_directories_are_two_clients(void **state)
{
	struct place *place = *state;
	struct lb_journal *a = open_journal(place), *b = NULL;
	char why[256];

	assert_int_equal(
		lb_journal_open(&place->machine.host, scratch_path(&place->scratch, "other"), &b, why), 0);
	assert_memory_not_equal(lb_journal_client(a), lb_journal_client(b), 16);
	lb_journal_close(a);
	lb_journal_close(b);
}

static void an_open_delivery_is_found_again_with_all_that_was_said(void **state)
{
	const char *name = "a name % with\xc3\xa4 %20", *source = "/with\nnew line/and\ttab/\x7f-";
	struct lb_journal *journal = open_journal(*state);
	struct lb_id id = begin(journal, name, source);
	struct lb_journal_entry entry;

	lb_journal_close(journal);
	journal = open_journal(*state);
	assert_int_equal(find_source(journal, name, source, &entry), 1);
	assert_memory_equal(&entry.id, &id, sizeof id);
	assert_memory_equal(&entry.ledger, &ledger, sizeof ledger);
	assert_int_equal(entry.attempt, 1);
	assert_string_equal(entry.address, "host:7117");
	assert_string_equal(entry.name, name);
	assert_string_equal(entry.source, source);
	assert_int_equal(lb_journal_find(journal, &id, &entry), 1);
	assert_string_equal(entry.name, name);
	lb_journal_close(journal);
}

static void another_source_name_or_address_is_another_delivery(void **state)
{
	const struct lb_uuid other = {.bytes = {9}};
	struct lb_journal *journal = open_journal(*state);
	struct lb_journal_entry entry;

	begin(journal, "name", "/source");
	begin(journal, "nothing to find it by", "");
	begin(journal, "dash", "-");
	assert_int_equal(find_source(journal, "name", "/other", &entry), 0);
	assert_int_equal(find_source(journal, "other", "/source", &entry), 0);
	assert_int_equal(lb_journal_find_source(journal, NULL, "host:7118", "name", "/source", &entry), 0);
	assert_int_equal(find_source(journal, "nothing to find it by", "", &entry), 0);
	assert_int_equal(lb_journal_find_source(journal, &other, "host:7118", "name", "/source", &entry), 0);
	assert_int_equal(find_source(journal, "dash", "-", &entry), 1);
	lb_journal_close(journal);
}

static void another_address_of_the_same_ledger_is_the_same_delivery(void **state)
{
	struct lb_journal *journal = open_journal(*state);
	struct lb_id id = begin(journal, "name", "/source");
	struct lb_journal_entry entry;

	assert_int_equal(lb_journal_find_source(journal, &ledger, "host:7118", "name", "/source", &entry), 1);
	assert_memory_equal(&entry.id, &id, sizeof id);
	assert_int_equal(lb_journal_find_source(journal, NULL, NULL, "name", "/source", &entry), 1);
	assert_int_equal(lb_journal_find_source(journal, NULL, NULL, "name", "/other", &entry), 0);
	lb_journal_close(journal);
}

static void a_later_attempt_replaces_the_earlier_one(void **state)
{
	struct lb_journal *journal = open_journal(*state);
	struct lb_id id = begin(journal, "name", "/source");
	struct lb_journal_entry entry;

	assert_int_equal(lb_journal_find(journal, &id, &entry), 1);
	entry.attempt = 7;
	assert_int_equal(lb_journal_begin(journal, &entry), 0);
	lb_journal_close(journal);
	journal = open_journal(*state);
	assert_int_equal(find_source(journal, "name", "/source", &entry), 1);
	assert_int_equal(entry.id.number, id.number);
	assert_int_equal(entry.attempt, 7);
	assert_int_equal(lb_journal_done(journal, &id), 0);
	assert_int_equal(lb_journal_find(journal, &id, &entry), 0);
	lb_journal_close(journal);
}

static void a_claimed_delivery_is_nobody_elses(void **state)
{
	struct lb_journal *one = open_journal(*state), *two = open_journal(*state);
	struct lb_id id = begin(one, "name", "/source");
	struct lb_journal_entry entry;

	assert_int_equal(lb_journal_find(two, &id, &entry), -EBUSY);
	assert_int_equal(find_source(two, "name", "/source", &entry), 0);
	entry = entry_of("name", "/source");
	entry.id = id;
	assert_int_equal(lb_journal_begin(two, &entry), -EBUSY);
	lb_journal_release(one, &id);
	assert_int_equal(lb_journal_find(two, &id, &entry), 1);
	assert_int_equal(lb_journal_find(one, &id, &entry), -EBUSY);
	lb_journal_close(two);
	assert_int_equal(find_source(one, "name", "/source", &entry), 1);
	lb_journal_close(one);
}

/* Two commands for the same file are two deliveries. But once the first one may be in doubt, its number is the one
 * that has to be settled. */
static void a_claimed_delivery_is_busy_by_its_source_after_its_first_attempt(void **state)
{
	struct lb_journal *one = open_journal(*state), *two = open_journal(*state);
	struct lb_id id = begin(one, "name", "/source");
	struct lb_journal_entry entry;

	assert_int_equal(find_source(two, "name", "/source", &entry), 0);
	lb_journal_release(one, &id);
	assert_int_equal(lb_journal_find(one, &id, &entry), 1);
	assert_int_equal(find_source(two, "name", "/source", &entry), -EBUSY);
	assert_int_equal(find_source(two, "name", "/source", &entry), -EBUSY);
	lb_journal_close(one);
	assert_int_equal(find_source(two, "name", "/source", &entry), 1);
	lb_journal_close(two);
}

static void of_two_deliveries_of_a_source_the_free_one_is_found(void **state)
{
	struct lb_journal *one = open_journal(*state), *two = open_journal(*state);
	struct lb_journal_entry entry;
	struct lb_id ids[2];

	for (int i = 0; i < 2; i++)
		ids[i] = begin(one, "name", "/source");
	lb_journal_release(one, &ids[0]);
	assert_int_equal(lb_journal_find(one, &ids[0], &entry), 1);
	assert_int_equal(find_source(two, "name", "/source", &entry), -EBUSY);
	lb_journal_release(one, &ids[1]);
	assert_int_equal(find_source(two, "name", "/source", &entry), 1);
	assert_int_equal(entry.id.number, ids[1].number);
	lb_journal_close(one);
	lb_journal_close(two);
}

static void a_number_is_never_used_twice(void **state)
{
	for (uint64_t number = 1; number <= 5; number++) {
		struct lb_journal *journal = open_journal(*state);
		struct lb_id id = begin(journal, "name", "/source");

		assert_int_equal(id.number, number);
		assert_memory_equal(id.client, lb_journal_client(journal), 16);
		assert_int_equal(lb_journal_done(journal, &id), 0);
		lb_journal_close(journal);
	}
}

static void a_number_that_the_user_named_is_not_given_out_again(void **state)
{
	struct lb_journal *journal = open_journal(*state);
	struct lb_journal_entry entry = entry_of("name", "");

	memcpy(entry.id.client, lb_journal_client(journal), 16);
	entry.id.number = 41;
	assert_int_equal(lb_journal_begin(journal, &entry), 0);
	assert_int_equal(begin(journal, "name", "").number, 42);
	entry.id.number = UINT64_MAX / 2;
	assert_int_equal(lb_journal_begin(journal, &entry), -EOVERFLOW);
	assert_int_equal(begin(journal, "name", "").number, 43);
	lb_journal_close(journal);
}

static void another_clients_delivery_keeps_its_id_and_takes_no_number(void **state)
{
	struct lb_journal *journal = open_journal(*state), *other;
	struct lb_journal_entry entry = entry_of("name", "/source"), found;
	uint64_t lowest;

	memset(entry.id.client, 0xAB, 16);
	entry.id.number = 1;
	assert_int_equal(lb_journal_begin(journal, &entry), 0);
	assert_int_equal(lb_journal_lowest(journal, &lowest), 0);
	assert_int_equal(lowest, 1);
	assert_int_equal(begin(journal, "mine", "").number, 1);
	other = open_journal(*state);
	assert_int_equal(lb_journal_find(other, &entry.id, &found), -EBUSY);
	lb_journal_close(journal);
	assert_int_equal(lb_journal_find(other, &entry.id, &found), 1);
	assert_memory_equal(&found.id, &entry.id, sizeof entry.id);
	assert_int_equal(lb_journal_done(other, &entry.id), 0);
	lb_journal_close(other);
	journal = open_journal(*state);
	assert_int_equal(lb_journal_find(journal, &entry.id, &found), 0);
	lb_journal_close(journal);
}

static void the_lowest_open_number_is_what_all_processes_have_open(void **state)
{
	struct lb_journal *one = open_journal(*state), *two = open_journal(*state);
	struct lb_id ids[3];
	uint64_t lowest;

	assert_int_equal(lb_journal_lowest(one, &lowest), 0);
	assert_int_equal(lowest, 1);
	for (int i = 0; i < 3; i++)
		ids[i] = begin(i == 1 ? two : one, "name", "");
	assert_int_equal(lb_journal_done(one, &ids[0]), 0);
	assert_int_equal(lb_journal_lowest(one, &lowest), 0);
	assert_int_equal(lowest, 2);
	assert_int_equal(lb_journal_done(two, &ids[1]), 0);
	assert_int_equal(lb_journal_done(one, &ids[2]), 0);
	assert_int_equal(lb_journal_lowest(two, &lowest), 0);
	assert_int_equal(lowest, 4);
	lb_journal_close(one);
	lb_journal_close(two);
}

static void what_is_not_known_can_be_done_too(void **state)
{
	struct place *place = *state;
	struct lb_journal *journal = open_journal(place);
	struct lb_id id = {.number = 5};
	unsigned appends = place->machine.appends;

	assert_int_equal(lb_journal_done(journal, &id), 0);
	assert_int_equal(place->machine.appends, appends);
	lb_journal_close(journal);
}

/* What a crash leaves of the last line: a part of it, or all of its length with zeros where it was not written. */
static void check_torn(struct place *place, const char *whole, size_t len, bool is_whole)
{
	struct lb_journal *journal;
	struct lb_journal_entry entry;
	uint64_t lowest;

	write_file(journal_file(place), whole, len);
	journal = open_journal(place);
	assert_int_equal(find_source(journal, "first", "/1", &entry), 1);
	assert_int_equal(find_source(journal, "second", "/2", &entry), is_whole);
	assert_int_equal(lb_journal_lowest(journal, &lowest), 0);
	assert_int_equal(lowest, 1);
	assert_int_equal(begin(journal, "third", "/3").number, is_whole ? 3 : 2);
	lb_journal_close(journal);
	journal = open_journal(place);
	assert_int_equal(find_source(journal, "first", "/1", &entry), 1);
	assert_int_equal(find_source(journal, "third", "/3", &entry), 1);
	assert_int_equal(find_source(journal, "second", "/2", &entry), is_whole);
	lb_journal_close(journal);
}

static void an_append_that_a_crash_tore_anywhere_never_happened(void **state)
{
	struct place *place = *state;
	struct lb_journal *journal = open_journal(place);
	char whole[2048], torn[2048];
	size_t before, after;

	begin(journal, "first", "/1");
	before = read_file(journal_file(place), whole, sizeof whole);
	begin(journal, "second", "/2");
	after = read_file(journal_file(place), whole, sizeof whole);
	lb_journal_close(journal);
	for (size_t len = before; len <= after; len++) {
		check_torn(place, whole, len, len == after);
		memcpy(torn, whole, before);
		memset(torn + before, 0, after - before);
		memcpy(torn + len, whole + len, after - len);
		check_torn(place, torn, after, len == before);
	}
}

static void damage_before_the_last_line_is_an_error_that_names_the_line(void **state)
{
	struct place *place = *state;
	struct lb_journal *journal = open_journal(place);
	char whole[2048], why[256];
	size_t len;
	int line = 1;

	begin(journal, "first", "/1");
	begin(journal, "second", "/2");
	begin(journal, "third", "/3");
	lb_journal_close(journal);
	len = read_file(journal_file(place), whole, sizeof whole);
	for (size_t i = 0; line <= 4; i++) {
		char saved = whole[i], expected[40];

		if (saved == '\n') {
			line++;
			continue;
		}
		whole[i] ^= 4;
		write_file(journal_file(place), whole, len);
		whole[i] = saved;
		assert_int_equal(lb_journal_open(&place->machine.host, place->dir, &journal, why), -EUCLEAN);
		assert_null(journal);
		snprintf(expected, sizeof expected, "line %d of ", line);
		assert_ptr_equal(strstr(why, expected), why);
	}
}

static void damage_that_appears_later_stops_an_open_journal(void **state)
{
	struct place *place = *state;
	struct lb_journal *journal = open_journal(place);
	struct lb_journal_entry entry = entry_of("name", "");
	char whole[2048];
	size_t len;

	begin(journal, "first", "/1");
	len = read_file(journal_file(place), whole, sizeof whole);
	assert_int_equal(truncate(journal_file(place), (off_t)len - 30), 0);
	assert_int_equal(lb_journal_begin(journal, &entry), -EUCLEAN);
	write_file(journal_file(place), whole, len);
	assert_int_equal(lb_journal_begin(journal, &entry), -EUCLEAN);
	lb_journal_close(journal);
}

static void an_empty_journal_is_damaged_and_not_a_new_one(void **state)
{
	struct place *place = *state;
	struct lb_journal *journal = open_journal(place);
	char why[256];

	lb_journal_close(journal);
	write_file(journal_file(place), "", 0);
	assert_int_equal(lb_journal_open(&place->machine.host, place->dir, &journal, why), -EUCLEAN);
	assert_non_null(strstr(why, "line 1 of "));
}

static void another_client_in_the_same_directory_stops_an_open_journal(void **state)
{
	struct place *place = *state;
	struct lb_journal *journal = open_journal(place), *new;
	struct lb_journal_entry entry = entry_of("name", "");

	assert_int_equal(unlink(journal_file(place)), 0);
	new = open_journal(place);
	assert_int_equal(lb_journal_begin(journal, &entry), -ESTALE);
	lb_journal_close(journal);
	lb_journal_close(new);
}

#define CHILDREN 4
#define EACH     40

static void begin_many(struct place *place, int out)
{
	struct lb_journal *journal = open_journal(place);

	for (int i = 0; i < EACH; i++) {
		struct lb_id id = begin(journal, "name", "");

		if (write(out, &id.number, sizeof id.number) != sizeof id.number ||
			(i % 2 == 0 && lb_journal_done(journal, &id) != 0))
			_exit(1);
	}
	lb_journal_close(journal);
	_exit(0);
}

static void processes_at_the_same_time_get_numbers_of_their_own(void **state)
{
	bool seen[CHILDREN * EACH + 1] = {false};
	struct place *place = *state;
	struct lb_journal *journal;
	uint64_t number, lowest;
	int pipes[2], status, total = 0;

	assert_int_equal(pipe(pipes), 0);
	for (int i = 0; i < CHILDREN; i++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0)
			begin_many(place, pipes[1]);
	}
	close(pipes[1]);
	while (read(pipes[0], &number, sizeof number) == sizeof number) {
		assert_in_range(number, 1, CHILDREN * EACH);
		assert_false(seen[number]);
		seen[number] = true;
		total++;
	}
	close(pipes[0]);
	for (int i = 0; i < CHILDREN; i++) {
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	assert_int_equal(total, CHILDREN * EACH);
	journal = open_journal(place);
	assert_int_equal(lb_journal_lowest(journal, &lowest), 0);
	assert_true(lowest <= CHILDREN * EACH);
	assert_int_equal(begin(journal, "name", "").number, CHILDREN * EACH + 1);
	lb_journal_close(journal);
}

static void a_killed_process_leaves_its_delivery_to_be_found(void **state)
{
	struct place *place = *state;
	struct lb_journal *journal = open_journal(place);
	struct lb_journal_entry entry;
	int pipes[2], status;
	char byte = 0;
	pid_t pid;

	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		begin(open_journal(place), "name", "/source");
		if (write(pipes[1], &byte, 1) == 1)
			pause();
		_exit(1);
	}
	assert_int_equal(read(pipes[0], &byte, 1), 1);
	assert_int_equal(find_source(journal, "name", "/source", &entry), 0);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(find_source(journal, "name", "/source", &entry), 1);
	assert_int_equal(entry.id.number, 1);
	close(pipes[0]);
	close(pipes[1]);
	lb_journal_close(journal);
}

static void killed_at(void **state, const char *fault, uint64_t next)
{
	struct place *place = *state;
	struct lb_journal *journal = open_journal(place);
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		setenv("LASTBYTE_FAULT", fault, 1);
		begin(journal, "name", "/source");
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	lb_journal_close(journal);
	journal = open_journal(place);
	assert_int_equal(begin(journal, "name", "/source").number, next);
	lb_journal_close(journal);
}

static void a_process_killed_after_the_sync_has_used_its_number(void **state)
{
	killed_at(state, "journal_synced", 2);
}

/* It is in the file, and the next one to read it makes it durable. */
static void a_process_killed_before_the_sync_has_used_its_number_too(void **state)
{
	killed_at(state, "journal_written", 2);
}

static void what_a_killed_process_wrote_is_synced_before_it_is_relied_on(void **state)
{
	struct place *place = *state;
	struct lb_journal *journal = open_journal(place), *reader = open_journal(place);
	struct lb_journal_entry entry;
	unsigned syncs;
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		setenv("LASTBYTE_FAULT", "journal_written", 1);
		begin(journal, "name", "/source");
		_exit(1);
	}
	lb_journal_close(journal); /* else its lock would outlive the child, which has the same descriptor */
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	syncs = place->machine.syncs;
	assert_int_equal(find_source(reader, "name", "/source", &entry), 1);
	assert_int_equal(place->machine.syncs, syncs + 1);
	lb_journal_release(reader, &entry.id);
	assert_int_equal(find_source(reader, "name", "/source", &entry), 1);
	assert_int_equal(place->machine.syncs, syncs + 1);
	lb_journal_close(reader);
}

static void nobody_reads_what_could_not_be_synced(void **state)
{
	struct place *place = *state;
	struct lb_journal *journal = open_journal(place), *reader = open_journal(place);
	struct lb_journal_entry entry = entry_of("name", "/source");

	assert_int_equal(find_source(journal, "name", "/source", &entry), 0);
	place->machine.fail_sync = -EIO;
	entry = entry_of("name", "/source");
	assert_int_equal(lb_journal_begin(journal, &entry), -EIO);
	place->machine.fail_sync = 0;
	assert_int_equal(find_source(reader, "name", "/source", &entry), 0);
	lb_journal_close(journal);
	lb_journal_close(reader);
}

/* A sync of what somebody else has written says nothing: its pages may have been lost before, and only they were told. */
static void a_journal_that_is_opened_is_written_anew(void **state)
{
	struct place *place = *state;
	struct lb_journal *journal = open_journal(place);
	struct lb_id id = begin(journal, "name", "/source");
	char *path = strdup(scratch_path(&place->scratch, "state/journal"));
	struct lb_file_stat before, after;
	struct lb_journal_entry entry;

	assert_int_equal(lb_disk_real.stat(&place->machine.host, LB_HERE, path, &before), 0);
	lb_journal_close(journal);
	journal = open_journal(place);
	assert_int_equal(lb_disk_real.stat(&place->machine.host, LB_HERE, path, &after), 0);
	assert_true(before.inode != after.inode);
	assert_int_equal(lb_journal_find(journal, &id, &entry), 1);
	lb_journal_close(journal);
	free(path);
}

static void nothing_is_begun_on_a_full_disk(void **state)
{
	struct place *place = *state;
	struct lb_journal *journal = open_journal(place), *other = open_journal(place);
	struct lb_journal_entry entry = entry_of("name", "/source");

	place->machine.fail_append = -ENOSPC;
	assert_int_equal(lb_journal_begin(journal, &entry), -ENOSPC);
	assert_int_equal(entry.id.number, 0);
	place->machine.fail_append = 0;
	assert_int_equal(find_source(other, "name", "/source", &entry), 0);
	entry = entry_of("name", "/source");
	assert_int_equal(lb_journal_begin(other, &entry), 0);
	assert_int_equal(entry.id.number, 1);
	assert_int_equal(begin(journal, "next", "").number, 2);
	lb_journal_close(journal);
	lb_journal_close(other);
}

static void an_end_that_cannot_be_written_leaves_the_delivery_open(void **state)
{
	struct place *place = *state;
	struct lb_journal *journal = open_journal(place);
	struct lb_id id = begin(journal, "name", "/source");
	struct lb_journal_entry entry;

	place->machine.fail_append = -ENOSPC;
	assert_int_equal(lb_journal_done(journal, &id), -ENOSPC);
	place->machine.fail_append = 0;
	lb_journal_close(journal);
	journal = open_journal(place);
	assert_int_equal(lb_journal_find(journal, &id, &entry), 1);
	lb_journal_close(journal);
}

static void after_a_failed_sync_nothing_works_and_nothing_is_written(void **state)
{
	struct place *place = *state;
	struct lb_journal *journal = open_journal(place);
	struct lb_journal_entry entry = entry_of("name", "/source");
	struct lb_id id = begin(journal, "name", "");
	uint64_t lowest;
	unsigned appends;

	place->machine.fail_sync = -ENOSPC;
	assert_int_equal(lb_journal_begin(journal, &entry), -EIO);
	place->machine.fail_sync = 0;
	appends = place->machine.appends;
	assert_int_equal(lb_journal_begin(journal, &entry), -EIO);
	assert_int_equal(lb_journal_done(journal, &id), -EIO);
	assert_int_equal(lb_journal_find(journal, &id, &entry), -EIO);
	assert_int_equal(find_source(journal, "name", "/source", &entry), -EIO);
	assert_int_equal(lb_journal_lowest(journal, &lowest), -EIO);
	assert_int_equal(place->machine.appends, appends);
	lb_journal_close(journal);
}

static void fill(struct lb_journal *journal, int n)
{
	char source[2000];

	memset(source, 's', sizeof source);
	source[0] = '/';
	source[sizeof source - 1] = '\0';
	for (int i = 0; i < n; i++) {
		struct lb_id id = begin(journal, "name", source);

		assert_int_equal(lb_journal_done(journal, &id), 0);
	}
}

static off_t size_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

static void compaction_keeps_what_is_open_and_every_number_used(void **state)
{
	struct place *place = *state;
	struct lb_journal *journal = open_journal(place), *other = open_journal(place);
	struct lb_id open = begin(journal, "open", "/open");
	struct lb_journal_entry entry;
	uint64_t lowest;

	fill(journal, 100);
	assert_true(size_of(journal_file(place)) < 70000);
	assert_int_equal(begin(other, "other", "").number, 102);
	assert_int_equal(lb_journal_find(other, &open, &entry), -EBUSY);
	assert_int_equal(lb_journal_lowest(other, &lowest), 0);
	assert_int_equal(lowest, 1);
	lb_journal_close(journal);
	lb_journal_close(other);
	journal = open_journal(place);
	assert_int_equal(find_source(journal, "open", "/open", &entry), 1);
	assert_int_equal(begin(journal, "next", "").number, 103);
	lb_journal_close(journal);
}

/* The line that says that the last one has ended is the one that makes the file large enough. */
static void no_number_is_used_again_when_compaction_leaves_nothing_open(void **state)
{
	struct place *place = *state;
	struct lb_journal *journal = open_journal(place);
	char source[2000] = "";
	struct lb_id id;
	off_t size;

	fill(journal, 31);
	size = size_of(journal_file(place));
	memset(source, 's', (size_t)(65536 - 90 - size));
	id = begin(journal, "name", source);
	assert_in_range(size_of(journal_file(place)), 65536 - 20, 65536);
	assert_int_equal(lb_journal_done(journal, &id), 0);
	assert_true(size_of(journal_file(place)) < 200);
	lb_journal_close(journal);
	journal = open_journal(place);
	assert_int_equal(begin(journal, "next", "").number, 33);
	lb_journal_close(journal);
}

static void a_compaction_that_fails_leaves_a_good_journal(void **state)
{
	struct place *place = *state;
	struct lb_journal *journal = open_journal(place);

	place->machine.fail_rename = -EIO;
	fill(journal, 50);
	assert_true(size_of(journal_file(place)) > 70000);
	assert_int_not_equal(access(scratch_path(&place->scratch, "state/journal.new"), F_OK), 0);
	place->machine.fail_rename = 0;
	fill(journal, 1);
	assert_true(size_of(journal_file(place)) < 5000);
	assert_int_equal(begin(journal, "next", "").number, 52);
	lb_journal_close(journal);
}

static void what_a_crash_left_of_a_compaction_does_not_matter(void **state)
{
	struct place *place = *state;
	struct lb_journal *journal = open_journal(place);

	write_file(scratch_path(&place->scratch, "state/journal.new"), "half a li", 9);
	fill(journal, 50);
	assert_true(size_of(journal_file(place)) < 70000);
	assert_int_equal(begin(journal, "next", "").number, 51);
	lb_journal_close(journal);
}

static void a_directory_that_cannot_be_used_is_named(void **state)
{
	struct place *place = *state;
	struct lb_journal *journal;
	char why[256];

	write_file(place->dir, "", 0);
	assert_int_equal(lb_journal_open(&place->machine.host, place->dir, &journal, why), -ENOTDIR);
	assert_null(journal);
	assert_non_null(strstr(why, place->dir));
}

static void a_journal_that_cannot_be_made_durable_is_not_made(void **state)
{
	struct place *place = *state;
	struct lb_journal *journal;
	char why[256];

	place->machine.fail_sync = -EIO;
	assert_int_equal(lb_journal_open(&place->machine.host, place->dir, &journal, why), -EIO);
	assert_int_not_equal(access(journal_file(place), F_OK), 0);
	place->machine.fail_sync = 0;
	lb_journal_close(open_journal(place));
}

static int note(void *arg, const struct lb_journal_entry *entry)
{
	char *names = arg;

	if (entry->busy)
		return 0;
	strcat(names, entry->name);
	return strlen(names) >= 3 ? 7 : 0;
}

static void what_is_open_is_listed_and_whether_another_process_works_on_it(void **state)
{
	struct lb_journal *one = open_journal(*state), *other = open_journal(*state);
	struct lb_id ids[4];
	char names[8] = "";

	assert_int_equal(lb_journal_each(other, note, names), 0);
	assert_string_equal(names, "");
	for (int i = 0; i < 4; i++)
		ids[i] = begin(one, (const char *[]){"a", "b", "c", "d"}[i], "/source");
	assert_int_equal(lb_journal_each(other, note, names), 0);
	assert_string_equal(names, ""); /* all are worked on */
	lb_journal_release(one, &ids[1]);
	lb_journal_release(one, &ids[3]);
	assert_int_equal(lb_journal_each(other, note, names), 0);
	assert_string_equal(names, "bd");
	assert_int_equal(lb_journal_done(one, &ids[0]), 0);
	lb_journal_close(one); /* and c with it */
	names[0] = '\0';
	assert_int_equal(lb_journal_each(other, note, names), 7);
	assert_string_equal(names, "bcd");
	lb_journal_close(other);
}

static struct lb_id reserve(
	struct lb_journal *journal, uint32_t count, const char *note, const struct lb_id *ended)
{
	struct lb_journal_entry entry = entry_of("many", "/lines");

	assert_int_equal(lb_journal_reserve(journal, &entry, count, note, ended), 0);
	assert_int_equal(entry.first, entry.id.number);
	assert_int_equal(entry.count, count);
	return entry.id;
}

static struct lb_id plus(struct lb_id id, uint64_t n)
{
	id.number += n;
	return id;
}

static uint64_t lowest_of(struct lb_journal *journal)
{
	uint64_t lowest;

	assert_int_equal(lb_journal_lowest(journal, &lowest), 0);
	return lowest;
}

static void a_reservation_gives_out_numbers_with_one_sync(void **state)
{
	struct place *place = *state;
	struct lb_journal *journal = open_journal(place);
	unsigned syncs = place->machine.syncs, appends = place->machine.appends;
	struct lb_id id;

	id = reserve(journal, 64, "a note", NULL);
	assert_int_equal(id.number, 1);
	assert_memory_equal(id.client, lb_journal_client(journal), 16);
	assert_int_equal(place->machine.syncs, syncs + 1);
	assert_int_equal(place->machine.appends, appends + 1);
	assert_int_equal(begin(journal, "next", "").number, 65);
	assert_int_equal(reserve(journal, 2, NULL, NULL).number, 66);
	lb_journal_close(journal);
	journal = open_journal(place);
	assert_int_equal(begin(journal, "next", "").number, 68);
	lb_journal_close(journal);
}

static void each_number_of_a_reservation_is_found_with_all_that_was_said(void **state)
{
	struct lb_journal *journal = open_journal(*state);
	struct lb_journal_entry entry;
	struct lb_id id;

	reserve(journal, 2, NULL, NULL);
	id = reserve(journal, 3, "line 7, byte 4711", NULL);
	lb_journal_close(journal);
	journal = open_journal(*state);
	for (uint64_t i = 0; i < 3; i++) {
		struct lb_id asked = plus(id, i);

		assert_int_equal(lb_journal_find(journal, &asked, &entry), 1);
		assert_memory_equal(&entry.id, &asked, sizeof asked);
		assert_int_equal(entry.first, id.number);
		assert_int_equal(entry.count, 3);
		assert_string_equal(entry.name, "many");
		assert_string_equal(entry.note, "line 7, byte 4711");
		assert_memory_equal(&entry.ledger, &ledger, sizeof ledger);
	}
	id.number += 3;
	assert_int_equal(lb_journal_find(journal, &id, &entry), 0);
	assert_int_equal(find_source(journal, "many", "/lines", &entry), 0);
	id = begin(journal, "one", "/one");
	assert_int_equal(lb_journal_find(journal, &id, &entry), 1);
	assert_int_equal(entry.count, 1);
	assert_int_equal(entry.first, id.number);
	assert_string_equal(entry.note, "");
	lb_journal_close(journal);
}

static void a_claim_to_one_number_is_a_claim_to_the_reservation(void **state)
{
	struct lb_journal *one = open_journal(*state), *two = open_journal(*state);
	struct lb_id id = reserve(one, 3, NULL, NULL), last = plus(id, 2);
	struct lb_journal_entry entry;

	assert_int_equal(lb_journal_find(two, &last, &entry), -EBUSY);
	lb_journal_release(one, &id); /* what became of one of them says nothing of the others */
	assert_int_equal(lb_journal_find(two, &last, &entry), -EBUSY);
	lb_journal_close(one);
	assert_int_equal(lb_journal_find(two, &last, &entry), 1);
	one = open_journal(*state);
	assert_int_equal(lb_journal_find(one, &id, &entry), -EBUSY);
	lb_journal_close(one);
	lb_journal_close(two);
}

static void a_number_of_a_reservation_is_not_begun_again(void **state)
{
	struct lb_journal *journal = open_journal(*state);
	struct lb_journal_entry entry;
	struct lb_id last;

	last = plus(reserve(journal, 3, NULL, NULL), 2);
	assert_int_equal(lb_journal_find(journal, &last, &entry), 1);
	assert_int_equal(lb_journal_begin(journal, &entry), -EBUSY);
	lb_journal_close(journal);
}

static void a_reservation_is_open_until_it_is_settled(void **state)
{
	struct lb_journal *journal = open_journal(*state);
	struct lb_id first, last;
	struct lb_journal_entry entry;

	first = reserve(journal, 3, NULL, NULL);
	last = plus(first, 2);
	assert_int_equal(lb_journal_done(journal, &first), 0);
	assert_int_equal(lb_journal_done(journal, &last), 0);
	assert_int_equal(lowest_of(journal), 1);
	assert_int_equal(lb_journal_find(journal, &first, &entry), 1);
	assert_int_equal(lb_journal_settle(journal, &last), 0);
	assert_int_equal(lowest_of(journal), 4);
	lb_journal_close(journal);
	journal = open_journal(*state);
	assert_int_equal(lb_journal_find(journal, &first, &entry), 0);
	assert_int_equal(lb_journal_settle(journal, &first), 0);
	lb_journal_close(journal);
}

static void a_reservation_settles_an_earlier_one_with_the_same_line(void **state)
{
	struct place *place = *state;
	struct lb_journal *journal = open_journal(place), *other = open_journal(place);
	struct lb_id first, last, next;
	struct lb_journal_entry entry;
	unsigned appends;

	first = reserve(journal, 3, NULL, NULL);
	last = plus(first, 2);
	next = begin(journal, "name", "/source");
	appends = place->machine.appends;
	assert_int_equal(reserve(journal, 2, NULL, &last).number, 5);
	assert_int_equal(place->machine.appends, appends + 1);
	assert_int_equal(lowest_of(other), next.number);
	assert_int_equal(lb_journal_find(other, &first, &entry), 0);
	assert_int_equal(reserve(journal, 2, NULL, &next).number, 7); /* which is none, and stays as it is */
	assert_int_equal(lowest_of(other), next.number);
	lb_journal_close(journal);
	lb_journal_close(other);
	journal = open_journal(place);
	assert_int_equal(lb_journal_find(journal, &first, &entry), 0);
	assert_int_equal(begin(journal, "name", "").number, 9);
	lb_journal_close(journal);
}

static void what_cannot_be_reserved_is_refused(void **state)
{
	struct lb_journal *journal = open_journal(*state);
	struct lb_journal_entry entry = entry_of("many", "");
	char note[LB_NOTE_MAX + 2];

	memset(note, 'n', sizeof note);
	note[LB_NOTE_MAX + 1] = '\0';
	assert_int_equal(lb_journal_reserve(journal, &entry, 1, NULL, NULL), -EINVAL);
	assert_int_equal(lb_journal_reserve(journal, &entry, LB_NUMBERS_MAX + 1, NULL, NULL), -EINVAL);
	assert_int_equal(lb_journal_reserve(journal, &entry, 2, note, NULL), -EINVAL);
	assert_int_equal(entry.id.number, 0);
	note[LB_NOTE_MAX] = '\0';
	assert_int_equal(reserve(journal, LB_NUMBERS_MAX, note, NULL).number, 1);
	lb_journal_close(journal);
}

static void nothing_is_reserved_or_settled_on_a_full_disk(void **state)
{
	struct place *place = *state;
	struct lb_journal *journal = open_journal(place), *other = open_journal(place);
	struct lb_journal_entry entry = entry_of("many", "");
	struct lb_id id;

	id = reserve(journal, 2, NULL, NULL);
	place->machine.fail_append = -ENOSPC;
	assert_int_equal(lb_journal_reserve(journal, &entry, 2, NULL, &id), -ENOSPC);
	assert_int_equal(lb_journal_settle(journal, &id), -ENOSPC);
	place->machine.fail_append = 0;
	assert_int_equal(entry.id.number, 0);
	assert_int_equal(lb_journal_find(other, &id, &entry), -EBUSY); /* it is open, and still ours */
	assert_int_equal(reserve(other, 2, NULL, NULL).number, 3);
	assert_int_equal(lb_journal_settle(journal, &id), 0);
	assert_int_equal(lowest_of(other), 3);
	lb_journal_close(journal);
	lb_journal_close(other);
}

/* What is left of the line of the second reservation, which settles the first: all of it counts, or nothing. */
static void check_torn_reservation(struct place *place, const char *whole, size_t len, bool is_whole)
{
	struct lb_id id = {.number = 2};
	struct lb_journal_entry entry;
	struct lb_journal *journal;

	write_file(journal_file(place), whole, len);
	journal = open_journal(place);
	memcpy(id.client, lb_journal_client(journal), sizeof id.client);
	assert_int_equal(lb_journal_find(journal, &id, &entry), !is_whole);
	id.number = 70;
	assert_int_equal(lb_journal_find(journal, &id, &entry), is_whole);
	assert_int_equal(lowest_of(journal), is_whole ? 65 : 1);
	assert_int_equal(begin(journal, "next", "").number, is_whole ? 129 : 65);
	lb_journal_close(journal);
}

static void a_reservation_that_a_crash_tore_anywhere_never_happened(void **state)
{
	struct place *place = *state;
	struct lb_journal *journal = open_journal(place);
	char whole[2048], torn[2048];
	size_t before, after;
	struct lb_id id;

	id = reserve(journal, 64, "first", NULL);
	before = read_file(journal_file(place), whole, sizeof whole);
	reserve(journal, 64, "second", &id);
	after = read_file(journal_file(place), whole, sizeof whole);
	lb_journal_close(journal);
	for (size_t len = before; len <= after; len++) {
		check_torn_reservation(place, whole, len, len == after);
		memcpy(torn, whole, before);
		memset(torn + before, 0, after - before);
		memcpy(torn + len, whole + len, after - len);
		check_torn_reservation(place, torn, after, len == before);
	}
}

static void a_process_killed_while_it_reserves_has_used_all_of_the_numbers(void **state)
{
	struct lb_journal *journal = open_journal(*state);
	struct lb_id id = {.number = 64};
	struct lb_journal_entry entry;
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		setenv("LASTBYTE_FAULT", "journal_written", 1);
		reserve(journal, 64, "note", NULL);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	lb_journal_close(journal);
	journal = open_journal(*state);
	memcpy(id.client, lb_journal_client(journal), sizeof id.client);
	assert_int_equal(lb_journal_find(journal, &id, &entry), 1);
	assert_int_equal(reserve(journal, 2, NULL, NULL).number, 65);
	lb_journal_close(journal);
}

static void compaction_keeps_an_open_reservation_and_its_numbers(void **state)
{
	struct place *place = *state;
	struct lb_journal *journal = open_journal(place);
	struct lb_id settled, id;
	struct lb_journal_entry entry;

	settled = reserve(journal, 64, NULL, NULL);
	id = reserve(journal, 64, "note", &settled);
	fill(journal, 100);
	assert_true(size_of(journal_file(place)) < 70000);
	assert_int_equal(lowest_of(journal), 65);
	lb_journal_close(journal);
	journal = open_journal(place);
	assert_int_equal(lb_journal_find(journal, &settled, &entry), 0);
	id.number += 63;
	assert_int_equal(lb_journal_find(journal, &id, &entry), 1);
	assert_int_equal(entry.count, 64);
	assert_string_equal(entry.note, "note");
	assert_int_equal(begin(journal, "next", "").number, 229);
	lb_journal_close(journal);
}

static int note_reservation(void *arg, const struct lb_journal_entry *entry)
{
	struct lb_journal_entry *found = arg;

	*found = *entry;
	return 0;
}

static void a_reservation_is_listed_once(void **state)
{
	struct lb_journal *one = open_journal(*state), *other = open_journal(*state);
	struct lb_journal_entry found = {.count = 0};
	struct lb_id id;

	id = reserve(one, 5, "note", NULL);
	assert_int_equal(lb_journal_each(other, note_reservation, &found), 0);
	assert_true(found.busy);
	assert_int_equal(found.count, 5);
	lb_journal_close(one);
	assert_int_equal(lb_journal_each(other, note_reservation, &found), 0);
	assert_false(found.busy);
	assert_int_equal(found.count, 5);
	assert_memory_equal(&found.id, &id, sizeof id);
	assert_int_equal(found.first, id.number);
	assert_string_equal(found.note, "note");
	one = open_journal(*state);
	assert_int_equal(lb_journal_find(one, &id, &found), 1); /* listing it has not claimed it */
	lb_journal_close(one);
	lb_journal_close(other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_place, remove_place)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_open_is_listed_and_whether_another_process_works_on_it),
		TEST(a_client_keeps_its_identity),
		TEST(two_directories_are_two_clients),
		TEST(an_open_delivery_is_found_again_with_all_that_was_said),
		TEST(another_source_name_or_address_is_another_delivery),
		TEST(another_address_of_the_same_ledger_is_the_same_delivery),
		TEST(a_later_attempt_replaces_the_earlier_one),
		TEST(a_claimed_delivery_is_nobody_elses),
		TEST(a_claimed_delivery_is_busy_by_its_source_after_its_first_attempt),
		TEST(of_two_deliveries_of_a_source_the_free_one_is_found),
		TEST(a_number_is_never_used_twice),
		TEST(a_number_that_the_user_named_is_not_given_out_again),
		TEST(another_clients_delivery_keeps_its_id_and_takes_no_number),
		TEST(the_lowest_open_number_is_what_all_processes_have_open),
		TEST(what_is_not_known_can_be_done_too),
		TEST(an_append_that_a_crash_tore_anywhere_never_happened),
		TEST(damage_before_the_last_line_is_an_error_that_names_the_line),
		TEST(damage_that_appears_later_stops_an_open_journal),
		TEST(an_empty_journal_is_damaged_and_not_a_new_one),
		TEST(another_client_in_the_same_directory_stops_an_open_journal),
		TEST(processes_at_the_same_time_get_numbers_of_their_own),
		TEST(a_killed_process_leaves_its_delivery_to_be_found),
		TEST(a_process_killed_after_the_sync_has_used_its_number),
		TEST(a_process_killed_before_the_sync_has_used_its_number_too),
		TEST(what_a_killed_process_wrote_is_synced_before_it_is_relied_on),
		TEST(nobody_reads_what_could_not_be_synced),
		TEST(a_journal_that_is_opened_is_written_anew),
		TEST(nothing_is_begun_on_a_full_disk),
		TEST(an_end_that_cannot_be_written_leaves_the_delivery_open),
		TEST(after_a_failed_sync_nothing_works_and_nothing_is_written),
		TEST(compaction_keeps_what_is_open_and_every_number_used),
		TEST(no_number_is_used_again_when_compaction_leaves_nothing_open),
		TEST(a_compaction_that_fails_leaves_a_good_journal),
		TEST(what_a_crash_left_of_a_compaction_does_not_matter),
		TEST(a_directory_that_cannot_be_used_is_named),
		TEST(a_journal_that_cannot_be_made_durable_is_not_made),
		TEST(a_reservation_gives_out_numbers_with_one_sync),
		TEST(each_number_of_a_reservation_is_found_with_all_that_was_said),
		TEST(a_claim_to_one_number_is_a_claim_to_the_reservation),
		TEST(a_number_of_a_reservation_is_not_begun_again),
		TEST(a_reservation_is_open_until_it_is_settled),
		TEST(a_reservation_settles_an_earlier_one_with_the_same_line),
		TEST(what_cannot_be_reserved_is_refused),
		TEST(nothing_is_reserved_or_settled_on_a_full_disk),
		TEST(a_reservation_that_a_crash_tore_anywhere_never_happened),
		TEST(a_process_killed_while_it_reserves_has_used_all_of_the_numbers),
		TEST(compaction_keeps_an_open_reservation_and_its_numbers),
		TEST(a_reservation_is_listed_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

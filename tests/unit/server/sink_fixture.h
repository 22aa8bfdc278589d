/* SPDX-License-Identifier: MIT */
/* A `dir:` sink in a directory of its own, SCRATCH/inbox, on a disk that fails when it is told to. */
#ifndef SERVER_SINK_FIXTURE_H
#define SERVER_SINK_FIXTURE_H

#include "base/digest.h"
#include "base/test.h"
#include "lib/scratch.h"
#include "loop/real.h"
#include "server/ledger.h"
#include "server/sink.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILES_MAX 256

struct fixture {
	struct lb_host             host; /* first: the disk's functions cast it back */
	struct lb_disk_ops         disk;
	struct scratch             scratch;
	struct lb_sink            *sink;
	const char                *vfs;
	struct lb_sink_dir_options options;
	char                       why[256];
	/* what fails: this call on this name, `times` times */
	const char *fail_call, *fail_name;
	int         err, times;
	bool        fail_after; /* once it has failed, every rename fails too: a disk that became read-only */
	/* "call name;" for each sync and rename, while it is asked for */
	bool logging;
	char log[2000];
	char names[FILES_MAX][64]; /* of open files, by descriptor */
};

static inline int fails(struct lb_host *host, const char *call, const char *name)
{
	struct fixture *fx  = (struct fixture *)host;
	size_t          len = strlen(fx->log);

	if (fx->logging && (strcmp(call, "sync") == 0 || strcmp(call, "rename") == 0))
		snprintf(fx->log + len, sizeof fx->log - len, "%s %s;", call, name);
	if (fx->fail_after && fx->times == 0 && strcmp(call, "rename") == 0)
		return -EROFS;
	if (fx->times == 0 || strcmp(fx->fail_call, call) != 0 || strcmp(fx->fail_name, name) != 0)
		return 0;
	fx->times--;
	return fx->err;
}

static inline const char *name_of(struct lb_host *host, int fd)
{
	return fd >= 0 && fd < FILES_MAX ? ((struct fixture *)host)->names[fd] : "";
}

static inline int faulty_open(struct lb_host *host, int dirfd, const char *name, unsigned flags)
{
	const char *slash = strrchr(name, '/');
	int         fd    = fails(host, "open", name);

	if (fd == 0)
		fd = lb_disk_real.open(host, dirfd, name, flags);
	if (fd >= 0 && fd < FILES_MAX)
		snprintf(((struct fixture *)host)->names[fd], 64, "%s", slash != NULL ? slash + 1 : name);
	return fd;
}

static inline int faulty_write(struct lb_host *host, int fd, const void *buf, size_t len, uint64_t offset)
{
	int err = fails(host, "write", name_of(host, fd));

	return err != 0 ? err : lb_disk_real.write(host, fd, buf, len, offset);
}

static inline ssize_t faulty_read(struct lb_host *host, int fd, void *buf, size_t len, uint64_t offset)
{
	int err = fails(host, "read", name_of(host, fd));

	return err != 0 ? err : lb_disk_real.read(host, fd, buf, len, offset);
}

static inline int faulty_sync(struct lb_host *host, int fd)
{
	int err = fails(host, "sync", name_of(host, fd));

	return err != 0 ? err : lb_disk_real.sync(host, fd);
}

static inline int faulty_mkdir(struct lb_host *host, int dirfd, const char *name, unsigned mode)
{
	int err = fails(host, "mkdir", name);

	return err != 0 ? err : lb_disk_real.mkdir(host, dirfd, name, mode);
}

static inline int faulty_rename(
	struct lb_host *host, int dirfd, const char *name, int new_dirfd, const char *new_name, bool replace)
{
	int err = fails(host, "rename", new_name);

	return err != 0 ? err : lb_disk_real.rename(host, dirfd, name, new_dirfd, new_name, replace);
}

static inline const char *inbox(const struct fixture *fx, const char *name)
{
	static char     bufs[4][600];
	static unsigned turn;
	char           *buf = bufs[turn++ % 4];

	snprintf(buf, sizeof bufs[0], "%s/inbox/%s", fx->scratch.path, name);
	return buf;
}

static inline void fail_on(struct fixture *fx, const char *call, const char *name, int err, int times)
{
	fx->fail_call = call;
	fx->fail_name = name;
	fx->err       = err;
	fx->times     = times;
}

static inline int sink_try_open(struct fixture *fx)
{
	return lb_sink_dir_open_on(
		&fx->host, fx->vfs, scratch_path(&fx->scratch, "inbox"), &fx->options, &fx->sink, fx->why);
}

static inline void sink_open(struct fixture *fx)
{
	assert_int_equal(sink_try_open(fx), 0);
}

static inline void sink_reopen(struct fixture *fx)
{
	lb_sink_close(fx->sink);
	sink_open(fx);
}

static inline int bare_make(void **state)
{
	struct fixture *fx = calloc(1, sizeof *fx);

	assert_non_null(fx);
	scratch_make(&fx->scratch);
	fx->disk        = lb_disk_real;
	fx->disk.open   = faulty_open;
	fx->disk.read   = faulty_read;
	fx->disk.write  = faulty_write;
	fx->disk.sync   = faulty_sync;
	fx->disk.mkdir  = faulty_mkdir;
	fx->disk.rename = faulty_rename;
	fx->host        = (struct lb_host){.clock = lb_host_real()->clock, .disk = &fx->disk};
	*state          = fx;
	return 0;
}

static inline int sink_make(void **state)
{
	bare_make(state);
	sink_open(*state);
	return 0;
}

static inline int sink_remove(void **state)
{
	struct fixture *fx = *state;

	lb_sink_close(fx->sink);
	scratch_remove(&fx->scratch);
	free(fx);
	return 0;
}

#define sink_test(f) cmocka_unit_test_setup_teardown(f, sink_make, sink_remove)
#define bare_test(f) cmocka_unit_test_setup_teardown(f, bare_make, sink_remove)

static inline struct lb_id id_of(uint64_t number)
{
	struct lb_id id = {.number = number};

	memset(id.client, 0xc1, sizeof id.client);
	return id;
}

#define CLIENT_HEX "c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1"

static inline const char *part_path(const struct fixture *fx, uint64_t number, const char *name)
{
	char path[200];

	snprintf(path, sizeof path, ".lastbyte/parts/" CLIENT_HEX "-%u%s%s", (unsigned)number,
		*name ? "/" : "", name);
	return inbox(fx, path);
}

static inline bool exists(const char *path)
{
	return access(path, F_OK) == 0;
}

static inline void put_file(const char *path, const char *content)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(content, file);
	fclose(file);
}

static inline void assert_file(const char *path, const char *content)
{
	char  buf[200] = "";
	FILE *file     = fopen(path, "r");

	assert_non_null(file);
	buf[fread(buf, 1, sizeof buf - 1, file)] = '\0';
	fclose(file);
	assert_string_equal(buf, content);
}

static inline void begin(struct fixture *fx, struct lb_intake *intake, uint64_t number, const char *name)
{
	*intake = (struct lb_intake){
		.id = id_of(number), .attempt = 1, .declared = LB_UNKNOWN, .part = -1, .part_dir = -1};
	snprintf(intake->name, sizeof intake->name, "%s", name);
	fx->sink->ops->begin(fx->sink, intake);
}

/* The digest is the session's to make. */
static inline void take_in(struct fixture *fx, struct lb_intake *intake, const char *content)
{
	struct lb_hasher hasher;

	assert_int_equal(intake->verdict, LB_VERDICT_UNPROVEN);
	assert_int_equal(fx->sink->ops->write(fx->sink, intake, content, strlen(content)), LB_REASON_NONE);
	lb_hasher_init(&hasher);
	lb_hasher_update(&hasher, content, strlen(content));
	lb_hasher_digest(&hasher, &intake->digest);
}

static inline void commit(struct fixture *fx, struct lb_intake *intake)
{
	fx->sink->ops->commit(fx->sink, &intake, 1);
}

static inline void begin_full(
	struct fixture *fx, struct lb_intake *intake, uint64_t number, const char *name, const char *content)
{
	begin(fx, intake, number, name);
	take_in(fx, intake, content);
}

/* From begin to the verdict. */
static inline struct lb_intake deliver(
	struct fixture *fx, uint64_t number, const char *name, const char *content)
{
	struct lb_intake intake;

	begin(fx, &intake, number, name);
	if (intake.verdict == LB_VERDICT_UNPROVEN) {
		take_in(fx, &intake, content);
		commit(fx, &intake);
	}
	return intake;
}

static inline struct lb_resolution resolve(struct fixture *fx, uint64_t number)
{
	struct lb_resolution resolution = {.id = id_of(number)};

	fx->sink->ops->resolve(fx->sink, &resolution);
	return resolution;
}

static inline void settle(struct fixture *fx, uint64_t lowest)
{
	struct lb_id id = id_of(lowest);

	fx->sink->ops->settle(fx->sink, &id);
}

/* As another process sees it. */
static inline enum lb_ledger_state in_ledger(struct fixture *fx, uint64_t number, struct lb_receipt *receiptp)
{
	struct lb_ledger    *ledger;
	enum lb_ledger_state answer;
	struct lb_id         id = id_of(number);

	assert_int_equal(
		lb_ledger_open(&fx->host, NULL, inbox(fx, ".lastbyte/ledger.db"), NULL, &ledger, fx->why), 0);
	assert_int_equal(lb_ledger_look(ledger, &id, &answer, receiptp, NULL), 0);
	lb_ledger_close(ledger);
	return answer;
}

#define assert_answer(x, v, r)                                                                               \
	do {                                                                                                 \
		__auto_type answer_ = (x);                                                                   \
		assert_string_equal(lb_verdict_word(answer_.verdict), lb_verdict_word(LB_VERDICT_##v));      \
		assert_string_equal(lb_reason_word(answer_.reason), lb_reason_word(LB_REASON_##r));          \
	} while (0)

#endif

/* SPDX-License-Identifier: MIT */
/* The inside of the `sqlite:` sink: sink_sqlite.c (the table of functions) and sink_sqlite_open.c. */
#ifndef SERVER_SINK_SQLITE_H
#define SERVER_SINK_SQLITE_H

#include "server/ledger.h"
#include "server/sink.h"
#include <stdatomic.h>

#define LB_ROWS_BATCH 1024 /* deliveries of one transaction */

struct lb_rows {
	struct lb_sink    sink;
	struct lb_ledger *ledger;
	uint64_t          held_max; /* bytes of contents in memory */
	_Atomic uint64_t  held;     /* raised by the loop's thread, lowered by the worker */
	/* of one commit */
	struct lb_ledger_entry entries[LB_ROWS_BATCH];
};

extern const struct lb_sink_ops lb_rows_ops;

#endif

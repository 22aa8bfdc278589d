/* SPDX-License-Identifier: MIT */
/* A ledger on a file system that fails when it is told to. */
#ifndef SERVER_FAULTY_LEDGER_H
#define SERVER_FAULTY_LEDGER_H

#include "faulty_vfs.h"
#include "ledger_fixture.h"

static inline int faulty_fixture_make(void **state)
{
	struct fixture *fx;

	faulty_vfs_init();
	if (fixture_make(state) != 0)
		return -1;
	fx      = *state;
	fx->vfs = "faulty";
	ledger_reopen(fx);
	return 0;
}

static inline int faulty_fixture_remove(void **state)
{
	fixture_remove(state);
	faulty_vfs_deinit();
	return 0;
}

#endif

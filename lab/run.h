/* SPDX-License-Identifier: MIT */
/*
 * run.h - plays all cells: which links, policies and scenarios there are, who plays them, and how often.
 *
 *	struct lab_options options = {.delay = 20000000, .players = LAB_PLAYERS, .stop = -1};
 *	struct lab lab;
 *
 *	if (lab_run(&options, &lab) == 0)
 *		... lab.cells
 *	lab_free(&lab);
 */
#ifndef LAB_RUN_H
#define LAB_RUN_H

#include "lab/play.h"
#include "lab/spool.h"

#define LAB_LINKS   3
#define LAB_PLAYERS 24 /* at once: they wait most of the time; more keep two cores busy */
#define LAB_ID      80 /* bytes that the text of a cell's id needs, with its NUL */

struct lab_options {
	const char *only,
		*policy; /* names of scenarios, and of policies, with commas between them; NULL: all */
	lb_time           delay;   /* of the link `delay`: one way */
	unsigned          loss;    /* of 10,000 packets on it, so many are lost */
	unsigned          players; /* plays at once: 1 to LAB_PLAYERS */
	bool              quick;   /* on one link, and less often */
	bool              machine; /* the machine is the lab's own: limits of all of it may be changed */
	struct lab_spool *spool;   /* gets the packets of the plays that are shown; or NULL */
	int               stop;    /* descriptor that is readable when it shall stop; -1: none */
	void (*told)(void *arg, const struct lab_cell *cell, size_t done, size_t count);
	void *arg; /* told is called when a cell is done (of what `cell` says see struct lab), and without one now and then */
};

struct lab_link {
	const char         *name;
	struct link_options options;
	bool                played; /* else text says why not */
	char                text[400];
};

struct lab {
	char            kernel[160]; /* uname(2): release and version */
	struct lab_link links[LAB_LINKS];
	unsigned        links_count;
	/* In the order of links, policies and scenarios: first `count` cells, then `failed` ones that could not be
	 * played, with runs 0 and with shown.failed, which says why. */
	struct lab_cell *cells;
	size_t           count, failed;
};

/*
 * Plays, many at once, each play in a process of its own, and waits for all of them. The calling program must have no
 * other children and no threads. When it returns, and also when the program dies before, no process, no network and no
 * file is left. Every cell is played 3 times, and 20 times if these do not end alike; if quick, 2 times and 10.
 *
 * 0; -EINTR: it was to stop; or a negative errno. lab_free is due in any case.
 */
LB_CHECKED int lab_run(const struct lab_options *options, struct lab *lab);
void           lab_free(struct lab *lab);

/* Whether the options leave any cell to play. */
bool lab_matrix_any(const struct lab_options *options);

/* Finds out which links can be had here. 0 or a negative errno. */
LB_CHECKED int lab_matrix_links(const struct lab_options *options, struct lab *lab);

/* The cells that there are, as specs, to be freed. */
LB_CHECKED int lab_matrix_specs(
	const struct lab_options *options, const struct lab *lab, struct lab_spec **specsp, size_t *countp);

/* "delay/plain/unread". Returns buf. */
const char *lab_cell_id(const struct lab_cell *cell, char buf[LAB_ID]);

#endif

/* SPDX-License-Identifier: MIT */
/* The client's connection, for engine.c: from connect(2) to the socket's end. */
#ifndef CLIENT_LINK_H
#define CLIENT_LINK_H

#include "client/engine.h"

/* Starts to connect to the next endpoint that takes it; breaks the link when there is none left. */
void lb_link_connect(struct lb_client *client);

/* Whether that has come to something. True if so; then the link stands, or is broken, or tries the next one. */
bool lb_link_check_connect(struct lb_client *client);

/* Reads, writes and keeps time, without blocking. True if anything moved. */
bool lb_link_pump(struct lb_client *client);

/* Goes on with CLOSE, CLOSE_OK and the end of the socket. True if anything moved. */
bool lb_link_close(struct lb_client *client);

void lb_link_abort(struct lb_client *client); /* resets the connection, if there still is one */
void lb_link_drop(struct lb_client *client);  /* likewise, and everything of it is forgotten */
bool lb_link_has_output(const struct lb_client *client);
bool lb_link_is_due(const struct lb_client *client); /* so much waits to be written that it is worth it */

/* The caller takes its buffer back: keeps a copy of the rest of a DATA frame of which a part was written. */
void lb_link_release_buffer(struct lb_client *client);

void lb_link_needs(const struct lb_client *client, struct lb_needs *needs);

#endif

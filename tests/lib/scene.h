/* SPDX-License-Identifier: MIT */
/* What tests of links have in common: a link, and a connection that is used and ends. */
#ifndef LIB_SCENE_H
#define LIB_SCENE_H

#include "lab/link.h"

#define MS INT64_C(1000000)

/* A link; a test that cannot have it is skipped, saying why. */
struct link *scene_link(const struct link_options *options);

/* So many bytes go from fds[0] to fds[1]. */
void scene_send(const int fds[2], size_t bytes);

/* fds[0] ends first, fds[1] sees it and ends, too; closes both when either has the other's acknowledgement. */
void scene_end(const int fds[2]);

#endif

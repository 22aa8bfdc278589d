/* SPDX-License-Identifier: MIT */
/* Which arrows a diagram of these segments has. */
#ifndef LAB_ARROWS_H
#define LAB_ARROWS_H

#include "lab/cell.h"
#include "lab/pair.h"

/*
 * Fills play->arrow and play->arrows as capture.h says. The segments are in the order in which they were sent. 0 or
 * -ENOMEM, and then there are none.
 */
LB_CHECKED int lab_arrows_draw(const struct lab_segment *segments, size_t count, struct lab_play *play);

#endif

/* SPDX-License-Identifier: MIT */
/* cmocka, with the headers that it wants before itself. */
#ifndef LIB_CMOCKA_H
#define LIB_CMOCKA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#endif

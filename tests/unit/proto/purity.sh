#!/bin/sh
# The protocol machine is pure: its objects ($1, an archive) refer to nothing but each other, the base layer, memory
# and text. No socket, no file, no clock.
set -eu
allowed='^(lb_[a-z0-9_]+|mem(cpy|set|cmp|move)|str(len|nlen|cmp)|malloc|calloc|free|v?snprintf|__v?snprintf_chk|__mem(cpy|set|move)_chk|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_)$'
symbols=$(nm -u "$1" | sed -n 's/^ *U //p' | sort -u)
[ -n "$symbols" ] || { echo "no symbols in $1" >&2; exit 1; }
impure=$(echo "$symbols" | grep -vE "$allowed" || true; echo "$symbols" | grep -xE 'lb_(now|in_ms)' || true)
if [ -n "$impure" ]; then
	echo "the protocol machine uses:" >&2
	echo "$impure" >&2
	exit 1
fi

# ./dev lint: whatever can be found without running anything. Prints TAP: a line for each check, and what it
# found as comments.

setup build test
configure build -Dtests=true
log=build/lint
mkdir -p "$log"
mapfile -t sources < <(find src cli lab tests bench examples -name '*.c' | sort)
mapfile -t headers < <(find include src cli lab tests bench examples -name '*.h' | sort)
cores=$(nproc) n=0 bad=0

check() { # NAME FUNCTION
	local status=0
	n=$((n + 1))
	(
		set -e
		"$2"
	) >"$log/$2.log" 2>&1 </dev/null &
	wait $! || status=$?
	if [ $status = 0 ]; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
		sed 's/^/# /' "$log/$2.log"
		bad=1
	fi
}

layout() {
	{
		clang-format --dry-run "${sources[@]}"
		clang-format --style=file:include/.clang-format --dry-run "${headers[@]}"
	} 2>"$log/layout"
	[ -s "$log/layout" ] || return 0
	sed -n 's/^\([^ :]*\):[0-9]*:.*/\1/p' "$log/layout" | sort -u
	echo './dev format lays these out'
	return 1
}

# One entry for each file: those that are compiled more than once are looked at as test builds see them.
database() { # FOLDER...: of the files in these
	python3 - build/compile_commands.json "$log/compile_commands.json" "$@" <<'PYTHON'
import json, os, sys
source, target, *folders = sys.argv[1:]
entries = {}
for entry in json.load(open(source)):
    path = os.path.relpath(os.path.join(entry["directory"], entry["file"]))
    if path.split("/")[0] in folders and (path not in entries or "-DLB_TESTING" in entry["command"]):
        entries[path] = entry
json.dump(list(entries.values()), open(target, "w"))
PYTHON
}

tidy() {
	database src cli lab tests bench examples
	printf '%s\0' "${sources[@]}" | xargs -0 -n 1 -P "$cores" clang-tidy -p "$log" --quiet 2>&1 |
		{ grep -v '^[0-9]* warnings* generated' || true; }
}

# What it says of uninitialized variables is wrong for a buffer and its length in one call; the compilers, clang-tidy
# and valgrind look for those too.
cpp() {
	database src cli lab bench examples
	cppcheck --project="$log/compile_commands.json" --enable=warning,performance,portability --inline-suppr \
		--suppress=missingIncludeSystem --suppress=unmatchedSuppression --suppress=normalCheckLevelMaxBranches \
		--suppress=uninitvar --error-exitcode=1 --quiet -j "$cores"
}

layers() {
	tests/lib/check_layers.py
}

scripts_parse() {
	local file
	for file in dev .ci/run scripts/*.sh; do
		bash -n "$file"
	done
	find scripts tests bench -name '*.py' |
		python3 -c 'import sys; [compile(open(f.strip()).read(), f.strip(), "exec") for f in sys.stdin]'
}

check 'the layout is that of .clang-format' layout
check 'clang-tidy finds nothing' tidy
check 'cppcheck finds nothing' cpp
check 'includes point down, public headers stand alone' layers
check 'the scripts parse' scripts_parse
echo "1..$n"
exit $bad

# ./dev coverage: how much of src/proto, src/client and src/server the unit tests and the simulation run. Prints TAP: a
# line for each folder, and as comments what each file lacks. Nothing is excluded: in C without optimization each
# condition has its two branches, none that a compiler made up, and calls that fail can be made to.

setup test
dir=build-coverage
configure "$dir" -Dtests=true -Dbuildtype=debug -Db_coverage=true
find "$dir" -name '*.gcda' -delete
# To look for planted bugs takes long without optimization, and runs nothing else.
if ! meson test -C "$dir" --suite unit --suite sim --no-suite bugs >"$dir/coverage.log" 2>&1; then
	sed 's/^/# /' "$dir/coverage.log"
	echo 'not ok 1 - the tests pass that are counted'
	echo 1..1
	exit 1
fi
# The sources are compiled several times; the tests use those with the fault points.
gcovr --root . --filter 'src/(proto|client|server)/' --json-summary "$dir/coverage.json" "$dir/tests/liblastbyte-testing.a.p"
python3 - "$dir/coverage.json" <<'PYTHON'
import json, sys
from collections import defaultdict

LEAST = {"line": 95, "branch": 90}  # percent, of each folder
TABLE = "# {:<28} {:>6.1f} % of {:>4} lines {:>6.1f} % of {:>4} branches"

folders = defaultdict(lambda: defaultdict(int))
def share(counts, what):
    return 100 * counts[what + "_covered"] / counts[what + "_total"] if counts[what + "_total"] else 100
def row(name, counts):
    return TABLE.format(name, share(counts, "line"), counts["line_total"], share(counts, "branch"), counts["branch_total"])
for file in json.load(open(sys.argv[1]))["files"]:
    print(row(file["filename"], file))
    for what in ("line_total", "line_covered", "branch_total", "branch_covered"):
        folders[file["filename"].rsplit("/", 1)[0]][what] += file[what]
        folders["together"][what] += file[what]
for name, counts in sorted(folders.items()):
    print(row(name, counts))
failed = False
for n, name in enumerate(["src/client", "src/proto", "src/server"], 1):
    good = name in folders and all(share(folders[name], what) >= least for what, least in LEAST.items())
    failed = failed or not good
    print(f"{'ok' if good else 'not ok'} {n} - of {name} at least {LEAST['line']} % of lines and {LEAST['branch']} % of branches are run")
print("1..3")
sys.exit(failed)
PYTHON

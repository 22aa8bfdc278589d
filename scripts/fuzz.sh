# ./dev fuzz [SECONDS]: fuzzes the decoder and the state machine with libFuzzer. What it learns stays in
# build-fuzz/corpus; a finding is kept in build-fuzz/finding-* and can be run again with the same program.
seconds=${1:-60}
setup build test
CC=clang configure build-fuzz -Dtests=true -Dfuzz=true
target=tests/fuzz/fuzz_conn
ninja -C build-fuzz "$target" >build-fuzz/compile.log 2>&1 || { cat build-fuzz/compile.log >&2; exit 1; }
mkdir -p build-fuzz/corpus
if "build-fuzz/$target" -max_total_time="$seconds" -max_len=4096 -timeout=10 -print_final_stats=1 \
	-artifact_prefix=build-fuzz/finding- build-fuzz/corpus >build-fuzz/fuzz.log 2>&1; then
	runs=$(sed -n 's/^stat::number_of_executed_units: *//p' build-fuzz/fuzz.log)
	echo "fuzzed for $seconds s: $runs inputs, nothing found"
else
	tail -n 40 build-fuzz/fuzz.log >&2
	echo "the fuzzer found something: build-fuzz/finding-*, and build-fuzz/fuzz.log" >&2
	exit 1
fi

# ./dev test: the whole suite. Every step writes to build/test/; one line for each step, failures in full, and
# last the number of test cases that passed and failed. What did not run counts as failed.

setup build test
log=build/test
rm -rf "$log"
mkdir -p "$log"
cores=$(nproc)
declare -A name_of started
under=()
passed=0 failed=0 skipped=0 whole=no

conclude() {
	[ "$whole" = yes ] || [ "$failed" -gt 0 ] || failed=1
	local total="$passed passed, $failed failed"
	[ "$skipped" = 0 ] || total+=", $skipped skipped"
	echo "$total"
	[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
}
trap 'jobs=$(jobs -p); [ -z "$jobs" ] || kill $jobs 2>/dev/null; conclude || exit 1' EXIT

begin() { # STEP FUNCTION [ARG...]: runs it in the background
	local step=$1
	shift
	(
		set -e
		"$@"
	) </dev/null >"$log/$step.log" 2>&1 &
	name_of[$!]=$step
	started[$!]=$EPOCHREALTIME
}

end() { # waits for one step, says how it went, and adds its cases up
	local pid='' status=0 step how
	wait -n -p pid "${!name_of[@]}" || status=$?
	step=${name_of[$pid]}
	local took=$(((${EPOCHREALTIME/[.,]/} - ${started[$pid]/[.,]/}) / 100000)) cases
	unset "name_of[$pid]" "started[$pid]"
	if [ -f "$log/$step.cases" ]; then
		cases=$(cat "$log/$step.cases")
	else # no tests, a build: it passes without being counted
		cases="0 $((status != 0)) 0"
	fi
	set -- $cases
	[ "$2" != 0 ] || [ "$status" = 0 ] || set -- "$1" 1 "$3"
	passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
	how=$([ "$2" = 0 ] && echo ok || echo FAILED)
	[ "$3" = 0 ] || how+=", $3 skipped"
	printf '%-10s %4d cases  %3d.%d s  %s\n' "$step" "$(($1 + $2 + $3))" $((took / 10)) $((took % 10)) "$how"
	[ "$2" = 0 ] || sed 's/^/    /' "$log/$step.log"
}

tests() { # STEP BUILD SUITES(comma-separated, or all)
	local step=$1 dir=$2 suites=$3 status=0 chosen=() suite
	for suite in ${suites//,/ }; do
		[ "$suite" = all ] || chosen+=(--suite "$suite")
	done
	rm -f "$dir/meson-logs/testlog.json"
	"${under[@]}" meson test -C "$dir" --no-rebuild "${chosen[@]}" >"$log/$step.meson" 2>&1 || status=$?
	scripts/tally.py meson "$dir" "$suites" >"$log/$step.cases"
	return $status
}

tap() { # STEP COMMAND...: a program that prints TAP
	local step=$1 status=0
	shift
	"$@" >"$log/$step.tap" 2>&1 || status=$?
	cat "$log/$step.tap"
	scripts/tally.py tap "$log/$step.tap" "$status" >"$log/$step.cases"
	return $status
}

# Reports go to files, so that those of programs that a test starts are seen too.
sanitized() { # STEP SANITIZER SUITES: builds with it and runs these suites
	local step=$1 dir=build-$1 sanitizer=$2 suites=$3 status=0
	local options="log_path=$PWD/$log/$step.report:halt_on_error=1"
	export ASAN_OPTIONS=$options UBSAN_OPTIONS=$options:print_stacktrace=1 TSAN_OPTIONS=$options
	configure "$dir" -Dtests=true -Db_sanitize="$sanitizer" -Db_lundef=false
	compile "$dir"
	# ThreadSanitizer knows fewer layouts of memory than kernels make at random.
	! setarch -R true 2>/dev/null || under=(setarch -R)
	tests "$step" "$dir" "$suites" || status=$?
	if compgen -G "$log/$step.report.*" >/dev/null; then
		cat "$log/$step.report".*
		return 1
	fi
	return $status
}

main_build() {
	configure build -Dtests=true
	compile build
}

begin build main_build
end
if [ "$failed" = 0 ]; then
	steps=(suite asan tsan coverage lint fuzz)
	declare -A commands=(
		[suite]='tests suite build all'
		[asan]='sanitized asan address,undefined unit,net,sim'
		[tsan]='sanitized tsan thread unit,net'
		[coverage]='tap coverage ./dev coverage'
		[lint]='tap lint ./dev lint'
		[fuzz]='tap fuzz ./dev fuzz 5'
	)
	for step in "${steps[@]}"; do
		[ "${#name_of[@]}" -lt "$cores" ] || end
		begin "$step" ${commands[$step]}
	done
	while [ "${#name_of[@]}" -gt 0 ]; do
		end
	done
	# of src/proto, src/client and src/server, and of all three
	sed -n 's/^# \(src\/[a-z]*\|together\) /\1 /p' "$log/coverage.tap"
	whole=yes
fi

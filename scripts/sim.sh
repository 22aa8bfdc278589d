# ./dev sim [N [SEED]]: N schedules of faults, on every processor, from a seed that is another one each time.
schedules=${1:-20000}
seed=${2:-$((RANDOM * 1000000000 + RANDOM * 30000))}
setup build test
configure build -Dtests=true
compile build

processors=$(nproc)
share=$(((schedules + processors - 1) / processors))
running=()
for ((i = 0; i < processors; i++)); do
	build/tests/sim/sim --schedules "$share" --seed $((seed + i * share)) &
	running+=($!)
done
failed=0
for process in "${running[@]}"; do
	wait "$process" || failed=1
done
exit $failed

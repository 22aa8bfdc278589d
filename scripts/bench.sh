# ./dev bench [NAME...]: measures side by side with others, those benches or all of them.

setup build test bench
configure build -Dtests=true
compile build
exec python3 bench/bench.py build "$@"

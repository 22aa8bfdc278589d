# ./dev chaos [MINUTES [OPTION...]]: real servers and clients, killed, stopped, cut off and out of space. With
# --seed S --rounds 1 the plan of one round is drawn again.
minutes=${1:-1}
shift $(($# > 0))
setup build test
configure build -Dtests=true
compile build
exec python3 tests/chaos/chaos.py build/lastbyte build/tests/lastbyte-testing build --minutes "$minutes" "$@"

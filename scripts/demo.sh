# ./dev demo: the main job on real data. A file is delivered; the server is killed in the middle of another one,
# of which nothing shows; it is delivered again. Fails if anything is not as it says.

setup build demo
echo 'building'
build
lastbyte=$PWD/build/lastbyte
[ -t 1 ] && bold=$'\e[1m' plain=$'\e[0m' || bold='' plain=''

mkdir -p build
place=$(mktemp -d "$PWD/build/demo.XXXXXX")
server='' sender=''
trap 'for pid in $server $sender; do kill -KILL "$pid" 2>/dev/null || true; done; rm -rf "$place"' EXIT
cd "$place"

step=0
say() { # WHAT AND WHY
	step=$((step + 1))
	printf '\n%s%d. %s%s\n' "$bold" "$step" "$1" "$plain"
}

wrong() { # WHAT
	echo "this is not as it should be: $1" >&2
	[ ! -s server.log ] || sed 's/^/the server said: /' server.log >&2
	exit 1
}

serve() { # PORT (0: any)
	echo "\$ lastbyte serve --listen 127.0.0.1:$1 --into dir:inbox &"
	: >server.log
	"$lastbyte" serve --listen "127.0.0.1:$1" --into dir:inbox >server.out 2>server.log &
	server=$!
	local tries=0
	until grep -q '^listening on ' server.log; do
		kill -0 "$server" 2>/dev/null || wrong 'the server ended'
		[ $((tries += 1)) -lt 600 ] || wrong 'the server does not listen'
		sleep 0.05
	done
	sed -n 's/^listening on [^ ]*:\([0-9]*\), .*/\1/p' server.log >port
	sed -n '/^listening on /p' server.log
}

deliver() { # FILE: its output in receipt; the exit status is its own
	echo "\$ lastbyte send $1 127.0.0.1:$(cat port)"
	"$lastbyte" send --state state "$1" "127.0.0.1:$(cat port)" >receipt
}

show_inbox() {
	echo '$ ls inbox'
	ls inbox
}

check() { # FILE: it lies in the inbox, unchanged, and its receipt has the digest that xxhsum finds
	local digest
	cmp -s "$1" "inbox/$1" || wrong "inbox/$1 differs from $1"
	echo "\$ xxhsum -H2 inbox/$1"
	xxhsum -H2 "inbox/$1" 2>/dev/null | tee digest
	digest=$(cut -d' ' -f1 digest)
	[ "${#digest}" = 32 ] || wrong 'xxhsum printed no digest'
	grep -q "^committed .* $1 $(stat -c %s "$1") xxh128:$digest " receipt || wrong 'the receipt has another digest'
	echo 'the digest is the one of the receipt'
}

say 'Two files of random bytes, 256 MiB each: nothing in them can be guessed, compressed or mistaken.'
for name in first.bin second.bin; do
	head -c 256M /dev/urandom >$name
done
ls -l first.bin second.bin

say 'A server that puts deliveries into an empty directory.'
mkdir inbox
serve 0

say 'The first file is sent. The line below is the receipt: the server has synced the file to disk and says so.'
deliver first.bin || wrong "send exited with $?"
cat receipt
show_inbox
check first.bin
cp receipt first.receipt

say 'The second file is sent, and the server is killed with SIGKILL once it has half of it.'
deliver second.bin 2>send.log &
sender=$!
half=$((128 * 1024 * 1024))
while have=$(find inbox/.lastbyte/parts -name second.bin -size +"$half"c -printf %s 2>/dev/null) && [ -z "$have" ]; do
	kill -0 "$sender" 2>/dev/null || wrong 'the delivery ended before the server was killed'
done
kill -KILL "$server"
wait "$server" 2>/dev/null || true
server=''
status=0
wait "$sender" || status=$?
sender=''
part=$(find inbox/.lastbyte/parts -name second.bin -printf %s)
echo "killed when it had $part of $(stat -c %s second.bin) bytes"
cat receipt send.log
[ "$status" = 4 ] || wrong "send exited with $status"
echo 'exit code 4: not committed, sending it again may help'

say 'Nothing of the second file is to be seen: a delivery appears as a whole or not at all.'
show_inbox
[ "$(ls inbox)" = first.bin ] || wrong 'the inbox shows more than the first file'

say 'The server is started again. What it had synced of the second file it keeps out of sight, for a while.'
serve "$(cat port)"
kept=$(find inbox/.lastbyte/parts -name second.bin)
if [ -n "$kept" ]; then
	size=$(stat -c %s "$kept")
	[ "$size" -le "$part" ] && cmp -s -n "$size" "$kept" second.bin || wrong 'what it keeps is not the beginning of the file'
	echo "it keeps the first $size bytes"
else
	echo 'it had synced nothing of it'
fi

say 'The second file is sent again, with the same command. The first try is settled: what was kept of it goes.'
deliver second.bin || wrong "send exited with $?"
cat receipt
show_inbox
check second.bin
[ -z "$(find inbox/.lastbyte/parts -name second.bin)" ] || wrong 'the part is still there'
cp receipt second.receipt

say 'The ledger has both, each once.'
echo '$ lastbyte ledger inbox'
"$lastbyte" ledger inbox | tee ledger
for name in first second; do
	[ "$(grep -c " $name.bin\$" ledger)" = 1 ] || wrong "the ledger does not have $name.bin once"
done

say 'The server is asked to stop, with SIGTERM.'
kill -TERM "$server"
status=0
wait "$server" || status=$?
server=''
[ "$status" = 0 ] || wrong "the server exited with $status"

printf '\nboth receipts:\n'
cat first.receipt second.receipt
echo 'everything was as it says above'

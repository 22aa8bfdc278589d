# ./dev debian SUITE [STEP...]: a fresh Debian in a folder that is removed again, with git and a shell in it,
# a clone of what is committed here, and there ./dev STEP for each step (demo test).
# Mounts live in a namespace of their own, so that they end with the last process inside, whatever happens.

case ${1:-} in
bookworm | trixie) suite=$1 && shift ;;
*) echo "usage: ./dev debian bookworm|trixie [STEP...]" >&2 && exit 2 ;;
esac
[ $# -gt 0 ] || set -- demo test
setup debian

sudo=()
[ "$(id -u)" = 0 ] || sudo=(sudo)
folder=$(mktemp -d "${TMPDIR:-/var/tmp}/lastbyte-$suite.XXXXXX")
root=$folder/root
trap '"${sudo[@]}" rm -rf --one-file-system "$folder"' EXIT

repositories() { # of this machine, as its apt knows them: URI, release
	apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Identifier: Packages' 2>/dev/null | sort -u
}

# The same mirrors and proxies as here, for the other suite.
host=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
mirror=$(repositories | awk -v r="$host" '$2 == r { print $1; exit }')
security=$(repositories | awk -v r="$host-security" '$2 == r { print $1; exit }')
if [ "$(. /etc/os-release && echo "$ID")" != debian ]; then
	mirror='' security=''
fi

echo "making a fresh $suite in $folder"
if ! "${sudo[@]}" debootstrap --variant=minbase "$suite" "$root" $mirror >"$folder/debootstrap.log" 2>&1; then
	tail -n 20 "$folder/debootstrap.log" >&2
	exit 1
fi
if [ -n "$mirror" ]; then
	{
		echo "deb $mirror $suite main"
		echo "deb $mirror $suite-updates main"
		[ -z "$security" ] || echo "deb $security $suite-security main"
	} | "${sudo[@]}" tee "$root/etc/apt/sources.list" >/dev/null
fi
apt-config dump Acquire | grep -E '^Acquire::(https?|Check-|Retries)' |
	"${sudo[@]}" tee "$root/etc/apt/apt.conf.d/10host" >/dev/null
"${sudo[@]}" cp -L /etc/resolv.conf "$root/etc/resolv.conf"
printf '127.0.0.1 localhost\n::1 localhost ip6-localhost\n' |
	"${sudo[@]}" tee "$root/etc/hosts" >/dev/null # as the installer writes it, and debootstrap does not everywhere
git clone --quiet . "$folder/lastbyte"
"${sudo[@]}" mv "$folder/lastbyte" "$root/root/lastbyte"
"${sudo[@]}" chown -R root:root "$root/root/lastbyte"

inside() { # COMMAND: runs it in a shell in there
	"${sudo[@]}" unshare --mount --pid --fork --kill-child bash -c '
		set -e
		mount -t proc proc "$1/proc"
		mount -t sysfs sysfs "$1/sys" 2>/dev/null || mount --rbind /sys "$1/sys"
		mount --rbind /dev "$1/dev"
		exec chroot "$1" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin TERM="${TERM:-dumb}" \
			http_proxy="${http_proxy:-}" https_proxy="${https_proxy:-}" no_proxy="${no_proxy:-}" CI="${CI:-}" sh -c "$2"
	' inside "$root" "$1"
}

if ! inside 'apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends git' \
	>"$folder/git.log" 2>&1; then
	tail -n 20 "$folder/git.log" >&2
	exit 1
fi
for step; do
	echo "== $suite: ./dev $step"
	inside "cd /root/lastbyte && ./dev $step"
done

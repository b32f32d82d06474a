# Sourced by the scripts beside it.

run=/run/kvmlab

# nap SECONDS sleeps (fractions allowed) inside the shell: nothing ever writes to the pipe. It stays open, because the
# kernel is busy for a while after each closing (RCU).
exec 9<>$run/nap
nap() {
	read -r -t "$1" -u 9 _
}

# say TEXT prints one line on the console; the carriage return clears a prompt that may stand there.
say() {
	printf '\r%s\n' "$*" >/dev/console
}

# tell_console has the console look whether it can go on. Where it waits no more, nobody hears it.
tell_console() {
	echo 1<>$run/news
}

# find_port NAME sets $port to the device of the virtio-serial port of that name. Names come in a message from the host
# after the driver has started, so it may not be there at once.
find_port() {
	port=
	for dir in /sys/class/virtio-ports/*; do
		name=
		[ -e "$dir/name" ] && read -r name <"$dir/name"
		[ "$name" = "$1" ] && port=/dev/${dir##*/} && return 0
	done
	return 1
}

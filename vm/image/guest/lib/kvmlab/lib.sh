# Sourced by the scripts beside it.

run=/run/kvmlab

# nap SECONDS sleeps (fractions allowed) inside the shell: nothing ever writes to the pipe.
nap() {
	read -r -t "$1" _ <>$run/nap
}

# say TEXT prints one line on the console; the carriage return clears a prompt that may stand there.
say() {
	printf '\r%s\n' "$*" >/dev/console
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

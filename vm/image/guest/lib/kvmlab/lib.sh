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

# What a command of `kvmlab exec` runs under in the guest: $1 is a directory to make, $2 is 1 when input follows, the
# rest is the command. The guest agent can run programs and read plain files, and no more; so output is laid down in
# pieces, out.0, out.1 …, that the host reads while they grow and empties when it has read them, and input comes in
# pieces in.0, in.1 … with a file in.N.ok beside each that is whole. An empty piece is the end. Two pieces of output at
# the most lie here at any time: a command that the host does not keep up with waits.
d=$1 input=$2
shift 2
mkdir -p "$d" && cd "$d" && mkfifo o e || exit 125

# spool NAME lays down what comes on standard input.
spool() {
	n=0
	while :; do
		dd bs=65536 count=64 of="$1.$n" 2>/dev/null
		[ -s "$1.$n" ] || return
		n=$((n + 1))
		while [ $n -ge 2 ] && [ -s "$1.$((n - 2))" ]; do sleep 0.02; done
	done
}

# feed prints the pieces of input. It ends when the command does: nobody reads the pipe any more.
feed() {
	n=0
	while :; do
		until [ -e "in.$n.ok" ]; do
			[ ! -e status ] || return
			sleep 0.05
		done
		[ -s "in.$n" ] || return
		cat "in.$n" || return
		rm "in.$n" "in.$n.ok"
		n=$((n + 1))
	done
}

spool out <o &
outs=$!
spool err <e &
errs=$!
export HOME="${HOME:-/root}"
# In a session of its own, so that a signal reaches all that the command starts; and not in the background, where a
# shell makes it ignore SIGINT. $1 is the directory.
# shellcheck disable=SC2016 # for the inner shell to expand
run='echo $$ >"$1/pid.new" && mv "$1/pid.new" "$1/pid"; cd ~; shift; exec "$@"'
if [ "$input" = 1 ]; then
	mkfifo i
	feed >i &
	setsid sh -c "$run" sh "$d" "$@" <i >o 2>e
else
	setsid sh -c "$run" sh "$d" "$@" </dev/null >o 2>e
fi
echo $? >status.new
mv status.new status
wait $outs $errs

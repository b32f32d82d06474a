# Who this machine is: the host says it over the virtio-serial port org.kvmlab.id. Sourced by the scripts of the micro
# guest and by the initramfs of the debian guest.

# learn_identity asks, and sets $hostname, $seed, $time and $macs; all are empty when there is nobody to ask. With
# $patience set, it asks that many times. A machine that is told to be a template gets ready to be saved, and asks
# again when it is resumed, as whoever it will be.
learn_identity() {
	hostname='' seed='' time='' macs=''
	tries=0
	until find_port org.kvmlab.id || [ $tries -ge 200 ]; do
		tries=$((tries + 1))
		nap 0.02
	done
	if [ -z "$port" ]; then
		say "kvmlab: this machine has no port org.kvmlab.id, so it has no name"
		return
	fi
	{
		while read_identity; do
			[ -n "$template" ] || { echo ok >&3; return; }
			park
			echo parked >&3
		done
	} 3<>"$port"
}

# take_line KEY VALUE keeps one line of the identity. Unknown keys are for guests to come.
take_line() {
	case $1 in
	hostname) hostname=$2 ;;
	seed) seed=$2 ;;
	time) time=$2 ;;
	mac[0-9]*) macs="$macs ${1#mac}=$2" ;;
	file) echo "$2" >>$run/files ;;
	template) template=$2 ;;
	end) return 0 ;;
	esac
	return 1
}

# read_identity reads lines from the port (file descriptor 3) until "end". The port gives end of file as long as
# nobody is connected on the host, and again when the host hangs up: what came before then is not whole.
read_identity() {
	hostname='' seed='' time='' macs='' template='' said='' tries=0
	while :; do
		while IFS='=' read -r key value; do
			tries=0
			take_line "$key" "$value" && return 0
		done <&3
		hostname='' seed='' time='' macs='' template=''
		rm -f $run/files
		if [ -z "$said" ]; then
			say "kvmlab: waiting for an identity on org.kvmlab.id"
			said=1
		fi
		# Quick at first and right after a hang-up (a resumed guest sees one), then a few times a second.
		tries=$((tries + 1))
		[ -n "$patience" ] && [ $tries -gt "$patience" ] && return 1
		if [ $tries -lt 100 ]; then nap 0.02; else nap 0.2; fi
	done
}

# apply_identity makes this machine the one that the host named.
apply_identity() {
	[ -n "$seed" ] && echo "$seed" >/dev/urandom
	[ -n "$hostname" ] && echo "$hostname" >/proc/sys/kernel/hostname
}

# link_with MAC sets $link to the card that has this address now.
link_with() {
	for dir in /sys/class/net/eth*; do
		read -r address <"$dir/address"
		link=${dir##*/}
		[ "$address" = "$1" ] && return 0
	done
	link=
	return 1
}

# settle_links makes ethN the card that is to have macN. A card that has the address already is renamed if the kernel
# found the cards in another order; if none has it (a guest resumed from another one's memory), ethN takes it.
settle_links() {
	for pair in $macs; do
		want=eth${pair%%=*} mac=${pair#*=}
		if ! link_with "$mac"; then
			[ -e "/sys/class/net/$want" ] && ip link set "$want" address "$mac" up
		elif [ "$link" != "$want" ]; then
			if [ -e "/sys/class/net/$want" ]; then
				ip link set "$want" name swap
				ip link set "$link" name "$want"
				ip link set swap name "$link"
			else
				ip link set "$link" name "$want"
			fi
		fi
	done
}

# place_files ROOT puts the files that came with the identity below ROOT: mode:path:content in base64:
place_files() {
	[ -e $run/files ] || return 0
	while IFS=: read -r mode path content _; do
		mkdir -p "$1$(dirname "$path")"
		echo "$content" | base64 -d >"$1$path"
		chmod "$mode" "$1$path"
	done <$run/files
	rm $run/files
}

# Run in the guest: prints what kvmlab judges a student's DHCP server by. Each section begins with a line "@NAME …"; what
# could hold anything is in base64. Programs are dear in a guest without hardware virtualisation, so there are few.
export LC_ALL=C
PATH=/usr/sbin:/usr/bin:/sbin:/bin
# The uptime first: a process then seems a little younger than it is, and no file newer than its reader by that.
read -r up _ </proc/uptime
echo "@time $(date +%s.%N) $up"

# The files, and those that they name: two steps are enough for what anybody does in a class.
named() {
	sed -n 's/^[^#]*include[[:space:]]*"\([^"]*\)".*/\1/p; s/^DHCPDv4_CONF=["'\'']*\([^"'\'' ]*\).*/\1/p
		s/^conf-file[[:space:]]*=[[:space:]]*\([^[:space:]]*\).*/\1/p; s/^source[[:space:]][[:space:]]*\(.*\)/\1/p' "$@" 2>/dev/null
}
more=$(named /etc/dhcp/*.conf /etc/default/isc-dhcp-server /etc/dnsmasq.conf /etc/dnsmasq.d/* /etc/network/interfaces)
[ -z "$more" ] || more="$more $(named $more)"
echo "@files"
# What is no plain file is left out, and so is what is far too large to be a configuration: a capture that was put there.
stat -L -c '%f %s %n' -- /etc/dhcp/* /etc/dhcp*.conf /etc/default/dhcp* /root/dhcp* /home/*/dhcp* /etc/default/isc-dhcp-server \
	/etc/kea/kea-dhcp4* /etc/dnsmasq.conf /etc/dnsmasq.d/* /etc/network/interfaces /etc/network/interfaces.d/* \
	/etc/resolv.conf /var/lib/dhcp/dhcpd.leases /var/lib/kea/kea-leases4.csv /var/lib/misc/dnsmasq.leases $more 2>/dev/null |
	while read -r mode size f; do
		case $mode in
		8???) [ "$size" -gt 1048576 ] || echo "$f" ;;
		esac
	done | tar --create --gzip --format=posix --absolute-names --dereference --ignore-failed-read --files-from=- 2>/dev/null | base64

echo "@links"
ip -j address show
echo
echo "@udp"
ss -lnupH 'sport = :67'
echo "@packet"
ss -0lnpH
echo "@units"
systemctl show --timestamp=us+utc -p Id,LoadState,ActiveState,SubState,ActiveEnterTimestamp \
	isc-dhcp-server.service kea-dhcp4-server.service dnsmasq.service networking.service 2>/dev/null
echo "@processes"
for d in /proc/[0-9]*; do
	read -r name 2>/dev/null <"$d/comm" || continue
	case $name in
	dhcpd | kea-dhcp4 | dnsmasq | udhcpd)
		read -r stat 2>/dev/null <"$d/stat" || continue
		set -- ${stat##*) }
		echo "${d#/proc/} ${20} $(base64 -w 0 <"$d/cmdline")"
		;;
	esac
done
echo "@journal"
journalctl --no-pager -q -b -o short-unix -n 200 _SYSTEMD_UNIT=isc-dhcp-server.service + \
	_SYSTEMD_UNIT=kea-dhcp4-server.service + _SYSTEMD_UNIT=dnsmasq.service + SYSLOG_IDENTIFIER=dhcpd 2>/dev/null
echo "@end"

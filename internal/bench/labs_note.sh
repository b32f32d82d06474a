# The class note: three taps, a bridge, three random MAC addresses, a DHCP server, three guests.
now() { date +%s.%N; }
since() { echo "$(now) - $1" | bc; }
random_mac() { openssl rand -hex 5 | sed 's/\(..\)/:\1/g; s/^/02/'; }

began=$(now)
ip link add name br1 type bridge
ip addr add 192.168.1.1/24 dev br1
ip link set br1 up
for n in 1 2 3; do
  ip tuntap add dev tap$n mode tap
  ip link set tap$n master br1
  ip link set tap$n up
done
dnsmasq --conf-file=/dev/null --interface=br1 --bind-interfaces --except-interface=lo --port=0 \
  --dhcp-range=192.168.1.2,192.168.1.10,10m --dhcp-leasefile="$DIR/leases" --pid-file="$DIR/dnsmasq.pid"
for n in 1 2 3; do
  cat >"$DIR/pc$n.xml" <<XML
<domain type='qemu'><name>note-pc$n</name><memory unit='MiB'>128</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type>
    <kernel>$KERNEL</kernel><initrd>$INITRD</initrd><cmdline>$CMDLINE</cmdline></os>
  <features><acpi/></features>
  <devices>
    <interface type='ethernet'><mac address='$(random_mac)'/><target dev='tap$n' managed='no'/><model type='virtio'/></interface>
    <serial type='pty'/>
    <channel type='unix'><source mode='bind' path='$DIR/id$n'/><target type='virtio' name='org.kvmlab.id'/></channel>
  </devices></domain>
XML
done
chmod 777 "$DIR" # QEMU runs as a user of its own
for n in 1 2 3; do virsh --quiet create "$DIR/pc$n.xml" >/dev/null; done
until [[ $(wc -l <"$DIR/leases") -ge 3 ]]; do sleep 0.02; done
since "$began"

began=$(now)
for n in 1 2 3; do virsh --quiet destroy note-pc$n >/dev/null; done
kill "$(cat "$DIR/dnsmasq.pid")"
for n in 1 2 3; do ip link del tap$n; done
ip link del br1
since "$began"

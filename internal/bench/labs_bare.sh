# The floor: taps, bridge and DHCP server are ready; then three QEMU processes, started together.
now() { date +%s.%N; }
since() { echo "$(now) - $1" | bc; }

ip link add name br1 type bridge forward_delay 0
ip addr add 192.168.1.1/24 dev br1
ip link set br1 up
for n in 1 2 3; do
  ip tuntap add dev tap$n mode tap
  ip link set tap$n master br1 up
done
# Without the ping by which dnsmasq looks, for three seconds, whether an address is in use.
dnsmasq --conf-file=/dev/null --interface=br1 --bind-interfaces --except-interface=lo --port=0 --no-ping \
  --dhcp-range=192.168.1.2,192.168.1.10,10m --dhcp-leasefile="$DIR/leases" --pid-file="$DIR/dnsmasq.pid"
touch "$DIR/leases"

began=$(now)
pids=()
for n in 1 2 3; do
  qemu-system-x86_64 -nodefaults -no-user-config -display none -serial "file:$DIR/serial$n" -machine microvm -accel tcg -cpu qemu64 -m 128M \
    -kernel "$KERNEL" -initrd "$INITRD" -append "$CMDLINE mitigations=off" \
    -netdev tap,id=net0,ifname=tap$n,script=no,downscript=no \
    -device virtio-net-device,netdev=net0,mac=02:00:00:00:00:0$n \
    -device virtio-serial-device -chardev socket,id=id,path="$DIR/id$n",server=on,wait=off \
    -device virtserialport,chardev=id,name=org.kvmlab.id >"$DIR/qemu$n.log" 2>&1 &
  pids+=($!)
done
until [[ $(wc -l <"$DIR/leases") -ge 3 ]]; do
  kill -0 "${pids[@]}" || { cat "$DIR"/qemu*.log >&2; exit 1; }
  sleep 0.02
done
since "$began"

began=$(now)
kill "${pids[@]}"
wait "${pids[@]}" || :
kill "$(cat "$DIR/dnsmasq.pid")"
for n in 1 2 3; do ip link del tap$n; done
ip link del br1
since "$began"

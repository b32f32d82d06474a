#!/bin/sh
# What a host is, one line for each thing, sorted: what is written before kvmlab is installed and after it is purged must be
# the same. Left out is what a host changes by itself: logs, caches, temporary files, what systemd, dpkg and apt keep for
# themselves, the users' shell histories.
set -eu

echo '# links, addresses, routes, rules'
ip -o link show | sed 's/^[0-9]*: //'
ip -o addr show | sed 's/^[0-9]*: //'
ip route show table all
nft list ruleset
ip netns list
echo '# libvirt'
virsh --quiet list --all --name
virsh --quiet net-list --all
virsh --quiet pool-list --all
echo '# users, groups'
getent passwd
getent group
echo '# files'
find / -xdev \( -path /var/log -o -path /var/cache -o -path /tmp -o -path /var/tmp -o -path /var/lib/systemd \
	-o -path /var/lib/dpkg -o -path /var/lib/apt -o -path /media -o -path '/home/*/.*' -o -path '/root/.*' \) -prune \
	-o -not -type d -printf '%p %y %m %u:%g %s %l\n' -o -type d -printf '%p %y %m %u:%g\n' | sort
find /etc -type f -exec sha256sum {} + | sort -k 2

// Package image makes and keeps the guests' images.
//
// The micro image is the PC of the class: the distribution's cloud kernel and a
// small initramfs of static busybox, made here in Go from Debian packages. A
// build is deterministic: the same packages give the same bytes. A store keeps
// images by the digest of their content:
//
//	STORE/micro/<digest>/{manifest.json,vmlinux or vmlinuz,initrd.cpio}
//	STORE/micro/current -> <digest>
//	STORE/debs/*.deb, STORE/debs/micro.json   what the last build was made from
//
// An image appears by one rename, so no reader ever sees half of one. Everything
// is readable by all, because QEMU runs as another user.
package image

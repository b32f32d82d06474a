package conffile

import "strings"

// dhcpdBlocks are the words with which a block begins.
var dhcpdBlocks = words("subnet subnet6 host group pool pool6 shared-network class subclass zone key failover")

// dhcpdSimple are the words with which a statement begins that ends in a semicolon and has no other of these words
// inside. Parameters are those of server/stables.c; see dhcpd.conf(5).
var dhcpdSimple = words(`
	range range6 prefix6 option authoritative include hardware fixed-address fixed-address6 allow deny ignore
	default-lease-time max-lease-time min-lease-time dynamic-bootp-lease-cutoff dynamic-bootp-lease-length
	boot-unknown-clients one-lease-per-client get-lease-hostnames use-host-decl-names min-secs filename server-name
	next-server vendor-option-space always-reply-rfc1048 site-option-space always-broadcast ddns-domainname
	ddns-hostname ddns-rev-domainname lease-file-name pid-file-name server-identifier declines ddns-updates
	omapi-port local-port limited-broadcast-address remote-port local-address omapi-key stash-agent-options ddns-ttl
	ddns-update-style client-updates update-optimization ping-check update-static-leases log-facility
	do-forward-updates ping-timeout infinite-is-reserved update-conflict-detection leasequery
	adaptive-lease-time-threshold do-reverse-updates fqdn-reply preferred-lifetime dhcpv6-lease-file-name
	dhcpv6-pid-file-name limit-addrs-per-ia limit-prefs-per-ia delayed-ack max-ack-delay dhcp-cache-threshold
	dont-use-fsync ddns-local-address4 ddns-local-address6 ignore-client-uids log-threshold-low log-threshold-high
	echo-client-id server-id-check prefix-length-mode dhcpv6-set-tee-times check-secs-byte-order
	ddns-dual-stack-mixed-mode ddns-guard-id-must-match ddns-other-guard-is-dynamic release-on-roam
	bind-local-address6 ping-cltt-secs ping-timeout-ms use-lease-addr-for-default-route abandon-lease-time
	use-eui-64 persist-eui-64-leases lease-id-format db-time-format allow-bootp allow-booting
	host-identifier dynamic-bootp duplicates`)

// dhcpdFree are the words with which a statement begins whose inside is an expression or another statement.
var dhcpdFree = words(`if elsif else switch case default on not authoritative set unset add send supersede append
	prepend request require execute log match spawn lease limit eval return break define ddns-input billing
	parse-vendor-option auto-partner-down server-duid algorithm secret primary secondary primary6 secondary6 peer
	port address mclt split hba load balance max-response-delay max-unacked-updates max-balance
	load-balance-max-seconds max-lease-misbalance max-lease-ownership min-balance failover members known unknown
	client-updates interface pool group space code trace`)

// dhcpdOptions are the names of DHCPv4's options (common/tables.c; dhcp-options(5)) with the kind of their value:
// a (addresses), t (a string), d (names of domains in strings), n (a number), or x (anything else).
var dhcpdOptions = optionKinds(`
	a subnet-mask routers time-servers ien116-name-servers domain-name-servers log-servers cookie-servers lpr-servers
	a impress-servers resource-location-servers swap-server broadcast-address router-solicitation-address nis-servers
	a ntp-servers netbios-name-servers netbios-dd-server font-servers x-display-manager dhcp-requested-address
	a dhcp-server-identifier nisplus-servers mobile-ip-home-agent smtp-server pop-server nntp-server www-server
	a finger-server irc-server streettalk-server streettalk-directory-assistance-server nds-servers subnet-selection
	a bcms-controller-address netinfo-server-address associated-ip tftp-server-address capwap-ac-v4 policy-filter
	a static-routes
	t host-name merit-dump domain-name root-path extensions-path nis-domain netbios-scope dhcp-message nwip-domain
	t nisplus-domain tftp-server-name bootfile-name nds-tree-name nds-context uap-servers pcode tcode
	t netinfo-server-tag default-url v4-captive-portal loader-configfile loader-pathprefix
	d domain-search bcms-controller-names
	n time-offset boot-size max-dgram-reassembly default-ip-ttl path-mtu-aging-timeout interface-mtu
	n arp-cache-timeout default-tcp-ttl tcp-keepalive-interval netbios-node-type dhcp-lease-time dhcp-option-overload
	n dhcp-message-type dhcp-max-message-size dhcp-renewal-time dhcp-rebinding-time v6-only-preferred auto-config
	n loader-reboottime
	x ip-forwarding non-local-source-routing path-mtu-plateau-table all-subnets-local perform-mask-discovery
	x mask-supplier router-discovery trailer-encapsulation ieee802-3-encapsulation tcp-keepalive-garbage
	x vendor-encapsulated-options dhcp-parameter-request-list vendor-class-identifier dhcp-client-identifier
	x nwip-suboptions user-class fqdn slp-directory-agent slp-service-scope relay-agent-information
	x client-last-transaction-time pxe-system-type pxe-interface-id pxe-client-id name-service-search
	x vivco vivso option-6rd rdnss-selection sip-ua-cs-domains ipv4-address-andsf v4-portparams v4-access-domain
	x v4-lost space`)

func words(list string) map[string]bool {
	set := map[string]bool{}
	for word := range strings.FieldsSeq(list) {
		set[word] = true
	}
	return set
}

func optionKinds(list string) map[string]byte {
	kinds := map[string]byte{}
	var kind byte
	for word := range strings.FieldsSeq(list) {
		if len(word) == 1 {
			kind = word[0]
		} else {
			kinds[word] = kind
		}
	}
	return kinds
}

// IsStatement says whether a statement of dhcpd.conf can begin with word.
func IsStatement(word string) bool {
	word = strings.ToLower(word)
	return dhcpdBlocks[word] || dhcpdSimple[word] || dhcpdFree[word]
}

// OptionKind is the kind of value of a DHCPv4 option of dhcpd.conf: 'a' addresses, 't' a string, 'd' names in strings,
// 'n' a number, 'x' something else; 0 for no option of that name.
func OptionKind(name string) byte { return dhcpdOptions[strings.ToLower(name)] }

// StatementWords and OptionNames are what a misspelt word may have been meant to be.
func StatementWords() []string {
	var all []string
	for _, set := range []map[string]bool{dhcpdBlocks, dhcpdSimple} {
		for word := range set {
			all = append(all, word)
		}
	}
	return sorted(all)
}

// OptionNames are the names of DHCPv4's options, in order.
func OptionNames() []string {
	all := make([]string, 0, len(dhcpdOptions))
	for name := range dhcpdOptions {
		all = append(all, name)
	}
	return sorted(all)
}

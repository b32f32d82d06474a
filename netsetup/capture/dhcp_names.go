package capture

// optionForm says how the value of an option is laid out.
type optionForm uint8

// The forms; the comment gives the Go type of Option.Value.
const (
	formHex         optionForm = iota // Hex
	formAddr                          // netip.Addr
	formAddrs                         // []netip.Addr
	formPairs                         // []AddrPair
	formUint8                         // uint8
	formUint16                        // uint16
	formUint16s                       // []uint16
	formUint32                        // uint32
	formInt32                         // int32
	formBool                          // bool
	formText                          // string
	formFlag                          // bool, always true: the option has no value
	formCodes                         // []int
	formClientID                      // ClientID
	formRoutes                        // []Route
	formDomains                       // []string
	formFQDN                          // FQDN
	formRelay                         // map[int]*Option
	formVendors                       // []VendorData
	formAuth                          // Authentication
	formInterfaceID                   // InterfaceID
	formUUID                          // ClientUUID
	formSIP                           // []string or []netip.Addr
	formStrings                       // []string
)

// optionInfo is what is known of an option code.
type optionInfo struct {
	name string
	form optionForm
}

// optionTable holds the options by the names of their RFCs, as the IANA registry "BOOTP Vendor Extensions and DHCP
// Options" collects them.
var optionTable = map[int]optionInfo{
	// RFC 2132 section 3
	1: {"Subnet Mask", formAddr}, 2: {"Time Offset", formInt32}, 3: {"Router", formAddrs}, 4: {"Time Server", formAddrs},
	5: {"Name Server", formAddrs}, 6: {"Domain Name Server", formAddrs}, 7: {"Log Server", formAddrs},
	8: {"Cookie Server", formAddrs}, 9: {"LPR Server", formAddrs}, 10: {"Impress Server", formAddrs},
	11: {"Resource Location Server", formAddrs}, 12: {"Host Name", formText}, 13: {"Boot File Size", formUint16},
	14: {"Merit Dump File", formText}, 15: {"Domain Name", formText}, 16: {"Swap Server", formAddr},
	17: {"Root Path", formText}, 18: {"Extensions Path", formText},
	// sections 4 to 6
	19: {"IP Forwarding Enable/Disable", formBool}, 20: {"Non-Local Source Routing Enable/Disable", formBool},
	21: {"Policy Filter", formPairs}, 22: {"Maximum Datagram Reassembly Size", formUint16},
	23: {"Default IP Time-to-live", formUint8}, 24: {"Path MTU Aging Timeout", formUint32},
	25: {"Path MTU Plateau Table", formUint16s}, 26: {"Interface MTU", formUint16},
	27: {"All Subnets are Local", formBool}, 28: {"Broadcast Address", formAddr}, 29: {"Perform Mask Discovery", formBool},
	30: {"Mask Supplier", formBool}, 31: {"Perform Router Discovery", formBool},
	32: {"Router Solicitation Address", formAddr}, 33: {"Static Route", formPairs},
	34: {"Trailer Encapsulation", formBool}, 35: {"ARP Cache Timeout", formUint32},
	36: {"Ethernet Encapsulation", formBool}, 37: {"TCP Default TTL", formUint8},
	38: {"TCP Keepalive Interval", formUint32}, 39: {"TCP Keepalive Garbage", formBool},
	// section 8
	40: {"Network Information Service Domain", formText}, 41: {"Network Information Servers", formAddrs},
	42: {"Network Time Protocol Servers", formAddrs}, 43: {"Vendor Specific Information", formHex},
	44: {"NetBIOS over TCP/IP Name Server", formAddrs},
	45: {"NetBIOS over TCP/IP Datagram Distribution Server", formAddrs}, 46: {"NetBIOS over TCP/IP Node Type", formUint8},
	47: {"NetBIOS over TCP/IP Scope", formText}, 48: {"X Window System Font Server", formAddrs},
	49: {"X Window System Display Manager", formAddrs},
	// section 9
	50: {"Requested IP Address", formAddr}, 51: {"IP Address Lease Time", formUint32}, 52: {"Option Overload", formUint8},
	53: {"DHCP Message Type", formUint8}, 54: {"Server Identifier", formAddr}, 55: {"Parameter Request List", formCodes},
	56: {"Message", formText}, 57: {"Maximum DHCP Message Size", formUint16}, 58: {"Renewal (T1) Time Value", formUint32},
	59: {"Rebinding (T2) Time Value", formUint32}, 60: {"Vendor Class Identifier", formText},
	61: {"Client Identifier", formClientID},
	62: {"NetWare/IP Domain Name", formText}, 63: {"NetWare/IP Information", formHex}, // RFC 2242
	64: {"Network Information Service+ Domain", formText}, 65: {"Network Information Service+ Servers", formAddrs},
	66: {"TFTP Server Name", formText}, 67: {"Bootfile Name", formText}, 68: {"Mobile IP Home Agent", formAddrs},
	69: {"SMTP Server", formAddrs}, 70: {"POP3 Server", formAddrs}, 71: {"NNTP Server", formAddrs},
	72: {"Default WWW Server", formAddrs}, 73: {"Default Finger Server", formAddrs}, 74: {"Default IRC Server", formAddrs},
	75: {"StreetTalk Server", formAddrs}, 76: {"STDA Server", formAddrs},
	// later RFCs
	77: {"User Class", formStrings}, 78: {"Directory Agent", formHex}, 79: {"Service Scope", formHex}, // 3004, 2610
	80: {"Rapid Commit", formFlag}, 81: {"Client FQDN", formFQDN}, 82: {"Relay Agent Information", formRelay}, // 4039, 4702, 3046
	83: {"Internet Storage Name Service", formHex}, 85: {"NDS Servers", formAddrs}, 86: {"NDS Tree Name", formText},
	87: {"NDS Context", formText}, 88: {"BCMCS Controller Domain Name List", formDomains},
	89: {"BCMCS Controller IPv4 Address", formAddrs}, 90: {"Authentication", formAuth}, // 3118
	91: {"client-last-transaction-time", formUint32}, 92: {"associated-ip", formAddrs}, // 4388
	93: {"Client System Architecture Type", formUint16s}, 94: {"Client Network Interface Identifier", formInterfaceID},
	97: {"Client Machine Identifier", formUUID}, 98: {"User Authentication Protocol", formText}, // 4578, 2485
	99: {"GEOCONF_CIVIC", formHex}, 100: {"TZ-POSIX String", formText}, 101: {"TZ-Database String", formText}, // 4776, 4833
	108: {"IPv6-Only Preferred", formUint32}, 112: {"Netinfo Address", formAddrs}, 113: {"Netinfo Tag", formText}, // 8925
	114: {"Captive-Portal", formText}, 116: {"Auto-Configure", formUint8}, 117: {"Name Service Search", formUint16s}, // 8910, 2563, 2937
	118: {"Subnet Selection", formAddr}, 119: {"Domain Search", formDomains}, 120: {"SIP Servers", formSIP}, // 3011, 3397, 3361
	121: {"Classless Static Route", formRoutes}, 122: {"CableLabs Client Configuration", formHex}, // 3442, 3495
	123: {"GeoConf", formHex}, 124: {"Vendor-Identifying Vendor Class", formVendors}, // 6225, 3925
	125: {"Vendor-Identifying Vendor-Specific Information", formVendors}, 136: {"PANA Authentication Agent", formAddrs}, // 5192
	137: {"LoST Server", formDomains}, 138: {"CAPWAP Access Controller", formAddrs}, // 5223, 5417
	139: {"MoS IPv4 Address", formHex}, 140: {"MoS Domain Name", formHex}, 141: {"SIP UA Configuration Service Domains", formDomains},
	142: {"ANDSF IPv4 Address", formAddrs}, 143: {"SZTP Redirect", formHex}, 144: {"GeoLoc", formHex},
	145: {"FORCERENEW Nonce Capable", formHex}, 146: {"RDNSS Selection", formHex}, // 6704, 6731
	147: {"DOTS Reference Identifier", formDomains}, 148: {"DOTS Address", formAddrs}, 150: {"TFTP Server Address", formAddrs}, // 8973, 5859
	151: {"status-code", formHex}, 152: {"base-time", formUint32}, 153: {"start-time-of-state", formUint32}, // 6926
	154: {"query-start-time", formUint32}, 155: {"query-end-time", formUint32}, 156: {"dhcp-state", formUint8},
	157: {"data-source", formHex}, 158: {"PCP Server", formHex}, 159: {"Port Parameters", formHex}, // 7291, 7618
	161: {"Manufacturer Usage Description", formText}, 162: {"Encrypted DNS", formHex}, // 8520, 9463
	208: {"PXELINUX Magic", formHex}, 209: {"PXELINUX Configuration File", formText}, // 5071
	210: {"PXELINUX Path Prefix", formText}, 211: {"PXELINUX Reboot Time", formUint32},
	212: {"6RD", formHex}, 213: {"Access Network Domain Name", formDomains}, // 5969, 5986
	220: {"Subnet Allocation", formHex}, 221: {"Virtual Subnet Selection", formHex}, // 6656, 6607
}

// OptionName is the name of a DHCP option in its RFC, "" for a code that no RFC has given away.
func OptionName(code int) string { return optionTable[code].name }

// relayTable holds the sub-options of option 82 (RFC 3046 and those that follow it).
var relayTable = map[int]optionInfo{
	1: {"Agent Circuit ID", formHex}, 2: {"Agent Remote ID", formHex}, 4: {"DOCSIS Device Class", formUint32},
	5: {"Link Selection", formAddr}, 6: {"Subscriber-ID", formText}, 7: {"RADIUS Attributes", formHex},
	8: {"Authentication", formHex}, 9: {"Vendor-Specific Information", formHex}, 10: {"Relay Agent Flags", formUint8},
	11: {"Server Identifier Override", formAddr}, 12: {"Relay Agent Identifier", formHex},
	19: {"Relay Source Port", formHex}, 151: {"Virtual Subnet Selection", formHex},
	152: {"Virtual Subnet Selection Control", formFlag},
}

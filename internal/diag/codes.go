package diag

// The command line (KL001–KL009).
const (
	Usage             Code = "KL001" // the command line is wrong
	UnknownCommand    Code = "KL002" // no such command
	Internal          Code = "KL003" // a mistake in kvmlab itself
	FileUnreadable    Code = "KL004" // a named file cannot be read
	UnknownScenario   Code = "KL005" // no such built-in lab
	UnknownTopic      Code = "KL006" // nothing to explain under that name
	BadFlag           Code = "KL007" // a flag's value is not one that it takes
	NeedsConfirmation Code = "KL008" // the answer to "sure?" cannot be asked for
)

// The lab file as text (KL010–KL029).
const (
	Syntax          Code = "KL010" // not YAML
	TabIndent       Code = "KL011" // indented with a tab
	NotUTF8         Code = "KL012" // bytes that are no UTF-8
	EmptyFile       Code = "KL013" // nothing in it
	ManyDocuments   Code = "KL014" // a second document after ---
	TooLarge        Code = "KL015" // beyond a limit of size, depth or number
	UnknownKey      Code = "KL016" // a key that means nothing here
	DuplicateKey    Code = "KL017" // one key twice in a mapping
	WrongType       Code = "KL018" // a list where a word belongs, and so on
	MissingKey      Code = "KL019" // a key that must be there
	MergeKey        Code = "KL020" // "<<" is not supported
	AliasLoop       Code = "KL021" // an alias inside what it stands for
	ControlChar     Code = "KL022" // an unprintable character
	BadVersion      Code = "KL023" // not a version of the format that we know
	NotOneOf        Code = "KL024" // not one of the words allowed
	NothingInLab    Code = "KL025" // neither bridge nor guest
	ScalarNotPlain  Code = "KL026" // a number or text that cannot be taken as meant
	LabFileNotFound Code = "KL027" // the lab file is not there
)

// Names in the lab file (KL030–KL040).
const (
	BadLabName    Code = "KL030" // not usable in paths, namespaces and libvirt
	LinkNameLong  Code = "KL031" // more than the kernel's 15 bytes
	BadLinkName   Code = "KL032" // characters or words that no link may have
	BadGuestName  Code = "KL033" // no valid hostname
	DuplicateName Code = "KL034" // two of a kind with one name
	BridgeTapName Code = "KL035" // a bridge and a tap with one name
	TapTwice      Code = "KL036" // two NICs on one tap
	UnknownBridge Code = "KL037" // a NIC on a bridge that the file does not have
	BadImageName  Code = "KL038" // no name of an image
)

// Addresses of bridges (KL041–KL054).
const (
	OutsideSubnet   Code = "KL041" // an address that is not in the bridge's subnet
	BadAddress      Code = "KL042" // not an IPv4 address
	NoPrefixLength  Code = "KL043" // a bridge's address without its /24
	HostBitsZero    Code = "KL044" // the bridge would have the network's or broadcast address
	BridgesOverlap  Code = "KL045" // the subnets of two bridges overlap
	BadPrefixLength Code = "KL046" // a subnet too small or too large to use
	ReservedSubnet  Code = "KL047" // loopback, multicast and so on
	PublicSubnet    Code = "KL048" // warning: addresses that belong to somebody
	NATWithoutAddr  Code = "KL049" // internet: nat on a bridge without an address
	UnusableAddress Code = "KL050" // an address that no host can have
)

// DHCP in the lab file (KL055–KL074).
const (
	BadRange           Code = "KL055" // not "first-last"
	RangeReversed      Code = "KL056" // the last address is before the first
	RangeLeavesSubnet  Code = "KL057" // an end of the range is outside the subnet
	RangeHoldsBridge   Code = "KL058" // the bridge's address would be lent
	RangeHoldsEdge     Code = "KL059" // the network's or broadcast address would be lent
	RangesOverlap      Code = "KL060" // two ranges share addresses
	DHCPWithoutAddress Code = "KL061" // DHCP on a bare switch
	DHCPWithoutRange   Code = "KL062" // nothing to lend
	FewAddresses       Code = "KL063" // warning: more guests than addresses
	BadDuration        Code = "KL064" // not a duration
	LeaseTooShort      Code = "KL065" // below what clients accept
	LeaseTooLong       Code = "KL066" // beyond option 51's 32 bits
	LeaseOrder         Code = "KL067" // min-lease, lease and max-lease contradict each other
	ReservationGuest   Code = "KL068" // for a guest that is not there
	ReservationTwice   Code = "KL069" // one address for two clients
	ReservationAgain   Code = "KL070" // two addresses for one client
	ReservationNoNIC   Code = "KL071" // for a guest with no NIC on the bridge
	ReservationWho     Code = "KL072" // for neither or both of guest and MAC
	UnknownOption      Code = "KL073" // no DHCP option of that name
	OptionOwned        Code = "KL074" // an option that another key decides
	BadOptionValue     Code = "KL075" // the value does not fit the option
	DuplicateOption    Code = "KL076" // one option by name and by number
	ReservationEdge    Code = "KL077" // the network's, broadcast or bridge's address
	BadFault           Code = "KL078" // not a teaching fault
	BadClientID        Code = "KL079" // not a client identifier
)

// Guests in the lab file (KL080–KL099).
const (
	BadMAC        Code = "KL080" // not a MAC address
	MulticastMAC  Code = "KL081" // a group address
	ZeroMAC       Code = "KL082" // 00:00:00:00:00:00
	DuplicateMAC  Code = "KL083" // two NICs with one MAC
	UniversalMAC  Code = "KL084" // warning: a maker's address, not a local one
	BadSize       Code = "KL085" // not a size with a unit
	MemorySmall   Code = "KL086" // too little to boot
	MemoryLarge   Code = "KL087" // more than any host has
	BadCPUs       Code = "KL088" // too few or too many
	TooManyNICs   Code = "KL089" // more than the machine has slots for
	GuestNoNIC    Code = "KL090" // warning: a guest that is connected to nothing
	MACTaken      Code = "KL091" // a fixed MAC that is already on the host
	NoFreeMAC     Code = "KL092" // no address could be drawn
	BadDisk       Code = "KL093" // a disk too small or too large
	SharedSegment Code = "KL094" // warning: two NICs of a guest on one bridge
	BadFilePath   Code = "KL096" // not a path from the root
	BadFileMode   Code = "KL097" // not permissions
	DiskUnused    Code = "KL098" // a disk for an image without one
)

// The host and doctor (KL100–KL129).
const (
	NotRoot            Code = "KL100" // networks and guests need root
	NoTun              Code = "KL101" // /dev/net/tun is missing or closed
	LibvirtUnreachable Code = "KL102" // no libvirt socket answers
	LibvirtDenied      Code = "KL103" // the socket refuses this user
	KVMMissing         Code = "KL104" // warning: no /dev/kvm
	KVMClosed          Code = "KL105" // /dev/kvm is not open to QEMU's user
	KVMBroken          Code = "KL106" // warning: KVM is there but runs no guest
	NoMemory           Code = "KL107" // not enough memory for the guests
	NoDisk             Code = "KL108" // not enough room on the disk
	BridgeNetfilter    Code = "KL109" // a firewall swallows bridged frames
	ForeignDHCP        Code = "KL110" // another DHCP server on the segment
	MissingProgram     Code = "KL111" // a program that is not installed
	AppArmor           Code = "KL112" // AppArmor forbids QEMU something
	NetworkManager     Code = "KL113" // NetworkManager takes the bridge
	LibvirtSlow        Code = "KL114" // a call took longer than its limit
	HostNotReady       Code = "KL115" // the sum of doctor's findings
	NoVirtlogd         Code = "KL116" // virtlogd does not run
	LibvirtOld         Code = "KL117" // libvirt or QEMU older than supported
	KernelFeature      Code = "KL118" // the kernel lacks something
	StateDirUnwritable Code = "KL119" // a state directory cannot be used
	NoBoot             Code = "KL120" // the micro image boots neither with KVM nor without
)

// Links, names and addresses on the host (KL200–KL219).
const (
	ForeignLink      Code = "KL200" // a link of that name is not ours
	KernelNameLong   Code = "KL201" // the kernel takes at most 15 bytes
	SubnetOverlap    Code = "KL202" // the subnet is already on the host
	NetworkDenied    Code = "KL203" // the kernel refuses this user
	ForeignPort      Code = "KL204" // a port that is not the lab's on its bridge
	LinkWrongKind    Code = "KL205" // ours by its mark, but not a bridge or tap
	MACOnHost        Code = "KL206" // the MAC is already on the host
	NetworkFailed    Code = "KL207" // a change to the network failed
	ForeignNamespace Code = "KL208" // a namespace of that name is not ours
	ForeignTable     Code = "KL211" // an nftables table of the lab's name that is not kvmlab's
	NotForwarding    Code = "KL212" // internet: nat on a host that forwards nothing
	NotYetSupported  Code = "KL210" // asked for in the file, not built yet
)

// What guests may reach beyond their bridges (KL130–KL149).
const (
	BadService      Code = "KL130" // not tcp/PORT or udp/PORT
	AllowForNobody  Code = "KL131" // services of a host that is on no bridge
	BadNetwork      Code = "KL132" // not a network
	ReachWithoutNAT Code = "KL133" // networks without a way to them
	SealRefused     Code = "KL134" // IPv6 cannot be switched off on a link
	ManyNetworks    Code = "KL135" // the host has more networks than a firewall can name
	NoNftables      Code = "KL136" // the kernel has no nftables, or too little of it
	ForwardDropped  Code = "KL137" // warning: another firewall may drop what labs with a way out send
)

// libvirt and guests (KL300–KL329).
const (
	ForeignDomain     Code = "KL300" // a domain of that name is not ours
	GuestStartFailed  Code = "KL301" // libvirt or QEMU refused to start it
	GuestNoLease      Code = "KL302" // no lease in time
	NoSuchGuest       Code = "KL303" // the lab has no guest of that name
	ConsoleBusy       Code = "KL304" // somebody else is on the console
	GuestNotRunning   Code = "KL305" // it is off
	GuestDefineFailed Code = "KL306" // libvirt refused the description
	GuestDied         Code = "KL307" // it stopped by itself
	GuestNoIdentity   Code = "KL308" // it never asked who it is
	MachineFallback   Code = "KL309" // warning: q35 in place of microvm
	AccelFallback     Code = "KL310" // warning: TCG in place of KVM
	NoTerminal        Code = "KL311" // console needs a terminal
	AccelUnusable     Code = "KL312" // --accel kvm, and KVM does not work
	GuestStopFailed   Code = "KL313" // it could not be stopped or removed
	GuestAmbiguous    Code = "KL314" // guests of that name in several labs
	AgentSilent       Code = "KL315" // its agent does not answer
	AgentRefused      Code = "KL316" // its agent could not do it
	GuestPath         Code = "KL317" // no such path in it
	CopyDiffers       Code = "KL318" // the checksums of a copy differ
	CopyDirectory     Code = "KL319" // cp of a directory
	ExecTimeout       Code = "KL320" // the command took too long
	ColdStart         Code = "KL321" // warning: a boot in place of a template
)

// Guests' ends (KL340–KL349).
const (
	ConsoleTaken   Code = "KL340" // somebody else has taken the console over
	ConsoleStalled Code = "KL341" // nobody read what the guest printed
	PowerCut       Code = "KL342" // warning: a guest did not switch itself off
)

// The package archive that images are made from (KL330–KL339).
const (
	FetchFailed    Code = "KL330" // apt could not fetch what an image is made of
	BuiltFromCache Code = "KL331" // warning: an image from packages that were fetched before
)

// Guests that send more, or other things, than is taken from them (KL360–KL379).
const (
	AgentNonsense Code = "KL360" // its agent answers nonsense
	FileTooMuch   Code = "KL361" // its files are more than is read
	CopyTooLarge  Code = "KL362" // a copy out of it is over the limit
	CopyNoRoom    Code = "KL363" // there is no room for it
	GuestSlow     Code = "KL364" // it does not go on
)

// Images (KL400–KL419).
const (
	NoImage          Code = "KL400" // not built or imported yet
	ImageBuildFailed Code = "KL401" // the build stopped
	ImageNoRoom      Code = "KL402" // no room for it
	ImageDamaged     Code = "KL403" // not the bytes that were built
	PackageFailed    Code = "KL404" // a package that apt does not know
	UnknownRecipe    Code = "KL405" // nothing known to build under that name
	ImageBusy        Code = "KL406" // warning: another build is under way
	DiskBase         Code = "KL407" // a guest's disk lies on another image
	DiskDamaged      Code = "KL408" // a guest's disk cannot be used
	DisksLost        Code = "KL409" // disks would be deleted, and nobody has said yes
	DiskSmall        Code = "KL410" // a disk smaller than the image on it
	NotImage         Code = "KL411" // a file that cannot be imported
	ImageName        Code = "KL412" // a name that an image cannot be imported under
	ImageUsed        Code = "KL413" // an image that a lab uses cannot be removed
	ImagePackaged    Code = "KL350" // an image of the package is the package's to remove
	BadKey           Code = "KL414" // not an SSH public key
)

// DHCP (KL500–KL529).
const (
	DHCPListen       Code = "KL500" // the server cannot listen
	PoolExhausted    Code = "KL501" // warning: no address left
	LeaseStore       Code = "KL502" // the lease store cannot be read
	LeaseNotDurable  Code = "KL503" // a lease could not be made safe
	DHCPSilent       Code = "KL504" // warning: silent because of a foreign port
	LeaseStoreLocked Code = "KL505" // another server has the store open
	DHCPInterface    Code = "KL506" // the interface has no address in the subnet
	ClonedClient     Code = "KL507" // warning: two machines with one client identifier

	NoInterface         Code = "KL508" // no interface of that name
	ServerIDElsewhere   Code = "KL509" // --server-id is no address of the interface
	SubnetNotOnLink     Code = "KL510" // no interface is in a subnet that is not relayed
	BadSubnet           Code = "KL511" // host bits in a subnet
	SubnetsOverlap      Code = "KL512" // two subnets of a server overlap
	NothingToLend       Code = "KL513" // a subnet without range and reservations
	DuplicateFlagOption Code = "KL514" // one option by two --option
	NobodyAnswers       Code = "KL515" // dhcp probe heard no offer
	LeaseStoreForeign   Code = "KL516" // the lease directory is not ours, or a later version's
	BridgeNotServed     Code = "KL517" // the lab file has no dhcp for the bridge
	WhichBridge         Code = "KL518" // several bridges are served, none named
	NoSuchBridge        Code = "KL519" // the lab has no bridge of that name
	NotEthernet         Code = "KL530" // an interface without Ethernet frames
	MasksDiffer         Code = "KL531" // warning: the interface's mask is not the subnet's
	SecondSubnet        Code = "KL532" // an interface is in two subnets of the server
	LeaseStoreFailed    Code = "KL533" // the system refuses the lease directory
)

// Seeing the wire (KL520–KL529).
const (
	NoCaptureFile  Code = "KL520" // not a pcap or pcapng file of Ethernet frames
	CaptureCut     Code = "KL521" // warning: the file ends in the middle of a packet
	BadFilter      Code = "KL522" // --filter does not compile
	FramesDropped  Code = "KL523" // warning: the capture has gaps
	NarrowTerminal Code = "KL524" // warning: no room for the ladder
	BadAnswers     Code = "KL525" // --answers cannot be read
	FramesLeftOut  Code = "KL526" // warning: a capture file has frames of another kind
)

// Evidence (KL380–KL395).
const (
	Flooded        Code = "KL380" // warning: a station has sent very many packets
	FloodedByMany  Code = "KL381" // warning: very many addresses have
	TooManyReaders Code = "KL382" // the supervisor takes no more readers
	CaptureUnkept  Code = "KL383" // warning: a full disk has refused packets

	ScenarioOpenToOthers Code = "KL384" // others could change a scenario that root is to bring up
	ScenarioOddFile      Code = "KL385" // a file of a scenario is no plain file, or too long
	HostScriptsNeedYes   Code = "KL386" // a scenario wants to run scripts on the host
	ScenarioNotKept      Code = "KL387" // the lab has no copy of its scenario
	OutputOdd            Code = "KL388" // the file to be written is a link, or somebody else's
	ImageChecksum        Code = "KL389" // --sha256 says otherwise
)

// Lifecycle, supervisor and state (KL600–KL629).
const (
	LabBusy            Code = "KL600" // another command works on the lab
	NoSuchLab          Code = "KL601" // no lab of that name is up
	SupervisorDead     Code = "KL602" // the lab's supervisor does not run
	StateUnreadable    Code = "KL603" // a state file is damaged
	StateNewer         Code = "KL604" // written by a newer kvmlab
	RolledBack         Code = "KL605" // up failed and was undone
	Cancelled          Code = "KL606" // interrupted
	RollbackIncomplete Code = "KL607" // something could not be undone
	DownIncomplete     Code = "KL608" // something could not be removed
	WhichLab           Code = "KL609" // several labs, none named
	LabChanged         Code = "KL610" // the file differs from the lab that is up
	SupervisorStart    Code = "KL611" // the supervisor did not come up
	SupervisorVersion  Code = "KL612" // it is of another version
	NoLabs             Code = "KL613" // no lab is up
	StateWrite         Code = "KL614" // the state could not be written
	SupervisorSilent   Code = "KL615" // it does not answer
	ClassFile          Code = "KL620" // a class file that cannot be read as one
	ClassHeader        Code = "KL621" // its header names no column name, or one that is not known
	ClassName          Code = "KL622" // a student's name that makes no lab's name
	ClassClash         Code = "KL623" // two students whose labs would have one name
	ClassUnfit         Code = "KL624" // more labs than fit into memory
	ClassTooLarge      Code = "KL626" // doctor: so many labs do not fit
	ClassIncomplete    Code = "KL625" // some labs of a class are not as they should be
	BadCheckID         Code = "KL630" // not the name of a check
	UnknownCheck       Code = "KL631" // no check of that id
	CheckLoop          Code = "KL632" // checks that need each other
	BadStep            Code = "KL633" // a step that does nothing
	NoQuestion         Code = "KL634" // an answer to what asks nothing
	BadSettings        Code = "KL635" // settings of an assertion that do not go together
	GuestNotInLab      Code = "KL636" // a check of a guest that is not there
	NoCard             Code = "KL637" // a check of a card that is not there
	BadExpression      Code = "KL638" // not a regular expression
	UnknownCause       Code = "KL639" // no such code
	ScenarioIncomplete Code = "KL640" // a file of a scenario is missing
	NoScenario         Code = "KL641" // the lab has no checks
	SolveForbidden     Code = "KL642" // the solution may not be applied
	ScenarioUntrue     Code = "KL643" // scenario test has failed
	FolderInUse        Code = "KL644" // scenario new would write over something
	StepFailed         Code = "KL645" // a step of a solution did not work
	NothingToDraw      Code = "KL647" // a drawn mistake without mistakes
	BridgeNotInLab     Code = "KL648" // a station on a bridge that is not there
	LabNotReady        Code = "KL646" // the lab is not up
	LabDegraded        Code = "KL616" // warning: part of the lab is missing
)

// What a student's DHCP server has wrong, in its files (KL700–KL729).
const (
	ConfigMisnamed    Code = "KL700" // written to a file that the program does not read
	BracketForBrace   Code = "KL701" // ( or [ for {
	SemicolonMissing  Code = "KL702" // no semicolon at the end of a statement
	BraceUnclosed     Code = "KL703" // a block that does not end
	BraceMissing      Code = "KL704" // a block that does not begin
	SignStray         Code = "KL705" // a brace or semicolon too many
	QuoteUnclosed     Code = "KL706" // a string that does not end
	ForeignChar       Code = "KL707" // an invisible or typographic character
	WordMisspelt      Code = "KL708" // nearly a word of the language
	WordUnknown       Code = "KL709" // no word of the language
	OptionMisspelt    Code = "KL710" // nearly the name of an option
	OptionSplit       Code = "KL711" // the name of an option with a space for a dash
	QuotesMissing     Code = "KL712" // a text without quotation marks
	CommaMissing      Code = "KL713" // a list without commas
	RangeDash         Code = "KL714" // a dash between the ends of a range
	RangeUnreadable   Code = "KL715" // not one or two addresses
	RangeOutside      Code = "KL716" // a range outside of its subnet
	SubnetHostBits    Code = "KL717" // a subnet named by the address of a host
	PrefixForMask     Code = "KL718" // /24 for a netmask
	AddressUnreadable Code = "KL719" // not an address, mask or hardware address
	EqualsSign        Code = "KL720" // = where the language has a space
	TimeNotSeconds    Code = "KL721" // a time with a unit
	IncludeMissing    Code = "KL722" // an included file that is not there
	HardwareDashes    Code = "KL723" // dashes in a hardware address
	MACOfGroup        Code = "KL724" // a multicast MAC for a card
	ProgramRefuses    Code = "KL725" // the program's own words, for what is not known here
	CommaTrailing     Code = "KL726" // warning: a comma behind the last element of JSON
	JSONBroken        Code = "KL727" // not JSON
)

// What they mean, for the network that was asked (KL730–KL769).
const (
	SubnetUndeclared   Code = "KL730" // the served network is not declared
	RangeMissing       Code = "KL731" // nothing to lend
	RangeDiffers       Code = "KL732" // not the range that was asked
	OptionNotAsAsked   Code = "KL733" // an option that is missing or has another value
	LeaseDiffers       Code = "KL734" // not the lease time that was asked
	NotAuthoritative   Code = "KL735" // no NAK will ever be sent
	ReservationAbsent  Code = "KL736" // no reservation, or of another address
	ReservationNIC     Code = "KL737" // the MAC of another card
	ReservationNobody  Code = "KL738" // the MAC of no card
	ReservationInPool  Code = "KL739" // a reserved address that is lent to others
	InterfacesOldName  Code = "KL740" // warning: INTERFACES for INTERFACESv4
	AssignmentSpaced   Code = "KL741" // spaces around the = of the shell
	InterfaceUnknown   Code = "KL742" // a card that the machine does not have
	InterfaceOther     Code = "KL743" // a card that is not the one to serve
	InterfacesEmpty    Code = "KL744" // no card is named
	KeaNoInterface     Code = "KL745" // Kea listens on nothing
	AddressMissing     Code = "KL746" // the card has no address
	AddressNotApplied  Code = "KL747" // written down, not put to use
	AddressOther       Code = "KL748" // the card has another address
	MaskOther          Code = "KL749" // the right address with a wrong mask
	CardDown           Code = "KL750" // the card is down
	ServerNotRunning   Code = "KL751" // no server runs
	ServerNotRestarted Code = "KL752" // the file is newer than the server
	ServedElsewhere    Code = "KL753" // served on another card
	TapUnnamed         Code = "KL754" // a tap that the kernel has named
	TapMissing         Code = "KL755" // no tap of that name
	TapIdle            Code = "KL756" // a tap that is down, or in no bridge
	TwoServers         Code = "KL757" // more than one server answers
	LeaseOutside       Code = "KL758" // a lease that is not from the range
	BroadcastIsNobody  Code = "KL759" // 255.255.255.255 taken for the server's address
	RelayMissing       Code = "KL760" // nothing is handed over to the server
	RelayLocal         Code = "KL761" // the relay listens on another side
	RelayServer        Code = "KL762" // the relay hands over to another address
)

package diag

// scenarioEntries are KL630–KL659: scenarios, their checks, and what students ask of them.
var scenarioEntries = []Entry{
	{
		Code: BadCheckID, Exit: ExitUsage, Args: []string{"id"},
		Summary: `{{quote .id}} is no name for a check`,
		Hint:    `use up to 40 small letters, digits and dashes, a letter first`,
		Explanation: `
The id of a check is what other checks, mistakes and the results refer to. It is
typed on command lines and stands in file formats, so that it must be plain.`,
	},
	{
		Code: UnknownCheck, Exit: ExitUsage, Args: []string{"id", "suggestion", "known"},
		Summary: `there is no check {{quote .id}}{{if .suggestion}}; did you mean {{quote .suggestion}}?{{end}}`,
		Hint:    `the checks are: {{join .known}}`,
		Explanation: `
What a check needs, what a mistake makes fail and what an answer belongs to is
given by the id of a check of the same file.`,
	},
	{
		Code: CheckLoop, Exit: ExitUsage, Args: []string{"id", "needs"},
		Summary: `{{.id}} needs {{.needs}}, which needs {{.id}}`,
		Hint:    `take one of them out: a check can only need what comes before it`,
		Explanation: `
A check is tried when all that it needs has passed. Checks that need each other,
directly or through others, would never be tried.`,
	},
	{
		Code: BadStep, Exit: ExitUsage,
		Summary: `a step is a script in a guest, a script on the host, or an answer`,
		Hint:    `write "guest: NAME" and "run: …", or "host: true" and "run: …", or "answer: CHECK"`,
		Explanation: `
The steps of a solution or of a mistake are done one after the other. Each says
where its script runs: in a guest, or on the host in the lab's network namespace.
A step can also answer the question of a check.`,
	},
	{
		Code: NoQuestion, Exit: ExitUsage, Args: []string{"id"},
		Summary: `{{.id}} asks no question`,
		Hint:    `only checks of kind "answer" can be answered`,
		Explanation: `
A check of kind "answer" asks the student something and compares what is typed
with the lab's own capture. The other kinds look for themselves.`,
	},
	{
		Code: BadSettings, Exit: ExitUsage, Args: []string{"kind", "reason"},
		Summary: `{{.kind}}: {{.reason}}`,
		Hint:    `docs/scenarios.md shows every kind of assertion with its settings`,
		Explanation: `
Each kind of assertion has settings of its own, and some only make sense
together.`,
	},
	{
		Code: GuestNotInLab, Exit: ExitUsage, Args: []string{"guest", "suggestion", "known"},
		Summary: `the lab has no guest {{quote .guest}}{{if .suggestion}}; did you mean {{quote .suggestion}}?{{end}}`,
		Hint:    `the guests of its lab.yaml are: {{join .known}}`,
		Explanation: `
The checks of a scenario are about the guests of the lab.yaml in the same
folder.`,
	},
	{
		Code: BridgeNotInLab, Exit: ExitUsage, Args: []string{"bridge", "suggestion", "known"},
		Summary: `the lab has no bridge {{quote .bridge}}{{if .suggestion}}; did you mean {{quote .suggestion}}?{{end}}`,
		Hint:    `the bridges of its lab.yaml are: {{join .known}}`,
		Explanation: `
A station is a machine that kvmlab itself plays while a check is tried. It is
plugged into a bridge of the lab.yaml in the same folder.`,
	},
	{
		Code: NoCard, Exit: ExitUsage, Args: []string{"guest", "nic", "count"},
		Summary: `{{.guest}} has no card {{quote .nic}}: it has {{.count}}, counted from eth0`,
		Hint:    `look at "nics" of {{.guest}} in lab.yaml`,
		Explanation: `
The cards of a guest are called eth0, eth1 and so on, in the order in which they
stand in lab.yaml.`,
	},
	{
		Code: BadExpression, Exit: ExitUsage, Args: []string{"value", "message"},
		Summary: `{{quote .value}} is no regular expression: {{.message}}`,
		Hint:    `expressions are those of RE2, where \. stands for a dot of the text`,
		Explanation: `
Texts are searched by regular expressions of the RE2 kind, which take a time
that grows with the text alone.`,
	},
	{
		Code: UnknownCause, Exit: ExitUsage, Args: []string{"code"},
		Summary: `there is no code {{.code}}`,
		Hint:    `list them: kvmlab explain`,
		Explanation: `
A listed mistake can say which cause must be named first, by the code that
"kvmlab explain" knows.`,
	},
	{
		Code: ScenarioIncomplete, Exit: ExitUsage, Args: []string{"path"},
		Summary: `the scenario lacks {{.path}}`,
		Hint:    `make a skeleton to compare with: kvmlab scenario new DIR`,
		Explanation: `
A scenario is a folder with lab.yaml, checks.yaml and the task in three languages:
README.en.md, README.es.md and README.ca.md.`,
	},
	{
		Code: NoScenario, Exit: ExitUsage, Args: []string{"lab", "known"},
		Summary: `{{.lab}} is a lab without checks`,
		Hint:    `begin an exercise: sudo kvmlab scenario up NAME; they are: {{join .known}}`,
		Explanation: `
Checks belong to a scenario: a lab with a task. "kvmlab scenario list" shows those
that come with kvmlab, and a teacher can write more.`,
	},
	{
		Code: SolveForbidden, Exit: ExitUsage, Args: []string{"scenario"},
		Summary: `the solution of {{.scenario}} is kept back by whoever wrote the exercise`,
		Hint:    `ask for a hint instead: sudo kvmlab hint`,
		Explanation: `
A scenario can forbid that its solution is applied ("solve: false" in its
checks.yaml), or have none.`,
	},
	{
		Code: ScenarioUntrue, Exit: ExitFailed, Args: []string{"scenario", "count"},
		Summary: `{{.scenario}} does not do what it says, in {{.count}} places`,
		Hint:    `each line above that begins with "no" says what was expected and what came`,
		Explanation: `
"kvmlab scenario test" brings the scenario up and proves three things: at the
start not everything passes, after the solution everything does, and every listed
mistake is caught by the check, and named by the cause, that it lists.`,
	},
	{
		Code: FolderInUse, Exit: ExitUsage, Args: []string{"path"},
		Summary: `{{.path}} is there already`,
		Hint:    `give a folder that is not there yet`,
		Explanation: `
A new scenario gets a folder of its own, so that nothing of yours is written
over.`,
	},
	{
		Code: StepFailed, Exit: ExitFailed, Args: []string{"scenario", "line", "status", "output"},
		Summary: `line {{.line}} of the solution of {{.scenario}} ended with status {{.status}}: {{.output}}`,
		Hint:    `look into the guest: sudo kvmlab console GUEST; or begin anew: sudo kvmlab scenario reset`,
		Explanation: `
The solution is a list of scripts. One of them did not work in this lab, most
often because something else in the guest was changed. What came before it has
been done.`,
	},
	{
		Code: NothingToDraw, Exit: ExitUsage,
		Summary: `"draw" needs a solution and a list of mistakes`,
		Hint:    `list the mistakes of which one is to be found, under "mistakes"`,
		Explanation: `
An exercise with "draw: true" begins solved, but for one of its mistakes. Which
one is drawn from a seed, so that neighbours get different ones and the same
student gets the same one again.`,
	},
	{
		Code: LabNotReady, Exit: ExitFailed, Args: []string{"lab", "state"},
		Summary: `the lab {{.lab}} is {{.state}}: there is nothing to check yet`,
		Hint:    `wait for "kvmlab up" to end, or mend it: sudo kvmlab up {{.lab}}`,
		Explanation: `
Checks look at a lab that is up: at its wire, its leases and its guests. While it
is being built, or when part of it is missing, they would find what is nobody's
mistake.`,
	},
}

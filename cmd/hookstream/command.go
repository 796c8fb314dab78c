package main

import (
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/subscription"
)

// commands is the command line: a field is a command or a group of commands, in
// the order in which help lists them.
type commands struct {
	Serve    serveCommand    `cmd:"" help:"Run the gateway."`
	Demo     demoCommand     `cmd:"" help:"Run a gateway, both senders and a live tail: the whole thing in one command."`
	Simulate simulateCommand `cmd:"" help:"Play the senders: webhooks, correctly signed, and the API of those that have to be asked, with faults on request."`
	Trigger  triggerCommand  `cmd:"" help:"Send one correctly signed sample through a gateway's ingress."`
	Tail     tailCommand     `cmd:"" help:"Follow events as they are published, or from an earlier point on."`

	Sources       sourcesCommand       `cmd:"" help:"Manage the endpoints that senders post to."`
	Subscriptions subscriptionsCommand `cmd:"" help:"Manage durable subscriptions, and take and acknowledge their deliveries."`
	Events        eventsCommand        `cmd:"" help:"Look at events."`
	Requests      requestsCommand      `cmd:"" help:"Look at requests that were refused, and let in what is genuine after all."`
	Providers     providersCommand     `cmd:"" help:"List the kinds of senders that the gateway understands."`
	EventTypes    eventTypesCommand    `cmd:"" help:"List the types of events that the gateway understands, or show one with an example."`

	Verify       verifyCommand       `cmd:"" help:"Say whether a captured request is genuine and, if not, which step failed."`
	Doctor       doctorCommand       `cmd:"" help:"Look through a data directory that no gateway uses, and keep what can be read of a damaged one."`
	Backup       backupCommand       `cmd:"" help:"Make a backup of a gateway that runs, of all that it keeps."`
	VerifyBackup verifyBackupCommand `cmd:"" help:"Say whether a backup is whole and as it was written."`
	Restore      restoreCommand      `cmd:"" help:"Make a data directory of a backup, in an empty one."`
	Import       importCommand       `cmd:"" help:"Bring what events export wrote into the empty log of a data directory that no gateway uses."`

	Bench      benchCommand      `cmd:"" help:"Measure this gateway on this machine, beside what the machine could do at best."`
	Completion completionCommand `cmd:"" help:"Print what a shell needs to complete commands, flags and their values."`
	Man        manCommand        `cmd:"" help:"Print the manual page."`
	Version    versionCommand    `cmd:"" help:"Print the version."`
	Help       helpCommand       `cmd:"" help:"Show the help of a command, as --help does, or what exit-codes mean."`

	ShowVersion showVersion `name:"version" help:"Print the version." short:"V"`
}

// newCommands answers the command line with the flags that providers and settings have
// in it.
func newCommands() *commands {
	c := &commands{Simulate: newSimulateCommand(), Trigger: newTriggerCommand(), Verify: newVerifyCommand()}
	c.Sources.Create, c.Sources.Ensure, c.Sources.Update = newSourceCreateCommand(), newSourceEnsureCommand(), newSourceUpdateCommand()
	for _, flags := range []*typedFlags{
		&c.Tail.typedFlags, &c.Subscriptions.Create.typedFlags, &c.Subscriptions.Ensure.typedFlags, &c.Subscriptions.Update.typedFlags,
	} {
		*flags = newTypedFlags()
	}
	sub := &hookstreamv1.Subscription{}
	for _, flags := range []*settingFlags{&c.Subscriptions.Create.settingFlags, &c.Subscriptions.Ensure.settingFlags} {
		*flags = newSettingFlags(subscription.Table, sub, false)
	}
	c.Subscriptions.Update.settingFlags = newSettingFlags(subscription.Table, sub, true)
	return c
}

package main

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/hookstream/hookstream/provider"
)

// examples are shown by the help of each command. A test holds that there are some
// for every command, and that they parse.
var examples = withProviders(map[string][]string{
	"serve": {
		"hookstream serve --data-dir /var/lib/hookstream",
		"hookstream serve --ingress-addr :8080 --retention-age 90d",
	},
	"backup":        {"hookstream backup /backups/hookstream.backup", "hookstream backup /backups/hookstream.backup --include-key /var/lib/hookstream/secret.key"},
	"verify-backup": {"hookstream verify-backup /backups/hookstream.backup"},
	"restore":       {"hookstream restore /backups/hookstream.backup --data-dir /var/lib/hookstream"},
	"demo":          {"hookstream demo", "hookstream demo --rate 10 --count 20"},
	"tail": {
		"hookstream tail",
		"hookstream tail --type 'signature_request.*' --from 1h --cursor-file place",
		"hookstream tail --from earliest --until head -o json",
		"hookstream tail --subscription crm --count 10",
	},
	"sources get":           {"hookstream sources get billing", "hookstream sources get billing -o yaml"},
	"sources list":          {"hookstream sources list", "hookstream sources list -o name", `hookstream sources list --filter 'labels.team = "crm"' --order-by 'update_time desc'`},
	"sources update":        {"hookstream sources update billing --description 'Billing contracts'"},
	"sources delete":        {"hookstream sources delete billing"},
	"sources enable":        {"hookstream sources enable billing"},
	"sources disable":       {"hookstream sources disable billing"},
	"sources rotate-secret": {"hookstream sources rotate-secret billing --secret-file new-secret"},
	"subscriptions create": {
		"hookstream subscriptions create crm --type 'signature_request.*' --from earliest",
		"hookstream subscriptions create archive --ordering by-entity --ack-deadline 5m",
	},
	"subscriptions ensure":         {"hookstream subscriptions ensure crm --type 'signature_request.*'"},
	"subscriptions get":            {"hookstream subscriptions get crm", "hookstream subscriptions get crm -o yaml"},
	"subscriptions list":           {"hookstream subscriptions list", "hookstream subscriptions list -o wide", "hookstream subscriptions list --filter 'paused = true' -o name"},
	"subscriptions update":         {"hookstream subscriptions update crm --max-attempts 20"},
	"subscriptions delete":         {"hookstream subscriptions delete crm"},
	"subscriptions pause":          {"hookstream subscriptions pause crm"},
	"subscriptions resume":         {"hookstream subscriptions resume crm"},
	"subscriptions seek":           {"hookstream subscriptions seek crm --to 2d"},
	"subscriptions state":          {"hookstream subscriptions state crm"},
	"subscriptions pull":           {"hookstream subscriptions pull crm --for 10s", "hookstream subscriptions pull crm --ack"},
	"subscriptions ack":            {"hookstream subscriptions ack crm TOKEN", "hookstream subscriptions ack crm TOKEN --as retry --delay 5m --reason 'the CRM is down'"},
	"subscriptions parked list":    {"hookstream subscriptions parked list crm", `hookstream subscriptions parked list crm --filter 'reason:"no such customer"'`},
	"subscriptions parked replay":  {"hookstream subscriptions parked replay crm --all"},
	"subscriptions parked purge":   {"hookstream subscriptions parked purge crm --all --validate-only"},
	"events get":                   {"hookstream events get events/h2k4q7a-12", "hookstream events get h2k4q7a-12 --raw-body"},
	"events show":                  {"hookstream events show events/h2k4q7a-12"},
	"events list":                  {"hookstream events list", "hookstream events list --filter 'source:billing type:signer.* after:2h'", "hookstream events list --filter 'entity:3f1d2c4b' --limit 0 -o name"},
	"events count":                 {"hookstream events count --filter 'after:1d -verification:verified'"},
	"requests list":                {"hookstream requests list", "hookstream requests list --filter 'source:billing cause:forged after:2h' -o wide"},
	"requests show":                {"hookstream requests show requests/3f1d2c4b5a697887"},
	"requests reverify":            {"hookstream requests reverify --filter source:billing"},
	"requests promote":             {"hookstream requests promote --filter source:billing --validate-only", "hookstream requests promote --filter 'source:billing after:1d'"},
	"events export":                {"hookstream events export >events.ndjson", "hookstream events export --filter 'source:billing after:7d' --format cloudevents"},
	"import":                       {"hookstream import events.ndjson --data-dir new-data"},
	"providers":                    {"hookstream providers"},
	"event-types":                  {"hookstream event-types --filter 'stage = STAGE_LIVE'"},
	"verify kept":                  {"hookstream verify --event events/h2k4q7a-12"},
	"doctor":                       {"hookstream doctor --data-dir /var/lib/hookstream"},
	"bench":                        {"hookstream bench --quick"},
	"completion":                   {"source <(hookstream completion bash)", "hookstream completion fish >~/.config/fish/completions/hookstream.fish"},
	"man":                          {"hookstream man >hookstream.1"},
	"version":                      {"hookstream version"},
	"events replay":                {"hookstream events replay events/h2k4q7a-12 --to crm", "hookstream events replay --to crm --filter 'entity:3f1d2c4b' --validate-only", "hookstream events replay --to crm --filter 'type:signer.* after:2h' --rate 50 --id outage"},
	"subscriptions replays list":   {"hookstream subscriptions replays list crm", "hookstream subscriptions replays list crm --filter 'state = STATE_RUNNING'"},
	"subscriptions replays get":    {"hookstream subscriptions replays get crm outage"},
	"subscriptions replays pause":  {"hookstream subscriptions replays pause crm outage"},
	"subscriptions replays resume": {"hookstream subscriptions replays resume crm outage"},
	"subscriptions replays cancel": {"hookstream subscriptions replays cancel crm outage"},
})

// withProviders adds those that are of a provider.
func withProviders(all map[string][]string) map[string][]string {
	add := func(path, line string) { all[path] = append(all[path], "hookstream "+line) }
	of := kinds()[0]
	id, typ := of.Info().GetId(), provider.ExampleType(of)
	add("simulate", "simulate")
	for _, k := range played() {
		add("simulate", "simulate --"+urlFlag(k)+" http://127.0.0.1:8080/webhooks/billing/KEY --rate 5")
	}
	add("trigger", fmt.Sprintf("trigger %s %s --source billing", id, typ))
	add("sources send-test", "sources send-test billing --type "+typ)
	add("event-types", "event-types "+id)
	add("event-types", fmt.Sprintf("event-types %s %s --example", id, typ))
	add("help", "help sources create "+id)
	add("help", "help exit-codes")
	for _, p := range kinds() {
		id, words := p.Info().GetId(), provider.Words(p)
		required, secret := "", ""
		for _, s := range words.Others {
			if s.Required {
				required += fmt.Sprintf(" --%s %s", s.Name(), s.Example)
			}
		}
		if words.Credential.Field != "" {
			secret = " --secret-file " + strings.ToLower(strings.ReplaceAll(words.Credential.Name, " ", "-"))
		}
		add("sources ensure "+id, "sources ensure "+id+" billing"+required+secret)
		if words.Credential.Place != "" {
			secret = " --" + generateFlag
		}
		add("sources create "+id, "sources create "+id+" billing"+required+secret)
		if e := evidenceOf(p, nil); e.Header != "" {
			required += " --signature " + e.Example
		}
		add("verify "+id, "verify "+id+" --body captured.json"+required)
	}
	return all
}

// showExamples puts the examples below the help of their commands.
func showExamples(node *kong.Node) {
	if lines := examples[pathOf(node)]; len(lines) > 0 {
		node.Detail = "Examples:\n\n  " + strings.Join(lines, "\n  ")
	}
	for _, child := range node.Children {
		showExamples(child)
	}
}

// pathOf answers the words that lead to a command.
func pathOf(node *kong.Node) string {
	if node.Parent == nil {
		return ""
	}
	return strings.TrimSpace(pathOf(node.Parent) + " " + node.Name)
}

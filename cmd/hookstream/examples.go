package main

import (
	"strings"

	"github.com/alecthomas/kong"
)

// examples are shown by the help of each command. A test holds that there are some
// for every command, and that they parse.
var examples = map[string][]string{
	"serve": {
		"hookstream serve --data-dir /var/lib/hookstream",
		"hookstream serve --ingress-addr :8080 --retention-age 90d",
	},
	"demo":     {"hookstream demo", "hookstream demo --rate 10 --count 20"},
	"simulate": {"hookstream simulate", "hookstream simulate --ignisign-url http://127.0.0.1:8080/webhooks/contracts/KEY --rate 5"},
	"trigger":  {"hookstream trigger yousign signer.declined --source billing"},
	"tail": {
		"hookstream tail",
		"hookstream tail --type 'signature_request.*' --from 1h --cursor-file place",
		"hookstream tail --from earliest --until head -o json",
		"hookstream tail --subscription crm --count 10",
	},
	"sources create yousign":  {"hookstream sources create yousign billing --generate-secret"},
	"sources create ignisign": {"hookstream sources create ignisign contracts --app-id APP_ID --app-env PRODUCTION --secret-file api-key"},
	"sources get":             {"hookstream sources get billing", "hookstream sources get billing -o yaml"},
	"sources list":            {"hookstream sources list", "hookstream sources list -o name", `hookstream sources list --filter 'labels.team = "crm"' --order-by 'update_time desc'`},
	"sources ensure yousign":  {"hookstream sources ensure yousign billing --secret-file secret"},
	"sources ensure ignisign": {"hookstream sources ensure ignisign contracts --app-id APP_ID --app-env PRODUCTION --secret-file api-key"},
	"sources update":          {"hookstream sources update billing --description 'Billing contracts'"},
	"sources delete":          {"hookstream sources delete billing"},
	"sources enable":          {"hookstream sources enable billing"},
	"sources disable":         {"hookstream sources disable billing"},
	"sources rotate-secret":   {"hookstream sources rotate-secret billing --secret-file new-secret"},
	"sources send-test":       {"hookstream sources send-test billing --type signer.done"},
	"subscriptions create": {
		"hookstream subscriptions create crm --type 'signature_request.*' --from earliest",
		"hookstream subscriptions create archive --ordering by-entity --ack-deadline 5m",
	},
	"subscriptions ensure":        {"hookstream subscriptions ensure crm --type 'signature_request.*'"},
	"subscriptions get":           {"hookstream subscriptions get crm", "hookstream subscriptions get crm -o yaml"},
	"subscriptions list":          {"hookstream subscriptions list", "hookstream subscriptions list -o wide", "hookstream subscriptions list --filter 'paused = true' -o name"},
	"subscriptions update":        {"hookstream subscriptions update crm --max-attempts 20"},
	"subscriptions delete":        {"hookstream subscriptions delete crm"},
	"subscriptions pause":         {"hookstream subscriptions pause crm"},
	"subscriptions resume":        {"hookstream subscriptions resume crm"},
	"subscriptions seek":          {"hookstream subscriptions seek crm --to 2d"},
	"subscriptions state":         {"hookstream subscriptions state crm"},
	"subscriptions pull":          {"hookstream subscriptions pull crm --for 10s", "hookstream subscriptions pull crm --ack"},
	"subscriptions ack":           {"hookstream subscriptions ack crm TOKEN", "hookstream subscriptions ack crm TOKEN --as retry --delay 5m --reason 'the CRM is down'"},
	"subscriptions parked list":   {"hookstream subscriptions parked list crm", `hookstream subscriptions parked list crm --filter 'reason:"no such customer"'`},
	"subscriptions parked replay": {"hookstream subscriptions parked replay crm --all"},
	"subscriptions parked purge":  {"hookstream subscriptions parked purge crm --all --validate-only"},
	"events get":                  {"hookstream events get events/h2k4q7a-12", "hookstream events get h2k4q7a-12 --raw-body"},
	"providers":                   {"hookstream providers"},
	"event-types":                 {"hookstream event-types yousign", "hookstream event-types yousign signer.done --example", "hookstream event-types --filter 'stage = STAGE_LIVE'"},
	"verify yousign":              {"hookstream verify yousign --body captured.json --signature sha256=52a1e209"},
	"verify ignisign":             {"hookstream verify ignisign --body captured.json --app-id APP_ID --app-env PRODUCTION"},
	"verify kept":                 {"hookstream verify --event events/h2k4q7a-12"},
	"doctor":                      {"hookstream doctor --data-dir /var/lib/hookstream"},
	"bench":                       {"hookstream bench --quick"},
	"completion":                  {"source <(hookstream completion bash)", "hookstream completion fish >~/.config/fish/completions/hookstream.fish"},
	"man":                         {"hookstream man >hookstream.1"},
	"version":                     {"hookstream version"},
	"help":                        {"hookstream help sources create yousign", "hookstream help exit-codes"},
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

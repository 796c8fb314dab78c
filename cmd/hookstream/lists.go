package main

import (
	"errors"
	"strings"
)

// A choice says what of a list to show, and in which order. Neither comes from the
// environment: a filter of tail and of subscriptions is another language.
type choice struct {
	Filter  string `help:"Show only those that fit, in the language of AIP-160: labels.team = \"crm\" AND NOT disabled = true." placeholder:"FILTER" variable:"none"`
	OrderBy string `help:"Order by up to four fields, each with asc or desc: 'update_time desc, name'." placeholder:"FIELDS" variable:"none"`
}

// chosen reports whether the list may be less than all.
func (c choice) chosen() bool { return c.Filter != "" }

// noneFits is told when it is nothing.
const noneFits = "none fits the filter"

// refused adds how filters and orders are written to what is wrong with one.
func (c choice) refused(err error) error {
	st, ok := statusOf(err)
	if !ok || reason(st) != "REQUEST_INVALID" {
		return err
	}
	for _, line := range violations(st) {
		if strings.HasPrefix(line, "filter: ") || strings.HasPrefix(line, "order_by: ") {
			return usageError{hinted(errors.New("--"+strings.Replace(line, "_", "-", 1)), "%s", listHint)}
		}
	}
	return err
}

const listHint = `fields are those of --output json, and texts are quoted: --filter 'labels.team = "crm"' --order-by 'update_time desc'`

// pageItems is how many items are asked for at once: the most there are.
const pageItems = 1000

// everyPage answers the items of all pages, in their order.
func everyPage[T any](page func(token string) (items []T, next string, err error)) ([]T, error) {
	var all []T
	for token := ""; ; {
		items, next, err := page(token)
		if err != nil {
			return nil, err
		}
		all = append(all, items...)
		if token = next; token == "" {
			return all, nil
		}
	}
}

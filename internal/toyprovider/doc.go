// Package toyprovider tries docs/adding-a-provider.md: its test makes the provider
// that the page builds, of what the page says and of nothing else, and has a gateway
// with it receive and hand out an event. There is nothing in it but that test.
package toyprovider

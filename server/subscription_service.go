package server

import (
	"strings"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/hub"
	"github.com/hookstream/hookstream/replay"
	"github.com/hookstream/hookstream/subscription"
)

// subscriptionService is the SubscriptionService: one file a method.
type subscriptionService struct {
	hookstreamv1.UnimplementedSubscriptionServiceServer

	manager *subscription.Manager
	hub     *hub.Hub
	replays *replay.Manager // nil: none can be begun
}

const subscriptionsPrefix = "subscriptions/"

// subscriptionID answers the id in a resource name that was checked, whatever
// follows it.
func subscriptionID(name string) string {
	id, _, _ := strings.Cut(strings.TrimPrefix(name, subscriptionsPrefix), "/")
	return id
}

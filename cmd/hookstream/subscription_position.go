package main

import hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"

// ofCreate sets where a new subscription begins.
func (p position) ofCreate(req *hookstreamv1.CreateSubscriptionRequest) {
	switch {
	case p.earliest:
		req.Start = &hookstreamv1.CreateSubscriptionRequest_Earliest{Earliest: true}
	case p.cursor != "":
		req.Start = &hookstreamv1.CreateSubscriptionRequest_AfterCursor{AfterCursor: p.cursor}
	case p.at != nil:
		req.Start = &hookstreamv1.CreateSubscriptionRequest_AtTime{AtTime: p.at}
	}
}

// ofEnsure sets where a subscription begins if it is made.
func (p position) ofEnsure(req *hookstreamv1.EnsureSubscriptionRequest) {
	switch {
	case p.earliest:
		req.Start = &hookstreamv1.EnsureSubscriptionRequest_Earliest{Earliest: true}
	case p.cursor != "":
		req.Start = &hookstreamv1.EnsureSubscriptionRequest_AfterCursor{AfterCursor: p.cursor}
	case p.at != nil:
		req.Start = &hookstreamv1.EnsureSubscriptionRequest_AtTime{AtTime: p.at}
	}
}

// ofSeek sets where a subscription goes on.
func (p position) ofSeek(req *hookstreamv1.SeekSubscriptionRequest) {
	switch {
	case p.earliest:
		req.To = &hookstreamv1.SeekSubscriptionRequest_Earliest{Earliest: true}
	case p.cursor != "":
		req.To = &hookstreamv1.SeekSubscriptionRequest_AfterCursor{AfterCursor: p.cursor}
	case p.at != nil:
		req.To = &hookstreamv1.SeekSubscriptionRequest_AtTime{AtTime: p.at}
	default:
		req.To = &hookstreamv1.SeekSubscriptionRequest_Latest{Latest: true}
	}
}

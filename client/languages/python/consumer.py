"""A consumer with grpcio."""
import sys

import grpc
from google.rpc import error_details_pb2, status_pb2
from hookstream.v1 import event_service_pb2 as ev, event_service_pb2_grpc
from hookstream.v1 import subscription_pb2, subscription_service_pb2 as sub, subscription_service_pb2_grpc

channel = grpc.insecure_channel(sys.argv[1])
events = event_service_pb2_grpc.EventServiceStub(channel)
subscriptions = subscription_service_pb2_grpc.SubscriptionServiceStub(channel)


def deliveries(**request):
    for frame in events.Subscribe(ev.SubscribeRequest(**request)):
        yield from frame.batch.deliveries


every = list(deliveries(earliest=True, at_head=True))
print("typed", every[0].event.type, every[0].event.yousign.signature_request.id)
for d in deliveries(after_cursor=every[0].cursor, at_head=True):
    print("resumed", d.event.type)

name = "subscriptions/python"
subscriptions.CreateSubscription(sub.CreateSubscriptionRequest(
    subscription_id="python", subscription=subscription_pb2.Subscription(), earliest=True))
for d in deliveries(subscription=name):
    done = sub.Settlement(ack_token=d.ack_token, verdict=sub.Settlement.VERDICT_ACK)
    subscriptions.Acknowledge(sub.AcknowledgeRequest(name=name, settlements=[done]))
    print("acknowledged", d.event.type)
    break
try:
    events.GetEvent(ev.GetEventRequest(name="events/none"))
except grpc.RpcError as err:
    status = status_pb2.Status.FromString(dict(err.trailing_metadata())["grpc-status-details-bin"])
    for detail in status.details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            print("reason", info.reason)

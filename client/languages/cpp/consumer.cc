// A consumer with gRPC for C++.
#include <grpcpp/grpcpp.h>

#include <functional>
#include <iostream>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "hookstream/v1/event_service.grpc.pb.h"
#include "hookstream/v1/subscription_service.grpc.pb.h"

using namespace hookstream::v1;

int main(int, char** argv) {
  auto channel = grpc::CreateChannel(argv[1], grpc::InsecureChannelCredentials());
  auto events = EventService::NewStub(channel);
  auto subscriptions = SubscriptionService::NewStub(channel);
  // Until the stream ends or `handle` says that it has enough.
  auto deliveries = [&](const SubscribeRequest& request, std::function<bool(const Delivery&)> handle) {
    grpc::ClientContext context;
    auto stream = events->Subscribe(&context, request);
    SubscribeResponse frame;
    while (stream->Read(&frame))
      for (const auto& d : frame.batch().deliveries())
        if (!handle(d)) return context.TryCancel();
  };
  SubscribeRequest request;
  request.set_earliest(true);
  request.set_at_head(true);
  std::string cursor;
  deliveries(request, [&](const Delivery& d) {
    if (cursor.empty()) {
      std::cout << "typed " << d.event().type() << " " << d.event().yousign().signature_request().id() << "\n";
      cursor = d.cursor();
    }
    return true;
  });
  request.set_after_cursor(cursor);
  deliveries(request, [&](const Delivery& d) {
    std::cout << "resumed " << d.event().type() << "\n";
    return true;
  });
  CreateSubscriptionRequest create;
  create.set_subscription_id("cpp");
  create.mutable_subscription();
  create.set_earliest(true);
  Subscription made;
  grpc::ClientContext creating;
  subscriptions->CreateSubscription(&creating, create, &made);
  SubscribeRequest durable;
  durable.set_subscription("subscriptions/cpp");
  deliveries(durable, [&](const Delivery& d) {
    AcknowledgeRequest ack;
    ack.set_name("subscriptions/cpp");
    auto* done = ack.add_settlements();
    done->set_ack_token(d.ack_token());
    done->set_verdict(Settlement::VERDICT_ACK);
    AcknowledgeResponse answer;
    grpc::ClientContext context;
    if (subscriptions->Acknowledge(&context, ack, &answer).ok()) std::cout << "acknowledged " << d.event().type() << "\n";
    return false;
  });
  GetEventRequest get;
  get.set_name("events/none");
  Event event;
  grpc::ClientContext context;
  google::rpc::Status status;
  status.ParseFromString(events->GetEvent(&context, get, &event).error_details());
  google::rpc::ErrorInfo info;
  for (const auto& detail : status.details())
    if (detail.UnpackTo(&info)) std::cout << "reason " << info.reason() << "\n";
}

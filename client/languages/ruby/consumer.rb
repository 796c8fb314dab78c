# A consumer with the gem grpc.
require 'grpc'
require 'google/protobuf/well_known_types' # for Any#unpack
require 'google/rpc/status_pb'
require 'google/rpc/error_details_pb'
require 'hookstream/v1/event_service_services_pb'
require 'hookstream/v1/subscription_service_services_pb'

V1 = Hookstream::V1
events = V1::EventService::Stub.new(ARGV[0], :this_channel_is_insecure)
subscriptions = V1::SubscriptionService::Stub.new(ARGV[0], :this_channel_is_insecure)
deliveries = lambda do |**request|
  events.subscribe(V1::SubscribeRequest.new(**request)).lazy.flat_map { |frame| frame.batch ? frame.batch.deliveries.to_a : [] }
end

all = deliveries.call(earliest: true, at_head: true).to_a
puts "typed #{all[0].event.type} #{all[0].event.yousign.signature_request.id}"
deliveries.call(after_cursor: all[0].cursor, at_head: true).each { |d| puts "resumed #{d.event.type}" }

name = 'subscriptions/ruby'
subscriptions.create_subscription(V1::CreateSubscriptionRequest.new(subscription_id: 'ruby', subscription: V1::Subscription.new, earliest: true))
d = deliveries.call(subscription: name).first
done = V1::Settlement.new(ack_token: d.ack_token, verdict: :VERDICT_ACK)
subscriptions.acknowledge(V1::AcknowledgeRequest.new(name: name, settlements: [done]))
puts "acknowledged #{d.event.type}"
begin
  events.get_event(V1::GetEventRequest.new(name: 'events/none'))
rescue GRPC::BadStatus => e
  status = Google::Rpc::Status.decode(e.metadata['grpc-status-details-bin'])
  status.details.each { |any| (info = any.unpack(Google::Rpc::ErrorInfo)) && puts("reason #{info.reason}") }
end

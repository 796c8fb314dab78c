// A consumer with protobuf-es and Connect over gRPC, its types made by protoc-gen-es.
import {createClient, ConnectError} from '@connectrpc/connect';
import {createGrpcTransport} from '@connectrpc/connect-node';
import {EventService} from './hookstream/v1/event_service_pb.js';
import {Settlement_Verdict, SubscriptionService} from './hookstream/v1/subscription_service_pb.js';
import {ErrorInfoSchema} from './google/rpc/error_details_pb.js';

const transport = createGrpcTransport({baseUrl: `http://${process.argv[2]}`});
const events = createClient(EventService, transport);
const subscriptions = createClient(SubscriptionService, transport);

async function* deliveries(request) {
  for await (const {frame} of events.subscribe(request)) {
    if (frame.case === 'batch') yield* frame.value.deliveries;
  }
}
const stop = {case: 'atHead', value: true};
const all = [];
for await (const d of deliveries({start: {case: 'earliest', value: true}, stop})) all.push(d);
const {event} = all[0];
if (event.payload.case === 'yousign') console.log('typed', event.type, event.payload.value.signatureRequest.id);
for await (const d of deliveries({start: {case: 'afterCursor', value: all[0].cursor}, stop})) console.log('resumed', d.event.type);

const name = 'subscriptions/es';
await subscriptions.createSubscription({subscriptionId: 'es', subscription: {}, start: {case: 'earliest', value: true}});
for await (const d of deliveries({subscription: name})) {
  await subscriptions.acknowledge({name, settlements: [{ackToken: d.ackToken, verdict: Settlement_Verdict.ACK}]});
  console.log('acknowledged', d.event.type);
  break;
}
try {
  await events.getEvent({name: 'events/none'});
} catch (err) {
  for (const info of ConnectError.from(err).findDetails(ErrorInfoSchema)) console.log('reason', info.reason);
}
process.exit(0);

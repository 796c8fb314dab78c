// A consumer with @grpc/grpc-js, typed by the image at run time: nothing is generated.
// What proto-loader makes of an image has the names of the schema, whatever
// `keepCase` says: `after_cursor`, `ack_token`. A key in camelCase is no error, it
// is passed over.
import grpc from '@grpc/grpc-js';
import loader from '@grpc/proto-loader';
import protobuf from 'protobufjs';
import descriptor from 'protobufjs/ext/descriptor/index.js';

const [address, http] = process.argv.slice(2);
const image = Buffer.from(await (await fetch(`http://${http}/hookstream-lite.binpb`)).arrayBuffer());
const {hookstream: {v1}} = grpc.loadPackageDefinition(
  loader.loadFileDescriptorSetFromBuffer(image, {longs: String, enums: String, oneofs: true}));
const root = protobuf.Root.fromDescriptor(descriptor.FileDescriptorSet.decode(image));
const credentials = grpc.credentials.createInsecure();
const events = new v1.EventService(address, credentials);
const subscriptions = new v1.SubscriptionService(address, credentials);

async function* deliveries(request) {
  for await (const frame of events.Subscribe(request)) {
    if (frame.frame === 'batch') yield* frame.batch.deliveries;
  }
}
const all = [];
for await (const d of deliveries({earliest: true, at_head: true})) all.push(d);
console.log('typed', all[0].event.type, all[0].event.yousign.signature_request.id);
for await (const d of deliveries({after_cursor: all[0].cursor, at_head: true})) console.log('resumed', d.event.type);

const name = 'subscriptions/node';
const call = (method, request) => new Promise((resolve, reject) =>
  subscriptions[method](request, (err, answer) => err ? reject(err) : resolve(answer)));
await call('CreateSubscription', {subscription_id: 'node', subscription: {}, earliest: true});
for await (const d of deliveries({subscription: name})) {
  await call('Acknowledge', {name, settlements: [{ack_token: d.ack_token, verdict: 'VERDICT_ACK'}]});
  console.log('acknowledged', d.event.type);
  break;
}
await new Promise(done => events.GetEvent({name: 'events/none'}, err => {
  const status = root.lookupType('google.rpc.Status').decode(err.metadata.get('grpc-status-details-bin')[0]);
  for (const detail of status.details) {
    const {type_url: url = detail.typeUrl, value} = detail;
    if (url.endsWith('/google.rpc.ErrorInfo')) console.log('reason', root.lookupType('google.rpc.ErrorInfo').decode(value).reason);
  }
  done();
}));
process.exit(0);

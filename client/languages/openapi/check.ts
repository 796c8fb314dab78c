// Compiles only when the document types what the gateway answers.
import type {paths} from './api.js';

type Subscribe = paths['/v1/events:subscribe']['get']['responses'][200]['content'];
export function kind(line: Subscribe['application/x-ndjson']): string {
  if (line.error) return reason(line.error) ?? 'failed';
  const first = line.result?.batch?.deliveries?.[0]?.event;
  return first?.yousign?.signatureRequest?.id ?? line.result?.cursor ?? '';
}
export const events: Subscribe['text/event-stream'] = 'event: opened';

type Failure = paths['/v1/events/{event}']['get']['responses']['4XX']['content']['application/json'];
export function reason(failure: Failure): string | undefined {
  for (const detail of failure.details ?? [])
    if (detail['@type'] === 'type.googleapis.com/google.rpc.ErrorInfo') return detail.reason;
  return undefined;
}

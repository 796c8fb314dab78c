// Package jetstream is the engine: NATS JetStream, embedded in the process or
// external, as eventlog promises it. The log, the inbox and the buckets lie in its
// streams; room.go has what other rooms of the engine, such as eventlog/queue, are
// built with.
package jetstream

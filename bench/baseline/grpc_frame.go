package baseline

import "google.golang.org/protobuf/encoding/protowire"

// fieldResponseBatch is SubscribeResponse.batch.
const fieldResponseBatch = 3

// batchHead is what stands in a SubscribeResponse before the elements of its
// batch, which have size bytes in all.
func batchHead(size int) []byte {
	head := protowire.AppendTag(nil, fieldResponseBatch, protowire.BytesType)
	return protowire.AppendVarint(head, uint64(size))
}

package ignisign

import (
	"testing"

	"github.com/hookstream/hookstream/provider"
)

var benchmarked = []string{"SIGNER.CREATED", "SIGNATURE_REQUEST.LAUNCHED", "SIGNATURE_PROOF.GENERATED"}

func BenchmarkInspect(b *testing.B) {
	p := testProvider(b)
	for _, name := range benchmarked {
		body, _ := example(name)
		req := &provider.Request{Body: body}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				if _, err := p.Inspect(req); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, name := range benchmarked {
		body, _ := example(name)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				Decode(body)
			}
		})
		b.Run("wire/"+name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			var wire []byte
			for b.Loop() {
				wire, _ = Encode(wire, body)
			}
		})
	}
}

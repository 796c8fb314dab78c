package main

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider"
)

// makeSource makes the sender's source, or renews that of an earlier demo in the same
// data directory, and answers its ingress path.
func (s demoSender) makeSource(ctx context.Context, client hookstreamv1.SourceServiceClient) (path string, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	src := s.player.Source()
	src.Description = s.Info().GetDisplayName() + " (simulated)"
	made, err := client.CreateSource(ctx, &hookstreamv1.CreateSourceRequest{SourceId: s.source, Source: src})
	if status.Code(err) != codes.AlreadyExists {
		return made.GetIngressPath(), err
	}
	return s.renewSource(ctx, client, src)
}

// renewSource has a source accept what the sender is played with this time.
func (s demoSender) renewSource(ctx context.Context, client hookstreamv1.SourceServiceClient, src *hookstreamv1.Source) (path string, err error) {
	src.Name = sourceName(s.source)
	words := provider.Words(s.Provider)
	texts := provider.Texts(src)
	var paths []string
	for _, setting := range words.Others {
		if texts[setting.Field] != "" {
			paths = append(paths, s.id()+"."+setting.Field)
		}
	}
	if len(paths) > 0 {
		_, err := client.UpdateSource(ctx, &hookstreamv1.UpdateSourceRequest{
			Source: src, UpdateMask: &fieldmaskpb.FieldMask{Paths: paths},
		})
		if err != nil {
			return "", err
		}
	}
	rotated, err := client.RotateSourceSecret(ctx, &hookstreamv1.RotateSourceSecretRequest{
		Name: src.GetName(), Secret: texts[words.Credential.Field], Overlap: durationpb.New(0),
	})
	return rotated.GetSource().GetIngressPath(), err
}

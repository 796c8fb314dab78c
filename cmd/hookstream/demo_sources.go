package main

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	ignisignv1 "github.com/hookstream/hookstream/gen/hookstream/ignisign/v1"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
	"github.com/hookstream/hookstream/simulator"
)

// The demo's sources.
const (
	demoYousign  = "demo-yousign"
	demoIgnisign = "demo-ignisign"
)

// demoSources makes the two sources, or renews those of an earlier demo in the
// same data directory, and answers their ingress paths.
func demoSources(ctx context.Context, client hookstreamv1.SourceServiceClient, secret, apiKey, apiURL string) (yousign, ignisign string, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	y, err := makeSource(ctx, client, demoYousign, secret, &hookstreamv1.Source{
		Description: "Yousign (simulated)",
		Config:      &hookstreamv1.Source_Yousign{Yousign: &yousignv1.SourceConfig{Secrets: []string{secret}}},
	})
	if err != nil {
		return "", "", err
	}
	i, err := makeSource(ctx, client, demoIgnisign, apiKey, &hookstreamv1.Source{
		Description: "Ignisign (simulated)",
		Config: &hookstreamv1.Source_Ignisign{Ignisign: &ignisignv1.SourceConfig{
			AppId: simulator.DefaultAppID, AppEnv: simulator.DefaultAppEnv, ApiKey: apiKey, ApiBaseUrl: apiURL,
		}},
	})
	if err != nil {
		return "", "", err
	}
	return y.GetIngressPath(), i.GetIngressPath(), nil
}

// makeSource creates a source; one that exists gets the new credential.
func makeSource(ctx context.Context, client hookstreamv1.SourceServiceClient, id, credential string, src *hookstreamv1.Source) (*hookstreamv1.Source, error) {
	made, err := client.CreateSource(ctx, &hookstreamv1.CreateSourceRequest{SourceId: id, Source: src})
	if status.Code(err) != codes.AlreadyExists {
		return made, err
	}
	name := sourceName(id)
	if src.GetIgnisign() != nil {
		src.Name = name
		_, err := client.UpdateSource(ctx, &hookstreamv1.UpdateSourceRequest{
			Source: src, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"ignisign.api_base_url"}},
		})
		if err != nil {
			return nil, err
		}
	}
	rotated, err := client.RotateSourceSecret(ctx, &hookstreamv1.RotateSourceSecretRequest{
		Name: name, Secret: credential, Overlap: durationpb.New(0),
	})
	return rotated.GetSource(), err
}

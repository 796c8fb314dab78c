package image_test

import (
	"path"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/hookstream/hookstream/image"
)

// prefixes are what Objective-C puts before every name of a package, since it
// has no packages.
var prefixes = map[string]string{
	"hookstream.v1":          "HKS",
	"hookstream.ignisign.v1": "HKSIG",
	"hookstream.yousign.v1":  "HKSYS",
	"hookstream.options.v1":  "HKSOP",
}

// languageOptions are what every file of a package says to the generators of
// other languages. buf lint holds that the files of one package say the same;
// this, that they say something, and what.
func languageOptions(name, pkg string) *descriptorpb.FileOptions {
	parts := strings.Split(pkg, ".")
	for i, p := range parts {
		parts[i] = title(p)
	}
	file := ""
	for word := range strings.SplitSeq(strings.TrimSuffix(path.Base(name), ".proto"), "_") {
		file += title(word)
	}
	return &descriptorpb.FileOptions{
		CsharpNamespace:      proto.String(strings.Join(parts, ".")),
		JavaMultipleFiles:    proto.Bool(true),
		JavaOuterClassname:   proto.String(file + "Proto"),
		JavaPackage:          proto.String("dev." + pkg),
		ObjcClassPrefix:      proto.String(prefixes[pkg]),
		PhpMetadataNamespace: proto.String(strings.Join(parts, `\`) + `\GPBMetadata`),
		PhpNamespace:         proto.String(strings.Join(parts, `\`)),
		RubyPackage:          proto.String(strings.Join(parts, "::")),
		SwiftPrefix:          proto.String(strings.Join(parts, "")),
	}
}

func title(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// A file without these makes a client in Java, C#, PHP, Ruby, Objective-C or
// Swift whose names nobody can use, and adding them later breaks it.
func TestEveryFileNamesItsPlaceInEveryLanguage(t *testing.T) {
	ours, prefixed := 0, map[string]string{}
	for _, file := range read(t, image.Descriptors).GetFile() {
		pkg := file.GetPackage()
		if !strings.HasPrefix(pkg, "hookstream.") {
			continue
		}
		ours++
		want := languageOptions(file.GetName(), pkg)
		got := proto.Clone(file.GetOptions()).(*descriptorpb.FileOptions)
		got.GoPackage = nil // the generated code would not compile without it
		if !proto.Equal(got, want) {
			t.Errorf("%s:\nhas   %v\nwants %v", file.GetName(), got, want)
		}
		prefix := want.GetObjcClassPrefix()
		if len(prefix) < 3 {
			t.Errorf("%s: package %s has no prefix for Objective-C in this test", file.GetName(), pkg)
		}
		if other := prefixed[prefix]; other != "" && other != pkg {
			t.Errorf("%s and %s have one prefix, %s", other, pkg, prefix)
		}
		prefixed[prefix] = pkg
	}
	if ours < 40 {
		t.Fatalf("only %d files of ours to look at", ours)
	}
}

func read(t *testing.T, descriptors []byte) *descriptorpb.FileDescriptorSet {
	t.Helper()
	set := new(descriptorpb.FileDescriptorSet)
	if err := proto.Unmarshal(descriptors, set); err != nil {
		t.Fatal(err)
	}
	return set
}

// Command descriptors makes of the image that buf builds of our API the two that
// a gateway serves: the whole one, with google.rpc beside it, and a lite one
// without options.
//
// The reasons of our errors are messages of google.rpc. No file of ours imports
// them, so buf leaves them out, and without them nobody can read a reason.
//
// The lite image has no custom options and so none of their imports. Most
// consumers need none of them; buf/validate is proto2, which PHP cannot take and
// Ruby warns of, and C++ would compile half a megabyte for nothing.
package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: descriptors IMAGE LITE_IMAGE")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "descriptors:", err)
		os.Exit(1)
	}
}

// run adds to the image at path, and writes the lite one beside it.
func run(path, lite string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	set := new(descriptorpb.FileDescriptorSet)
	// Without a resolver every custom option stays an unknown field, byte for byte.
	if err := (proto.UnmarshalOptions{Resolver: new(protoregistry.Types)}).Unmarshal(b, set); err != nil {
		return err
	}
	addErrors(set)
	if err := write(path, set); err != nil {
		return err
	}
	return write(lite, strip(set))
}

func write(path string, set *descriptorpb.FileDescriptorSet) error {
	if _, err := protodesc.NewFiles(set); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(set)
	if err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o644)
}

// addErrors adds google.rpc, and what it imports, after what is there.
func addErrors(set *descriptorpb.FileDescriptorSet) {
	known := map[string]bool{}
	for _, file := range set.GetFile() {
		known[file.GetName()] = true
	}
	var add func(protoreflect.FileDescriptor)
	add = func(fd protoreflect.FileDescriptor) {
		if known[fd.Path()] {
			return
		}
		known[fd.Path()] = true
		for i := range fd.Imports().Len() {
			add(fd.Imports().Get(i).FileDescriptor)
		}
		file := protodesc.ToFileDescriptorProto(fd)
		markImport(file)
		set.File = append(set.File, file)
	}
	for _, fd := range []protoreflect.FileDescriptor{code.File_google_rpc_code_proto, status.File_google_rpc_status_proto, errdetails.File_google_rpc_error_details_proto} {
		add(fd)
	}
}

// markImport tells buf that the file is one that others import: it makes code of
// it only when told so (`include_imports`). The mark is the field `is_import` of
// buf.alpha.image.v1.ImageFileExtension.
func markImport(file *descriptorpb.FileDescriptorProto) {
	mark := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 1)
	file.ProtoReflect().SetUnknown(protowire.AppendBytes(protowire.AppendTag(nil, 8042, protowire.BytesType), mark))
}

// kept are the files of the lite image: not those that only define options.
func kept(name string) bool {
	for _, prefix := range []string{"google/protobuf/", "google/rpc/", "hookstream/"} {
		if strings.HasPrefix(name, prefix) {
			return name != "google/protobuf/descriptor.proto"
		}
	}
	return false
}

func strip(set *descriptorpb.FileDescriptorSet) *descriptorpb.FileDescriptorSet {
	lite := new(descriptorpb.FileDescriptorSet)
	for _, file := range set.GetFile() {
		if !kept(file.GetName()) {
			continue
		}
		file = proto.CloneOf(file)
		file.Dependency = slices.DeleteFunc(file.GetDependency(), func(name string) bool { return !kept(name) })
		file.Extension = nil // our own options; a field of Source has the type of one
		forget(file.ProtoReflect())
		if !strings.HasPrefix(file.GetName(), "hookstream/") {
			markImport(file)
		}
		if info := file.GetSourceCodeInfo(); info != nil {
			info.Location = slices.DeleteFunc(info.GetLocation(), func(l *descriptorpb.SourceCodeInfo_Location) bool {
				return !has(file.ProtoReflect(), l.GetPath())
			})
		}
		lite.File = append(lite.File, file)
	}
	return lite
}

// forget removes every unknown field, which is what a custom option is here.
func forget(m protoreflect.Message) {
	m.SetUnknown(nil)
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if fd.Message() == nil {
			return true
		}
		if !fd.IsList() {
			forgetOptions(m, fd, v.Message())
			return true
		}
		for i := range v.List().Len() {
			forget(v.List().Get(i).Message())
		}
		return true
	})
}

// forgetOptions leaves no empty set of options behind.
func forgetOptions(m protoreflect.Message, fd protoreflect.FieldDescriptor, v protoreflect.Message) {
	forget(v)
	if fd.Name() == "options" && proto.Size(v.Interface()) == 0 {
		m.Clear(fd)
	}
}

// has says whether the path of a comment still leads to something. Imports are
// numbered anew, so what was said of one may now stand at another.
func has(m protoreflect.Message, path []int32) bool {
	if len(path) == 0 {
		return true
	}
	fd := m.Descriptor().Fields().ByNumber(protoreflect.FieldNumber(path[0]))
	if fd == nil || fd.Name() == "dependency" || !m.Has(fd) {
		return false
	}
	if len(path) == 1 {
		return true
	}
	if !fd.IsList() {
		return fd.Message() != nil && has(m.Get(fd).Message(), path[1:])
	}
	list, i := m.Get(fd).List(), int(path[1])
	if i >= list.Len() {
		return false
	}
	return len(path) == 2 || fd.Message() != nil && has(list.Get(i).Message(), path[2:])
}

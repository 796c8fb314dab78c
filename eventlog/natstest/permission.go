package natstest

import (
	"os"
	"strings"
	"testing"
)

// DocumentedPermissions answers what docs/operating.md says that a gateway's user needs,
// in the words of a server's configuration, for the tests of a package that lies in the
// root of the project.
func DocumentedPermissions(t testing.TB) string {
	t.Helper()
	data, err := os.ReadFile("../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(data), "```\npermissions: {")
	block, _, end := strings.Cut(rest, "\n```")
	if !ok || !end {
		t.Fatal("docs/operating.md says nothing of permissions")
	}
	return "permissions: {" + block
}

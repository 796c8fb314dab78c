package server

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/hookstream/hookstream/image"
)

// The docs page is Swagger UI (Apache-2.0, docspage/LICENSE.swagger-ui.txt): two
// files of the npm package swagger-ui-dist 5.35.0, gzipped, and our own small
// page around them. It asks nobody but this gateway.
//
//go:embed docspage
var docspage embed.FS

// docsPolicy lets the page load what comes from here, and be framed by nobody.
// Swagger UI styles elements in place and has its icons as data.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; " +
	"img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// asset is a file that the program holds.
type asset struct {
	path        string
	file        string // in docspage, or the content below
	content     []byte
	contentType string
}

// assets are what is served of the schema, and the page that shows it.
func assets() []asset {
	return []asset{
		{path: "/openapi.json", content: image.OpenAPI, contentType: "application/json"},
		{path: "/hookstream.binpb", content: image.Descriptors, contentType: "application/x-protobuf"},
		{path: "/hookstream-lite.binpb", content: image.LiteDescriptors, contentType: "application/x-protobuf"},
		{path: "/docs", file: "index.html", contentType: "text/html; charset=utf-8"},
		{path: "/docs/docs.js", file: "docs.js", contentType: "text/javascript; charset=utf-8"},
		{path: "/docs/swagger-ui-bundle.js", file: "swagger-ui-bundle.js.gz", contentType: "text/javascript; charset=utf-8"},
		{path: "/docs/swagger-ui.css", file: "swagger-ui.css.gz", contentType: "text/css; charset=utf-8"},
		{path: "/docs/LICENSE", file: "LICENSE.swagger-ui.txt", contentType: "text/plain; charset=utf-8"},
	}
}

// handleAssets serves all assets.
func handleAssets(mux *http.ServeMux) error {
	for _, a := range assets() {
		handler, err := a.handler()
		if err != nil {
			return err
		}
		mux.Handle(a.path, onlyGet(handler))
	}
	return nil
}

// handler serves the asset, compressed when it is held so and the client takes
// it.
func (a asset) handler() (http.Handler, error) {
	content := a.content
	if a.file != "" {
		var err error
		if content, err = docspage.ReadFile("docspage/" + a.file); err != nil {
			return nil, fmt.Errorf("server: docs page: %w", err)
		}
	}
	packed := strings.HasSuffix(a.file, ".gz")
	// Unpacked when somebody asks, as hardly any client does: a start need not wait for it.
	plain := sync.OnceValues(func() ([]byte, error) { return gunzip(content) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, header := content, w.Header()
		header.Set("Content-Type", a.contentType)
		header.Set("Content-Security-Policy", docsPolicy)
		header.Set("Cache-Control", "no-cache")
		if packed {
			header.Set("Vary", "Accept-Encoding")
		}
		switch {
		case packed && acceptsGzip(r):
			header.Set("Content-Encoding", "gzip")
		case packed:
			var err error
			if body, err = plain(); err != nil {
				http.Error(w, "the page is damaged in this program", http.StatusInternalServerError)
				return
			}
		}
		header.Set("ETag", tagOf(body))
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
	}), nil
}

// tagOf changes with the content, so that a browser asks again and is seldom
// sent anything.
func tagOf(content []byte) string {
	sum := sha256.Sum256(content)
	return `"` + hex.EncodeToString(sum[:8]) + `"`
}

func acceptsGzip(r *http.Request) bool {
	return strings.Contains(strings.Join(r.Header.Values("Accept-Encoding"), ","), "gzip")
}

func gunzip(b []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

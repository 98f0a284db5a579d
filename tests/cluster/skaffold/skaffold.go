//go:build tools

// Package skaffold pins the skaffold program and a small registry with everything they are built from.
package skaffold

import (
	_ "github.com/GoogleContainerTools/skaffold/v2/cmd/skaffold"
	_ "github.com/google/go-containerregistry/cmd/crane"
)

//go:build tools

// Package helm pins the helm program with everything it is built from.
package helm

import _ "helm.sh/helm/v4/cmd/helm"

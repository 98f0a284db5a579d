//go:build tools

// Package helm3 pins the helm program of version 3 with everything it is built from.
package helm3

import _ "helm.sh/helm/v3/cmd/helm"

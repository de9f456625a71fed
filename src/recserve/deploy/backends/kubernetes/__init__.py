"""Services on Kubernetes: manifests to apply, and pods as instances of a control plane."""

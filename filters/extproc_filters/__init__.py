"""The catalogue: filters at the depth of those that Envoy brings itself."""

"""Write Envoy ext_proc filters as small Python classes."""

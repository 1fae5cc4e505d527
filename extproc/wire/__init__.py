"""Protobuf to and from our own types; the only package that imports protobuf."""

"""Domain values <-> protobuf messages, in one place each."""

"""The command `tributary`, and the local stack it starts: real stores and all five services, without a container."""

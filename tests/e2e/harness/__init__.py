"""What the end-to-end tests share: the gateway as a process, raw sockets on both of its sides, and its records."""

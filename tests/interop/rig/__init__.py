"""Puts other WebSocket programs on the other end of our servers and clients; see ../run."""

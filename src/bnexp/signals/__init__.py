"""What can be said about a network layer by layer."""

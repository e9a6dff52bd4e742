"""What the integration tests stand on: real programs, found, started, watched and cleaned up."""

"""What `python -m supportflow` does, one file a command."""

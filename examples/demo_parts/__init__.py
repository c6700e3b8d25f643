"""The parts of `demo.py`: who plays, the stage, the page, the checks, and the acts."""

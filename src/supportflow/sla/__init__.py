"""Judge how long people waited: calendars of open time, policies and verdicts."""

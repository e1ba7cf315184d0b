"""Running compiled programs: the machine-code engine, the driver that walks a table of calls, and its threads."""

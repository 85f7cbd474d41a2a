"""What a test run needs of the machine: packages, an engine, hosts; also for people (`make lab-up`)."""

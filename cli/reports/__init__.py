"""Reports of schedules that are read, drawn or opened elsewhere: tables, traces, pictures."""

"""Reports of schedules as files for other programs: tables, traces, pages, pictures."""

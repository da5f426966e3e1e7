"""Studies as configuration: one folder a study, data only."""

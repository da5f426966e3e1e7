"""The Flask service, delivery to the EHR, and the command line: the only place that puts things together."""

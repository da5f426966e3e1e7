"""From FHIR resources to cohort, scores, statistics and outcome resources. Knows no web framework."""

"""What operators see of the service: health, readiness, figures, one record a request, and the audit."""

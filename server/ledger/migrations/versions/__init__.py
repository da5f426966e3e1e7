"""One module a revision. Once released, a revision is never changed; what comes later is a revision of its own."""

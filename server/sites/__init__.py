"""Write profiles: in what shape a kind of server takes outcomes. One module a profile."""

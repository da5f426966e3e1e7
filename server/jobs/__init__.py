"""What the commands do: studies over files and servers, deliveries and reconciliations."""

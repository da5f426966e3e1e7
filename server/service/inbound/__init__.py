"""What integration engines send: taken durably, answered truthfully, planned and delivered within seconds."""

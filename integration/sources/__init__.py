"""Where resources come from: each source yields raw bytes of one resource, and says where they stood."""

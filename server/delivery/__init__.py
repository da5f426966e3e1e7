"""Delivery: claim, send and settle what is due to a site, and find out what came of what was on its way."""

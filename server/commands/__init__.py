"""Commands of the command line beside those in `server.cli`, which registers them."""

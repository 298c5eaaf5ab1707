"""One module a subcommand: arguments in, one library call, one report out."""

"""One module for each kind of thing we talk to; they measure, and judge nothing."""

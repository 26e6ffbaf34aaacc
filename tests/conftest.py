"""What all tests share: pytester, and gates in folders of their own."""

import signal

# Started in the background of a script, we would hand on that Ctrl-C is ignored to every program
# that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["pytester", "tests.leftovers", "tests.plugin.gates", "tests.sharing"]

"""monitord watches a fleet under PM2, judges it by standing orders, and notifies; it touches nothing."""

# The first thing any entry point runs: SIGUSR1 kills a process that has no handler yet, and an operator's
# `pm2 sendSignal SIGUSR1` may arrive while the daemon is still importing.
import signal as _signal

if _signal.getsignal(_signal.SIGUSR1) is _signal.SIG_DFL:
    _signal.signal(_signal.SIGUSR1, _signal.SIG_IGN)

__version__ = "0.1.0"

// monitord under PM2, beside the services it watches:  pm2 start deploy/ecosystem.config.js && pm2 save
//
// Made for a checkout in which `make` has set up .venv: nothing here needs to be changed. For any other installation
// `monitord pm2-config` prints this file with its paths. Settings come from MONITORD_* in the environment of `pm2 start`
// (PM2 keeps it) or, better, from .env in `cwd`.
// Then `pm2 describe monitord` shows what it sees, and `pm2 trigger monitord check` (or status, or report) asks it.
const path = require("path");

const cwd = path.resolve(__dirname, ".."); // where .env is looked for
const bin = path.join(cwd, ".venv/bin"); // where monitord is installed

module.exports = {
  apps: [
    {
      name: "monitord",
      cwd,
      script: path.join(bin, "monitord"),
      args: "run",
      // The venv's Python, deaf to SIGUSR1 (a check, please) until monitord can hear it: it would kill a bare one.
      interpreter: path.join(bin, "monitord-python"),
      exec_mode: "fork", // one watch per state directory: a second one refuses to start
      instances: 1,
      wait_ready: true, // "online" means the first check is done
      listen_timeout: 20000, // ms; the first check may have to wait out a server that does not answer
      kill_timeout: 10000, // ms; it needs a fraction of a second to save and say goodbye, PM2's 1.6 s can be short
      exp_backoff_restart_delay: 200, // ms, up to 15 s
      max_restarts: 50, // within 50 s, which the delays above do not allow: PM2 never gives up on it
      // It rotates its own logs (MONITORD_LOG_RETENTION). No log_date_format, no log_type: both would break JSON lines.
      // For people: monitord logs, or pm2 logs monitord --raw | monitord logs
      merge_logs: true,
    },
  ],
};

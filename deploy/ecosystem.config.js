// monitord under PM2, beside the services it watches:  pm2 start deploy/ecosystem.config.js && pm2 save
//
// Settings come from MONITORD_* in the environment or from .env in `cwd`. Edit the two paths to suit, nothing else.
const path = require("path");

const checkout = path.resolve(__dirname, "..");

module.exports = {
  apps: [
    {
      name: "monitord",
      cwd: checkout, // where .env is looked for
      script: path.join(checkout, ".venv/bin/monitord"),
      args: "run",
      interpreter: path.join(checkout, ".venv/bin/python"), // the environment it is installed in
      exec_mode: "fork", // one watch per state directory: a second one refuses to start
      instances: 1,
      wait_ready: true, // "online" means the first check is done
      listen_timeout: 20000, // ms; the first check may have to wait out a server that does not answer
      kill_timeout: 10000, // ms; it needs a fraction of a second to save and say goodbye, PM2's 1.6 s can be short
      max_restarts: 50,
      exp_backoff_restart_delay: 200, // ms
      // It rotates its own logs (MONITORD_LOG_RETENTION). No log_date_format, no log_type: both would break JSON lines.
      merge_logs: true,
    },
  ],
};

// web: what customers load. As a fault, it blocks its event loop as a long calculation would.
const fs = require("fs");
const http = require("http");
const path = require("path");

const FAULT = path.join(process.env.FLEET_DIRECTORY, "faults", "block.web");
const OWNER = path.join(process.env.FLEET_DIRECTORY, "owner.pid");
const NO_OWNER = 78;
const BLOCKED_MS = 2500;
const PAUSE_MS = 150;

http
  .createServer((request, response) => response.end("welcome\n"))
  .listen(Number(process.env.FLEET_PORT), "127.0.0.1", () => console.log("web started"));

function owned() {
  try {
    process.kill(Number(fs.readFileSync(OWNER, "utf8")), 0);
    return true;
  } catch (error) {
    return error.code !== "ENOENT" && error.code !== "ESRCH";
  }
}

setInterval(() => {
  if (!owned()) process.exit(NO_OWNER);
  if (!fs.existsSync(FAULT)) return;
  const until = Date.now() + BLOCKED_MS;
  while (Date.now() < until);
}, PAUSE_MS);
